"""Work beside a loop that must not wait, and lines to readers who may not read."""

from __future__ import annotations

import functools
import io
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from failover_lab.run import aside
from failover_lab.run.aside import Aside, Sayer


def test_it_is_done_in_order_and_beside() -> None:
    done: list[object] = []
    work = Aside("beside", begin=lambda: done.append(threading.current_thread().name))
    go_on = threading.Event()
    assert work.put(lambda: go_on.wait(5))
    for number in range(3):
        work.put(functools.partial(done.append, number))
    assert not work.settle(0.01)
    assert done == ["beside"]
    go_on.set()
    assert work.settle(5)
    assert done == ["beside", 0, 1, 2]
    assert work.close(5)


def test_what_waits_is_bounded() -> None:
    work = Aside("beside", most=2)
    go_on = threading.Event()
    began = threading.Event()

    def wait() -> None:
        began.set()
        go_on.wait(5)

    work.put(wait)
    assert began.wait(5)
    assert [work.put(lambda: None) for _ in range(4)] == [True, True, False, False]
    go_on.set()
    assert work.settle(5)
    assert work.put(lambda: None)
    work.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """One that nobody reads yet, and that is full."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    try:
        while True:
            os.write(writes, b"-" * 4096)
    except BlockingIOError:
        os.set_blocking(writes, True)
    with os.fdopen(writes, "w") as stream:
        yield reads, stream
    os.close(reads)


def drained(reads: int, until: str) -> str:
    said = ""
    deadline = time.monotonic() + 10
    while until not in said:
        assert time.monotonic() < deadline, said[-200:]
        said += os.read(reads, 65536).decode().replace("-", "")
    return said


def test_a_pipe_that_nobody_reads_is_not_waited_for(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reads, stream = pipe
    sayer = Sayer("says", most=3)
    began = time.monotonic()
    for number in range(10):
        sayer.say(f"line {number}", stream)
        # The first is taken out and waits for the pipe.
        time.sleep(0.05 if number == 0 else 0)
    assert not sayer.settle(0.01)
    assert time.monotonic() - began < 10
    said = drained(reads, "line 3")
    assert sayer.settle(5)
    sayer.say("the last", stream)
    said += drained(reads, "the last")
    assert said.splitlines() == [
        "line 0", "line 1", "line 2", "line 3",
        "(6 lines were left out here: nobody took them)", "the last",
    ]  # fmt: skip


def test_a_reader_that_is_gone_is_no_error(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reads, stream = pipe
    sayer = Sayer("says")
    sayer.say("one", stream)
    drained(reads, "one")
    other, writes = os.pipe()
    os.close(other)
    with os.fdopen(writes, "w") as gone:
        sayer.say("two", gone)
        assert sayer.settle(5)
    sayer.say("three", stream)
    assert drained(reads, "three") == "three\n"


def test_a_stream_that_captures_is_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    sayer = Sayer("says")
    sayer.say("one", sys.stdout)
    sayer.say("two", sys.stderr)
    aside.settle(5, None, sayer)
    assert (capsys.readouterr()) == ("one\n", "two\n")
