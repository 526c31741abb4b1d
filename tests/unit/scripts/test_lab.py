"""scripts/lab.sh: setup, then a drain; the status is its verdict."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
# Writes down how it was called; the status is what the test wants.
FAKE = """#!/bin/sh
printf '%s\\n' "$*" >>calls
exit "$(cat "status-$1" 2>/dev/null || echo 0)"
"""

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script, and an ansible-playbook that plays nothing."""
    folder = tmp_path / "with blank é"
    (folder / "src" / "failover_lab" / "host").mkdir(parents=True)
    (folder / "scripts").mkdir()
    for name in ("scripts/lab.sh", "scripts/surroundings.sh", "src/failover_lab/host/surroundings.txt"):
        shutil.copy(REPO / name, folder / name)
    (folder / "bin").mkdir()
    fake = folder / "bin" / "ansible-playbook"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    return folder


@pytest.fixture
def script(checkout: Path) -> Script:
    """Run it from elsewhere, with these arguments."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [checkout / "scripts" / "lab.sh", *arguments],
            cwd="/",
            env=os.environ | {"PATH": f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def calls(checkout: Path) -> list[str]:
    return (checkout / "calls").read_text().splitlines()


def test_setup_comes_first_and_both_get_the_arguments(checkout: Path, script: Script) -> None:
    done = script("-e", "cluster_nodes=4", "-v")
    assert done.returncode == 0, done.stderr
    assert calls(checkout) == [
        "setup.yml -e cluster_nodes=4 -v",
        "failover.yml -e fault_kind=drain -e cluster_nodes=4 -v",
    ]


def test_without_a_lab_nothing_is_drained(checkout: Path, script: Script) -> None:
    (checkout / "status-setup.yml").write_text("4")
    assert script().returncode == 4
    assert calls(checkout) == ["setup.yml"]


def test_a_no_is_its_status(checkout: Path, script: Script) -> None:
    (checkout / "status-failover.yml").write_text("2")
    assert script().returncode == 2
    assert len(calls(checkout)) == 2


@pytest.mark.parametrize("word", ["--list-tasks", "--list-hosts", "--syntax-check", "--version", "-h"])
def test_what_plays_nothing_is_no_run(checkout: Path, script: Script, word: str) -> None:
    done = script("-v", word)
    assert done.returncode == 2
    assert word in done.stderr
    assert not (checkout / "calls").exists()


def test_nothing_of_its_own_is_left(checkout: Path, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    place = checkout / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    assert script().returncode == 0
    assert list(place.iterdir()) == []
