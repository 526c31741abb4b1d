"""What the callback remembers of a run, and what it starts when the play's process ends."""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.callback.interrupted import CallbackModule

# In the place of ansible-playbook: says how it was called, and closes the journal as recover.yml does.
PLAYS = """
import json, pathlib, sys
print("played", json.dumps(sys.argv[1:]))
pathlib.Path(__file__).with_name("journal.json").unlink()
"""


class Play:
    """A play whose journal is seen, and how it ends."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.journal = folder / "journal.json"
        self.callback = CallbackModule()
        self.callback.v2_playbook_on_start(SimpleNamespace(_file_name=str(folder / "failover.yml")))
        self._capfd = capfd
        self.at_exit: list[Callable[[], None]] = []

    def task(self, state: str, action: str = "failover_lab.lab.journal") -> None:
        """A task of the play has gone well."""
        if action == "failover_lab.lab.journal":
            if state == "open":
                self.journal.write_text("{}")
            elif state == "closed":
                self.journal.unlink()
        arguments = {"path": str(self.journal), "state": state}
        self.callback.v2_runner_on_ok(
            SimpleNamespace(
                result={"invocation": {"module_args": arguments}}, task=SimpleNamespace(action=action)
            )
        )

    def end(self) -> list[list[str]]:
        """The process of the play ends: with which words ansible-playbook was called."""
        for handler in self.at_exit:
            handler()
        lines = self._capfd.readouterr().out.splitlines()
        return [json.loads(line.removeprefix("played ")) for line in lines if line.startswith("played ")]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Play:
    program = tmp_path / "ansible-playbook"
    program.write_text(PLAYS)
    for name in ("failover.yml", "recover.yml"):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "argv", [str(program), str(tmp_path / "failover.yml"), "-e", "fault_kind=kill"])
    result = Play(tmp_path, capfd)
    monkeypatch.setattr(atexit, "register", result.at_exit.append)
    return result


@pytest.mark.parametrize(
    "states", [["open"], ["open", "added"], ["open", "added", "added", "read"], ["open", "closed", "open"]]
)
def test_a_journal_that_is_open_is_put_right_with_the_same_options(
    play: Play, tmp_path: Path, states: list[str]
) -> None:
    for state in states:
        play.task(state)
    assert play.end() == [[str(tmp_path / "recover.yml"), "-e", "fault_kind=kill"]]


@pytest.mark.parametrize("states", [[], ["read"], ["added"], ["open", "added", "closed"], ["open", "closed"]])
def test_where_none_is_open_nothing_is_done(play: Play, states: list[str]) -> None:
    play.journal.touch()
    for state in states:
        play.task(state)
    # Another run may have opened one since.
    play.journal.touch()
    assert play.end() == []


def test_other_tasks_say_nothing(play: Play) -> None:
    play.task("open", action="ansible.builtin.file")
    play.journal.touch()
    play.task("open")
    play.task("closed", action="ansible.builtin.file")
    assert len(play.end()) == 1


def test_a_journal_that_is_gone_needs_nobody(play: Play) -> None:
    play.task("open")
    play.journal.unlink()
    assert play.end() == []


def test_a_worker_of_the_play_does_nothing(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    play.task("open")
    monkeypatch.setattr(os, "getpid", lambda: 0)
    assert play.end() == []


def test_the_play_may_have_been_named_by_its_file_alone(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [sys.argv[0], "-v", "failover.yml"])
    play.task("open")
    called: Any = play.end()
    assert called == [["-v", str(tmp_path / "recover.yml")]]
