"""scripts/browser.sh: silent where there is a browser, one line where it installs one, else a remedy."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
SCRIPT = REPO / "scripts" / "browser.sh"
NAMES = re.findall(
    r"[\w-]+", SCRIPT.read_text(encoding="utf-8").partition("for name in ")[2].partition(";")[0]
)


def run(tmp_path: Path, commands: dict[str, str], user: int = 0) -> subprocess.CompletedProcess[str]:
    """On a machine that has the ordinary tools and these commands, and no others."""
    for tool in ("env", "mktemp", "rm", "sh", "tail"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    for name, body in (commands | {"id": f"echo {user}"}).items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return subprocess.run(
        [SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=10
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_that_is_there_is_enough(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, {name: "exit 9", "apt-get": "exit 9"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_tests_look_for_the_same() -> None:
    text = (REPO / "tests" / "browser" / "conftest.py").read_text(encoding="utf-8")
    (names,) = re.findall(r"^NAMES = \((.*)\)$", text, re.MULTILINE)
    assert re.findall(r"[\w-]+", names) == NAMES


@pytest.mark.parametrize(("user", "sudo"), [(0, {}), (1000, {"sudo": 'exec "$@"'})])
def test_it_is_installed_and_said_in_one_line(user: int, sudo: dict[str, str], tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    done = run(tmp_path, {"apt-get": f"echo $* >>{asked}; echo many words"} | sudo, user)
    assert done.returncode == 0
    assert done.stdout == "make test: installing chromium, in which the pages are tested\n"
    assert done.stderr == ""
    assert "-qy install --no-install-recommends chromium" in asked.read_text()


@pytest.mark.parametrize(
    ("user", "commands", "why"),
    [
        (0, {}, "no apt-get"),
        (1000, {"apt-get": "exit 9"}, "neither root nor sudo"),
        (0, {"apt-get": "echo E: no such package >&2; exit 100"}, "apt-get could not install chromium"),
    ],
)
def test_where_it_cannot_be_installed(user: int, commands: dict[str, str], why: str, tmp_path: Path) -> None:
    done = run(tmp_path, commands, user)
    # The tests that need one decide what becomes of the run.
    assert done.returncode == 0
    *words, said = done.stderr.splitlines()
    assert said.startswith("make test: pages will not be tested: there is no browser, and ")
    assert why in said
    assert said.endswith("install chromium and run it again")
    assert set(words) <= {"E: no such package"}
    assert bool(words) is ("above" in said)
