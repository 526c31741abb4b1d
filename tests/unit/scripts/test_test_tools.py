"""scripts/test_tools.sh: silent where all is there, one line for what it installs, else a remedy."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
SCRIPT = REPO / "scripts" / "test_tools.sh"
NEEDED, BROWSERS = (
    names.split()
    for names in re.findall(r"^for name in (.*);", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
)
THERE = dict.fromkeys(NEEDED, "exit 9")
# Why something cannot be installed: the user, the commands that there are, and what is said of it.
CANNOT = [
    (0, {}, "there is no apt-get"),
    (1000, {"apt-get": "exit 9"}, "there is neither root nor sudo to install with"),
    (0, {"apt-get": "echo E: no such package >&2; exit 100"}, "apt-get failed"),
]


def run(tmp_path: Path, commands: dict[str, str], user: int = 0) -> subprocess.CompletedProcess[str]:
    """On a machine that has the ordinary tools and these commands, and no others."""
    for tool in ("env", "sh", "tail"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    for name, body in (commands | {"id": f"echo {user}"}).items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return subprocess.run(
        [SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=10
    )


@pytest.mark.parametrize("name", BROWSERS)
def test_what_is_there_is_enough(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, THERE | {name: "exit 9", "apt-get": "exit 9"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_tests_look_for_the_same() -> None:
    text = (REPO / "tests" / "browser" / "conftest.py").read_text(encoding="utf-8")
    (names,) = re.findall(r"^NAMES = \((.*)\)$", text, re.MULTILINE)
    assert re.findall(r"[\w-]+", names) == BROWSERS


def test_molecule_calls_what_is_needed() -> None:
    tasks = [path.read_text(encoding="utf-8") for path in (REPO / "molecule").glob("**/*.yml")]
    called = {name for text in tasks for name in re.findall(r"argv:(?: \[|\s+- )([\w-]+)", text)}
    # The lab itself installs an engine.
    assert called - {"docker"} == set(NEEDED)


@pytest.mark.parametrize(("user", "sudo"), [(0, {}), (1000, {"sudo": 'exec "$@"'})])
def test_each_is_installed_and_said_in_one_line(user: int, sudo: dict[str, str], tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    done = run(tmp_path, {"apt-get": f"echo $* >>{asked}; echo many words"} | sudo, user)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "make test: installing curl and openssl, which the tests call",
        "make test: installing chromium, in which the pages are tested",
    ]
    assert done.stderr == ""
    installed = [line for line in asked.read_text().splitlines() if line != "-q update"]
    assert installed == [
        f"-qy install --no-install-recommends {names}"
        for names in ("curl openssl", "chromium fonts-liberation")
    ]


@pytest.mark.parametrize("missing", [["curl"], ["openssl"], ["curl", "openssl"]])
@pytest.mark.parametrize(("user", "commands", "why"), CANNOT)
def test_nothing_is_tested_without_what_is_needed(
    missing: list[str], user: int, commands: dict[str, str], why: str, tmp_path: Path
) -> None:
    there = {name: body for name, body in THERE.items() if name not in missing}
    done = run(tmp_path, there | commands, user)
    assert done.returncode == 1
    *words, said = done.stderr.splitlines()
    names = " and ".join(missing)
    assert said.startswith(f"make test: it needs {names}, and {why}")
    assert said.endswith(f"; install {names} and run it again")
    assert set(words) == ({"E: no such package"} if "above" in said else set())


@pytest.mark.parametrize(("user", "commands", "why"), CANNOT)
def test_without_a_browser_the_rest_is_tested(
    user: int, commands: dict[str, str], why: str, tmp_path: Path
) -> None:
    done = run(tmp_path, THERE | commands, user)
    # The tests that need one decide what becomes of the run.
    assert done.returncode == 0
    *words, said = done.stderr.splitlines()
    assert said.startswith(f"make test: pages will not be tested: there is no browser, and {why}")
    assert said.endswith("; install chromium and run it again")
    assert set(words) == ({"E: no such package"} if "above" in said else set())
