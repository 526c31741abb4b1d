"""Shell within tasks is looked at by shellcheck too, with its expressions filled in."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from tests.documents import load

REPO = Path(__file__).resolve().parents[2]
SHELLS = {"sh", "bash"}
# Severity style is for scripts of our own making; what is filled in here is a constant to shellcheck.
PROGRAM = ["shellcheck", "--severity=warning", "--shell=sh", "-"]


def shell_in(value: Any) -> Iterator[str]:
    """Every piece of shell below a value of a file of tasks."""
    if isinstance(value, dict):
        shell = value.get("ansible.builtin.shell")
        if shell:
            yield shell if isinstance(shell, str) else shell["cmd"]
        value = list(value.values())
    if isinstance(value, list):
        match value:
            case [str(program), str(flags), str(text), *_] if program in SHELLS and re.match("-.*c", flags):
                yield text
        for item in value:
            yield from shell_in(item)


def variables_in(value: Any) -> dict[str, Any]:
    """All that the tasks of a file give their steps as variables."""
    found: dict[str, Any] = {}
    if isinstance(value, dict):
        found |= value.get("vars") or {}
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            found |= variables_in(item)
    return found


FOUND = [
    (path, text)
    for path in sorted([*REPO.glob("roles/*/tasks/**/*.yml"), *REPO.glob("playbooks/**/*.yml")])
    for text in shell_in(load(path))
]


def filled(path: Path, text: str) -> str:
    role = path.relative_to(REPO / "roles").parts[0]
    variables = {
        name: trust_as_template(value) if isinstance(value, str) else value
        for part in (
            load(REPO / "roles" / role / "defaults" / "main.yml") or {},
            *map(load, (REPO / "roles" / role / "vars").glob("*.yml")),
            variables_in(load(path)),
        )
        for name, value in part.items()
    }
    return str(Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text)))


def complaints(text: str) -> str:
    return subprocess.run(PROGRAM, input=text, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    ("path", "text"), FOUND, ids=[str(path.relative_to(REPO / "roles")) for path, _ in FOUND]
)
def test_shell_in_tasks(path: Path, text: str, lookups: None) -> None:
    assert complaints(filled(path, text)) == ""


def test_the_search_finds_it() -> None:
    found = {str(path.relative_to(REPO / "roles")) for path, _ in FOUND}
    assert {"node/tasks/docker/idle.yml", "toolchain/tasks/images.yml"} <= found
    assert "SC2154" in complaints('rm "$nobody_has_set_it"')
