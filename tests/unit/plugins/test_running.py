from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.plugin_utils import running

REPO = Path(__file__).resolve().parents[3]


def shell(script: str, **options: object) -> running.Outcome:
    return running.run(["sh", "-c", script], environment=dict(os.environ), **options)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_dead(pid: int, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def wait_pid(path: Path, seconds: float = 10.0) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text(encoding="ascii").strip()):
            return int(text)
        time.sleep(0.02)
    raise AssertionError(f"{path} never appeared")


def test_streams_status_and_log() -> None:
    log = io.BytesIO()
    outcome = shell("echo one; echo two >&2; printf three; exit 4", log=log)
    assert (outcome.rc, outcome.timed_out) == (4, False)
    assert outcome.stdout.text() == "one\nthree"
    assert outcome.stderr.text() == "two"
    assert log.getvalue() in {b"one\nthreetwo\n", b"one\ntwo\nthree", b"two\none\nthree"}


def test_all_that_was_written_just_before_the_end_is_read() -> None:
    outcome = shell(
        "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done", log=(log := io.BytesIO())
    )
    assert log.getvalue().count(b"\n") == 20000
    assert outcome.stdout.last == "line-19999"
    assert len(outcome.stdout.kept) == running.TAIL_LINES


def test_a_signal_is_counted_as_the_shell_does() -> None:
    assert shell("kill -9 $$").rc == 137


def test_ticks_come_though_the_command_is_silent() -> None:
    ticks: list[float] = []
    outcome = shell("sleep 0.75", interval_s=0.2, tick=lambda elapsed, _: ticks.append(elapsed))
    # A busy machine may come late to a tick, never early.
    assert 2 <= len(ticks) <= outcome.elapsed_s / 0.2
    assert all(later - sooner >= 0.19 for sooner, later in pairwise([0.0, *ticks]))


def test_ticks_come_though_the_command_never_pauses(tmp_path: Path) -> None:
    ticks: list[float] = []
    told = tmp_path / "told"

    def tick(elapsed: float, _: object) -> None:
        ticks.append(elapsed)
        if len(ticks) == 3:
            told.touch()

    # It never pauses until the third tick, however long a busy machine takes to come to that.
    shell(
        f"timeout 60 sh -c 'yes & until [ -e {told} ]; do sleep 0.05; done; kill $!'",
        interval_s=0.1,
        tick=tick,
    )
    assert told.exists()


def test_ticks_come_though_both_streams_are_closed() -> None:
    ticks: list[float] = []
    outcome = shell("exec >&- 2>&-; sleep 0.5", interval_s=0.2, tick=lambda elapsed, _: ticks.append(elapsed))
    assert outcome.rc == 0
    assert 1 <= len(ticks) <= outcome.elapsed_s / 0.2


def test_a_server_that_holds_the_pipe_is_not_waited_for(tmp_path: Path) -> None:
    start = time.monotonic()
    outcome = shell(f"sleep 30 & echo $! > {tmp_path}/pid; echo started")
    pid = wait_pid(tmp_path / "pid")
    try:
        assert time.monotonic() - start < 5
        assert outcome.rc == 0
        assert outcome.stdout.last == "started"
        assert alive(pid), "a command that ended well may leave a server behind"
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_failed_command_leaves_nothing_behind(tmp_path: Path) -> None:
    assert shell(f"sleep 30 & echo $! > {tmp_path}/pid; exit 1").rc == 1
    assert wait_dead(wait_pid(tmp_path / "pid"))


def test_a_command_whose_time_is_up_is_ended_with_its_children(tmp_path: Path) -> None:
    outcome = shell(f"sleep 30 & echo $! > {tmp_path}/pid; wait", timeout_s=0.4)
    assert outcome.timed_out
    assert outcome.rc == 128 + signal.SIGTERM
    assert wait_dead(wait_pid(tmp_path / "pid"))


def test_one_that_ignores_the_kind_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GRACE_S", 0.3)
    outcome = shell("trap '' TERM; while :; do sleep 0.05; done", timeout_s=0.3)
    assert outcome.timed_out
    assert outcome.rc == 128 + signal.SIGKILL


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_command_and_is_told(tmp_path: Path, signum: signal.Signals) -> None:
    handler = signal.getsignal(signum)

    def interrupt() -> None:
        # Sent before the command runs, it would meet the handler of before: under nohup, none.
        wait_pid(tmp_path / "pid")
        os.kill(os.getpid(), signum)

    threading.Thread(target=interrupt).start()
    with pytest.raises(running.Interrupted) as interrupted:
        shell(f"sleep 30 & echo $! > {tmp_path}/pid; wait")
    assert interrupted.value.args == (signum,)
    assert signal.getsignal(signum) is handler
    assert wait_dead(wait_pid(tmp_path / "pid"))


def test_an_interrupt_while_the_command_is_being_started_ends_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = subprocess.Popen

    def start_slowly(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = start(*arguments, **options)
        wait_pid(tmp_path / "pid")
        os.kill(os.getpid(), signal.SIGTERM)
        return process

    monkeypatch.setattr(subprocess, "Popen", start_slowly)
    with pytest.raises(running.Interrupted):
        shell(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    assert wait_dead(wait_pid(tmp_path / "pid"))


def killed_play(folder: Path, script: str, **options: bool) -> int:
    """The process of a script whose play was killed as it began; it writes its number into the file pid."""
    worker = f"""
import os, sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([{str(REPO / "collections")!r}])
from ansible_collections.failover_lab.lab.plugins.plugin_utils import running
if os.fork():
    os.wait()
else:
    running.run(["sh", "-c", {script!r}], environment=dict(os.environ), chdir={str(folder)!r}, **{options})
"""
    play = subprocess.Popen([sys.executable, "-c", worker], stderr=subprocess.DEVNULL)
    pid = wait_pid(folder / "pid")
    play.kill()
    play.wait()
    return pid


def test_a_command_does_not_outlive_a_play_that_was_killed(tmp_path: Path) -> None:
    assert wait_dead(killed_play(tmp_path, "echo $$ > pid; exec sleep 30"))


def test_but_one_that_must_not_be_left_half_done_finishes(tmp_path: Path) -> None:
    # Long enough for one that is not let finish to be ended.
    pid = killed_play(tmp_path, f"echo $$ > pid; sleep {running.POLL_S + 1}; echo > finished", finishes=True)
    assert wait_dead(pid)
    assert (tmp_path / "finished").exists()


def test_lines_are_what_a_person_would_have_seen() -> None:
    lines = running.Lines()
    for data in (b"\x1b[31mred\x1b[0m\n", b"10%\r20%\r", b"30%\n", b"\n", b"caf\xc3", b"\xa9\nhalf"):
        lines.feed(data)
    assert list(lines.kept) == ["red", "30%", "", "café"]
    assert lines.last == "café"
    lines.close()
    assert lines.last == "half"


def test_an_endless_progress_bar_takes_no_endless_memory() -> None:
    lines = running.Lines()
    for _ in range(1000):
        lines.feed(b"\r" + b"x" * 100)
    assert len(lines._rest) < 2 * running.LINE_LENGTH


def test_no_such_command() -> None:
    with pytest.raises(FileNotFoundError):
        running.run(["/nonexistent/command"], environment={})
