"""What is written before it is done, and that there is only one watchdog."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from failover_lab.errors import UserError
from failover_lab.run import lifetime
from failover_lab.watchdog.journal import Journal, Phase
from failover_lab.watchdog.only_one import only_one


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.write("a", Phase.ACTING)
    journal.write("b", Phase.ACTING)
    journal.write("b", Phase.OUT)
    journal.write("c", Phase.ACTING)
    journal.write("c", Phase.CLOSED)
    journal.write("never", Phase.CLOSED)
    # As after a SIGKILL: nothing is closed.
    assert Journal(path).phases == {"a": Phase.ACTING, "b": Phase.OUT}
    # What is over is not kept for ever.
    assert len(path.read_text().splitlines()) == 2


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"node": "a", "phase": "acting"}\n{"node": "b", "pha')
    journal = Journal(path)
    assert journal.phases == {"a": Phase.ACTING}
    journal.write("c", Phase.OUT)
    assert Journal(path).phases == {"a": Phase.ACTING, "c": Phase.OUT}


@pytest.mark.parametrize("line", ["nonsense", '{"node": "a"}', '{"node": "a", "phase": "asleep"}'])
def test_a_damaged_journal_is_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UserError, match=r"journal\.jsonl is damaged"):
        Journal(path)


def test_a_journal_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        Journal(tmp_path / "missing" / "journal.jsonl")


def test_it_is_on_the_disk_before_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    journal = Journal(tmp_path / "journal.jsonl")
    write, sync = os.write, os.fdatasync

    def written(fd: int, data: bytes) -> int:
        steps.append("write")
        return write(fd, data)

    def synced(fd: int) -> None:
        steps.append("sync")
        sync(fd)

    monkeypatch.setattr(os, "write", written)
    monkeypatch.setattr(os, "fdatasync", synced)
    journal.write("a", Phase.ACTING)
    assert steps == ["write", "sync"]


def test_a_failed_write_is_not_taken_for_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "journal.jsonl")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="No space left"):
        journal.write("a", Phase.ACTING)
    assert journal.phases == {}


HOLD = """
import sys
from pathlib import Path
from failover_lab.watchdog.only_one import only_one
with only_one(Path(sys.argv[1]), "lab"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(lifetime.__file__).parents[2])},
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        told = f"a watchdog of lab is running already: process {first.pid}, since 20"
        with pytest.raises(UserError, match=told), only_one(tmp_path, "lab"):
            pass
        first.kill()
        first.wait()
    # However it ended, the next one may.
    with only_one(tmp_path, "lab"):
        held = json.loads((tmp_path / "watchdog.lock").read_text())
        assert held["pid"] == os.getpid()
        assert held["started"] == lifetime.started(os.getpid())
    with only_one(tmp_path, "lab"):
        pass


def test_one_that_has_not_said_who_it_is_is_a_first_one_too(tmp_path: Path) -> None:
    with (tmp_path / "watchdog.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            pytest.raises(UserError, match="process unknown, since an unknown time"),
            only_one(tmp_path, "lab"),
        ):
            pass


def test_without_locks_the_process_itself_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_file: int, _how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    parent = os.getppid()
    holder = {"pid": parent, "started": lifetime.started(parent), "since": "then"}
    (tmp_path / "watchdog.lock").write_text(json.dumps(holder))
    with pytest.raises(UserError, match=f"process {parent}, since then"), only_one(tmp_path, "lab"):
        pass
    # The same number, but another process: it is free.
    (tmp_path / "watchdog.lock").write_text(json.dumps({**holder, "started": "1"}))
    with only_one(tmp_path, "lab"):
        pass


@pytest.mark.parametrize(
    "content", ["", "nonsense", "[]", '{"pid": "x"}', '{"pid": 0}', '{"pid": 999999999}']
)
def test_what_nobody_holds_is_free(tmp_path: Path, content: str) -> None:
    (tmp_path / "watchdog.lock").write_text(content)
    with only_one(tmp_path, "lab"):
        pass


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give --state-dir another"), only_one(tmp_path / "file", "lab"):
        pass
