"""The Makefile: nothing in the environment has a target end well with nothing done, or run other things."""

from __future__ import annotations

import os
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
        ("lab", {"MAKEFILES": "/nonexistent"}),
    ],
    ids=str,
)
def test_what_would_end_well_with_nothing_done(words: str, environment: dict[str, str]) -> None:
    done = make(*words.split(), **environment)
    assert done.returncode == 2
    assert "leave" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", ["help", "-k help", "--no-print-directory help", "-s help"])
def test_what_is_harmless(words: str) -> None:
    assert make(*words.split()).stdout.startswith("  make help")


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
