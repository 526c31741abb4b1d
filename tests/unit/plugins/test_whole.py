"""What a worker says to its play is said whole, though it is told to end in the middle of it."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import time
import types
from pathlib import Path

import pytest
from ansible.executor.process.worker import WorkerProcess
from ansible.executor.task_queue_manager import FinalQueue
from ansible_collections.failover_lab.lab.plugins.plugin_utils import whole

from failover_lab.waiting import until

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def as_ansible_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((FinalQueue, "put"), (WorkerProcess, "_term")):
        monkeypatch.setattr(owner, name, getattr(owner, name))


def worker(queue: FinalQueue, begun: Path) -> None:
    """As Ansible's own, in a session of its own; each word takes a while."""
    os.setsid()
    me = types.SimpleNamespace(pid=os.getpid())
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, functools.partial(WorkerProcess._term, me))
    send = queue._writer.send_bytes

    def slowly(said: bytes) -> None:
        begun.touch()
        time.sleep(0.5)
        send(said)

    queue._writer.send_bytes = slowly
    for word in ("first", "second"):
        queue.put(word)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_play_hears_it_and_need_not_wait_for_whoever_has_ended(
    signum: signal.Signals, tmp_path: Path, as_ansible_has_it: None
) -> None:
    whole.say_all()
    whole.say_all()
    queue = FinalQueue()
    begun = tmp_path / "begun"
    process = FORK.Process(target=worker, args=(queue, begun))
    process.start()
    until(lambda: not begun.exists(), 20)
    os.kill(process.pid or 0, signum)
    process.join(20)
    assert process.exitcode == -signum
    assert queue._wlock.acquire(timeout=1), "it took the lock along"
    queue._wlock.release()
    assert queue.get() == "first"
    assert queue.empty(), "it had not begun with the second one"


def test_a_silent_worker_ends_at_once(tmp_path: Path, as_ansible_has_it: None) -> None:
    whole.say_all()
    begun = tmp_path / "begun"

    def silent() -> None:
        os.setsid()
        me = types.SimpleNamespace(pid=os.getpid())
        signal.signal(signal.SIGINT, functools.partial(WorkerProcess._term, me))
        begun.touch()
        time.sleep(60)

    process = FORK.Process(target=silent)
    process.start()
    until(lambda: not begun.exists(), 20)
    os.kill(process.pid or 0, signal.SIGINT)
    process.join(20)
    assert process.exitcode == -signal.SIGINT
