"""Every linter is a test, so that one run of pytest judges the whole repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PLUGINS = "collections/ansible_collections/failover_lab/lab/plugins"


def files() -> list[Path]:
    """Every file that git has or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        check=True,
    ).stdout
    return sorted({REPO / os.fsdecode(name) for name in listed.split(b"\0") if name})


def scripts() -> list[str]:
    """Every shell script, whatever its name."""
    found = []
    for path in files():
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as opened:
                first = opened.readline(200)
            if first.startswith(b"#!") and first.split()[-1].endswith((b"sh", b"bash", b"dash")):
                found.append(str(path.relative_to(REPO)))
    return found


def dockerfiles() -> list[str]:
    """Every Dockerfile."""
    return [
        str(path.relative_to(REPO))
        for path in files()
        if path.is_file() and (path.name.startswith("Dockerfile") or path.suffix == ".Dockerfile")
    ]


def existing(*names: str) -> list[str]:
    """Those of the directories that have Python in them."""
    return [name for name in names if any((REPO / name).rglob("*.py"))]


LINTERS = {
    "yamllint": lambda: ["yamllint", "--strict", "."],
    "ruff-check": lambda: ["ruff", "check", "."],
    "ruff-format": lambda: ["ruff", "format", "--check", "."],
    "mypy": lambda: ["mypy", *existing("src", PLUGINS, "scripts", "tests")],
    "shellcheck": lambda: ["shellcheck", "--severity=style", *scripts()],
    "hadolint": lambda: ["hadolint", *dockerfiles()],
    "role pages": lambda: ["python", "scripts/role_docs.py", "--check"],
    "ansible-lint": lambda: ["ansible-lint", "--nocolor", "-qq"],
}


@pytest.mark.parametrize("linter", LINTERS)
def test_linter(linter: str) -> None:
    argv = LINTERS[linter]()
    assert len(argv) > 1, f"{linter} has nothing to look at"
    done = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(argv[:3])} …\n{done.stdout}{done.stderr}", pytrace=False)
