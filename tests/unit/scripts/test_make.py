"""The Makefile: nothing in the environment has a target end well with nothing done, or run other things."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in the checkout, without what the make that runs the tests hands on."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *words],
        cwd=REPO,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        ("-n lab", {}),
        ("lab", {"MAKEFLAGS": "n"}),
        ("lab", {"GNUMAKEFLAGS": "-n"}),
        ("lab", {"MAKEFLAGS": "i"}),
        ("-i test", {}),
        ("-t lab", {}),
        ("-n lint", {}),
        ("-e lab", {}),
        ("-o lab lab", {}),
        ("-so lab lab", {}),
        ("--old-file=lab lab", {}),
        ("MAKEFLAGS=n lab", {}),
        ("--eval=.IGNORE: lab", {}),
        ("lab", {"MAKEFLAGS": "--eval=.IGNORE:"}),
        ("lab", {"MAKEFILES": "/nonexistent"}),
    ],
    ids=str,
)
def test_what_would_end_well_with_nothing_done(words: str, environment: dict[str, str]) -> None:
    done = make(*words.split(), **environment)
    assert done.returncode == 2
    assert "leave" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        "help",
        "-k help",
        "--no-print-directory help",
        "-s help",
        "SHELL=/bin/true help",
        ".SHELLFLAGS=-nc help",
    ],
)
def test_what_is_harmless(words: str) -> None:
    assert make(*words.split()).stdout.startswith("  make help")


def test_arguments_are_those_of_the_command_line(tmp_path: Path) -> None:
    """ARGS=--collect-only of somebody's environment would have `make test` end well with nothing tested."""
    (tmp_path / "more.mk").write_text(f"include {REPO}/Makefile\nshow: ; @echo '$(ARGS):$(BASE)'\n")
    words = ("-f", str(tmp_path / "more.mk"), "show")
    assert make(*words, ARGS="--collect-only", BASE="HEAD").stdout == ":\n"
    assert make(*words, "ARGS=-k x", "BASE=HEAD").stdout == "-k x:HEAD\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile, around scripts that only say how they were called."""
    folder = tmp_path / "with blank é"
    (folder / "src" / "failover_lab" / "host").mkdir(parents=True)
    (folder / "scripts").mkdir()
    for name in ("Makefile", "scripts/surroundings.sh", "src/failover_lab/host/surroundings.txt"):
        shutil.copy(REPO / name, folder / name)
    for name, line in (("env.sh", "exit 0"), ("lab.sh", 'echo "${PATH%%:*}" "[$1]"')):
        (folder / "scripts" / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / "scripts" / name).chmod(0o755)
    return folder


def test_a_checkout_with_a_blank_and_other_letters(checkout: Path) -> None:
    done = make("--no-print-directory", "-C", str(checkout), "lab", "ARGS='-e x'", PYTHONPATH="/x")
    assert done.stdout == f"{checkout}/.venv/bin [-e x]\n", done.stderr


def test_a_shell_that_is_told_to_run_nothing(checkout: Path) -> None:
    """Where /bin/sh is bash, it says nothing of what is to be cleared, and ends well."""
    (checkout / "scripts" / "surroundings.sh").write_text("#!/bin/sh\n")
    done = make("--no-print-directory", "-C", str(checkout), "lab", SHELLOPTS="noexec")
    assert done.stdout == f"{checkout}/.venv/bin []\n", done.stderr


def test_recipes_are_run_without_what_the_table_clears(tmp_path: Path) -> None:
    (tmp_path / "said").write_text("echo spoken\n")
    (tmp_path / "more.mk").write_text(f"include {REPO}/Makefile\nshow: ; @env\n")
    more = {
        "BASH_ENV": str(tmp_path / "said"),
        "PYTHONPATH": "/x",
        "CDPATH": "/tmp",
        "DOCKER_HOST": "unix:///x",
    }
    done = make("-f", str(tmp_path / "more.mk"), "show", **more)
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert "spoken" not in done.stdout
    assert names.isdisjoint({"BASH_ENV", "PYTHONPATH", "CDPATH"})
    assert "DOCKER_HOST" in names
