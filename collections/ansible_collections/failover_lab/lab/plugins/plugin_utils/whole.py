"""A worker that is told to end says what it is saying to its end first: Ctrl-C ends a play at any moment."""

from __future__ import annotations

import os
import threading
from typing import Any

from ansible.executor.process.worker import WorkerProcess
from ansible.executor.task_queue_manager import FinalQueue


class _Saying:
    """What a worker says at the moment.

    Attributes:
        now: how many of its threads say something.
        told: the signal by which it was told to end meanwhile; 0: it was not.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = 0
        self.told = 0

    def counts(self, change: int) -> None:
        """One more says something, or one less."""
        with self.lock:
            self.now += change


def say_all() -> None:
    """Have the workers of this process do so.

    They hand what they have to say to the play through a pipe with a lock. Ansible's own end at once, and one
    that has the lock just then takes it along: the play waits for it for ever, and puts nothing right.
    """
    if hasattr(FinalQueue.put, "says_all"):
        return
    put, term = FinalQueue.put, WorkerProcess._term  # noqa: SLF001 - there is no other way to it
    saying = _Saying()

    def says_all(self: Any, said: Any) -> None:  # noqa: ANN401 - Ansible's own classes carry no types
        saying.counts(1)
        try:
            put(self, said)
        finally:
            saying.counts(-1)
            if saying.told and not saying.now:
                os.kill(os.getpid(), saying.told)

    def ends(self: Any, signum: int, frame: Any) -> None:  # noqa: ANN401 - Ansible's
        saying.told = signum
        if not saying.now:
            term(self, signum, frame)

    says_all.says_all = True  # type: ignore[attr-defined]
    FinalQueue.put = says_all
    WorkerProcess._term = ends  # noqa: SLF001 - as above
