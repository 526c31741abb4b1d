"""A file is followed while somebody writes it: whole lines, each once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab.run.tail import Tail

if TYPE_CHECKING:
    import pytest


def test_each_line_comes_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    tail = Tail(path)
    assert tail.lines() == []
    path.write_bytes(b"one\ntw")
    assert tail.lines() == [b"one"]
    assert tail.lines() == []
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert tail.lines() == [b"two", b"three"]


def test_nothing_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n" * 1000)
    tail = Tail(path)
    assert len(tail.lines()) == 1000
    # What is there already may have become anything: it is not looked at again.
    with path.open("r+b") as file:
        file.write(b"XXX\n" * 1000)
        file.write(b"new\n")
    assert tail.lines() == [b"new"]


def test_one_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"a long line\n")
    tail = Tail(path)
    tail.lines()
    path.write_bytes(b"short\n")
    assert tail.lines() == [b"short"]


def test_whether_there_is_more_is_known_without_reading(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    tail = Tail(path)
    assert not tail.grown()
    path.write_bytes(b"one\n")
    assert tail.grown()
    tail.lines()
    assert not tail.grown()
