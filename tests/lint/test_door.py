"""Roles and playbooks call the package by one door, and read its answers as data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.lint.test_house_rules import tracked
from tests.subcommands import subcommands

REPO = Path(__file__).resolve().parents[2]
FOLDERS = ("roles", "playbooks", "molecule", "inventory")
FILES = sorted(path for folder in FOLDERS for path in (REPO / folder).rglob("*.yml"))
DOOR = "failover_lab.lab.lab"
#: A second way in: by the interpreter, or by a path that it is to find.
BESIDE = re.compile(r"PYTHONPATH|-m(?:[\"',\s\]]|- )+failover_lab\b")
# (Put together from pieces, since this file is looked at as well.)
PREFIX = "failover-lab: " + "error"


def tasks_of(value: Any) -> Iterator[dict[str, Any]]:
    """Whatever has the door in it, at any depth."""
    if isinstance(value, dict):
        if DOOR in value:
            yield value
        for item in value.values():
            yield from tasks_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from tasks_of(item)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


CALLS = [(path, task) for path in FILES for task in tasks_of(yaml.safe_load(text_of(path)))]


def test_there_are_calls_to_look_at() -> None:
    assert len(CALLS) > 25


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPO)))
def test_nothing_else_calls_the_package(path: Path) -> None:
    assert not BESIDE.search(text_of(path)), f"call it by {DOOR}"


def test_no_answer_is_read_out_of_text() -> None:
    names = {task["register"] for _, task in CALLS if "register" in task}
    assert len(names) > 10
    reads = re.compile(rf"\b(?:{'|'.join(sorted(names))})\b[\w.()\[\] ]*\.(?:stdout|stderr)")
    for path in FILES:
        assert not reads.findall(text_of(path)), f"{path}: read .data, .ok and .msg instead"


def test_the_prefix_of_an_error_is_known_to_the_package_alone() -> None:
    homes = ("src", "tests", "docs")
    for path in tracked():
        if path.relative_to(REPO).parts[0] not in homes:
            assert PREFIX not in text_of(path), path


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[1].get("name", "?"))
def test_a_call_names_a_command_and_options_that_there_are(call: tuple[Path, dict[str, Any]]) -> None:
    _, task = call
    arguments = task[DOOR]
    if "job" in arguments:
        return
    command = arguments["command"]
    known = subcommands()
    if isinstance(command, str):
        template = re.match(r"\{\{\s*\[?'([a-z-]+)'", command)
        if template is None and command.startswith("{{"):
            return  # a variable, whose value is a list
        name, typed = (template[1], re.findall(r"'--([a-z-]+)", command)) if template else (command, [])
    else:
        name = command[0]
        typed = [word[2:].partition("=")[0] for word in command[1:] if word.startswith("--")]
    assert name in known
    for option in [*typed, *(arguments.get("options") or {})]:
        assert f"--{option}" in known[name]._option_string_actions, option


@pytest.mark.parametrize(
    "slip",
    [
        'argv: ["{{ ansible_playbook_python }}", -m, failover_lab, nodes]',
        "cmd: python -m failover_lab mark",
        "      - -m\n      - failover_lab",
        "PYTHONPATH: src",
    ],
)
def test_a_slip_is_seen(slip: str) -> None:
    assert BESIDE.search(slip)
