"""Every linter is a test, so that one run of pytest judges the whole repository."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PLUGINS = "collections/ansible_collections/failover_lab/lab/plugins"
YAML = {".yaml", ".yml"}
SHELL = re.compile(rb"#!\s*(\S*/)?(env\s+)?(ba|da|k)?sh\b")


def files() -> list[Path]:
    """Every file that git has or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        check=True,
    ).stdout
    found = sorted({REPO / os.fsdecode(name) for name in listed.split(b"\0") if name})
    return [path for path in found if path.is_file() and not path.is_symlink()]


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(REPO)) for path in paths]


def scripts() -> list[str]:
    """Every shell script, whatever its name."""

    def is_script(path: Path) -> bool:
        with path.open("rb") as opened:
            return path.suffix in {".sh", ".bash"} or SHELL.match(opened.readline(200)) is not None

    return relative([path for path in files() if is_script(path)])


def dockerfiles() -> list[str]:
    """Every Dockerfile."""
    return relative(
        [
            path
            for path in files()
            if path.name.split(".")[0] in {"Dockerfile", "Containerfile"} or path.suffix == ".Dockerfile"
        ]
    )


def yaml_files() -> list[str]:
    """Every file that is YAML by its name."""
    return relative([path for path in files() if path.suffix in YAML or path.name == ".yamllint"])


def workflows() -> list[str]:
    """Every workflow of GitHub Actions."""
    return relative([path for path in files() if path.parent == REPO / ".github" / "workflows"])


def python() -> list[str]:
    """The folders of our own that have Python in them."""
    return [
        name
        for name in ("src", PLUGINS, "playbooks/callback_plugins", "scripts", "bench", "tests")
        if any((REPO / name).rglob("*.py"))
    ]


@functools.cache
def actionlint() -> str:
    """The program, which no package index has: it is built, once."""
    built = subprocess.run(
        [sys.executable, REPO / "tests" / "go_module.py", REPO / "tests" / "lint" / "actionlint"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()


@dataclass(frozen=True)
class Linter:
    """One of them, and a slip that it has to find."""

    command: Callable[[], list[str]]
    targets: Callable[[], list[str]]
    slip: tuple[str, str, str] | None = None


# A slip is the name of a file, its content, and what the linter must say of it. None for ansible-lint: of two
# that run at a time, one waits for the other.
LINTERS = {
    "yamllint": Linter(
        # By itself it would look through the thousands of files in .venv, none of which it is to judge.
        lambda: ["yamllint", "--strict"],
        yaml_files,
        ("slip.yml", "---\nmode: 0644\n", "forbidden implicit octal"),
    ),
    "ruff-check": Linter(
        lambda: ["ruff", "check", "--no-cache"],
        lambda: ["."],
        ("slip.py", "def double(number):\n    return 2 * number\n", "ANN001"),
    ),
    "ruff-format": Linter(
        lambda: ["ruff", "format", "--check", "--no-cache"],
        lambda: ["."],
        ("slip.py", "x = { 'a':1 }\n", "would be reformatted"),
    ),
    "mypy": Linter(
        lambda: ["mypy"],
        python,
        ("slip.py", "def double(number):\n    return 2 * number\n", "no-untyped-def"),
    ),
    "shellcheck": Linter(
        lambda: ["shellcheck", "--severity=style"],
        scripts,
        ("slip.sh", "#!/bin/sh\nrm -r $1\n", "SC2086"),
    ),
    "hadolint": Linter(
        lambda: ["hadolint", "--config", ".hadolint.yaml"],
        dockerfiles,
        ("Dockerfile", "FROM debian:bookworm\nRUN cd /tmp && touch x\n", "DL3003"),
    ),
    "actionlint": Linter(
        # Its own search for shellcheck is silent where there is none.
        lambda: [actionlint(), "-no-color", "-shellcheck", "shellcheck"],
        workflows,
        (
            "slip.yml",
            "on: push\njobs:\n  one:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: rm -r $HOME/$1\n",
            "SC2086",
        ),
    ),
    "role-pages": Linter(lambda: ["python", "scripts/role_docs.py"], lambda: ["--check"]),
    "ansible-lint": Linter(
        lambda: ["ansible-lint", "--nocolor", "-qq"],
        list,
    ),
}
WITH_SLIP = sorted(name for name, linter in LINTERS.items() if linter.slip)


def run(argv: list[str]) -> tuple[int, str]:
    done = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, check=False, timeout=900)
    return done.returncode, f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize("linter", LINTERS)
def test_linter(linter: str) -> None:
    argv = [*LINTERS[linter].command(), *LINTERS[linter].targets()]
    status, said = run(argv)
    if status != 0:
        pytest.fail(f"{' '.join(argv[:3])} …\n{said}", pytrace=False)


@pytest.mark.parametrize("linter", WITH_SLIP)
def test_the_linter_finds_a_slip(linter: str, tmp_path: Path) -> None:
    slip = LINTERS[linter].slip
    assert slip
    name, content, complaint = slip
    (tmp_path / name).write_text(content, encoding="utf-8")
    # mypy may be looking at the repository at the same time.
    options = ["--cache-dir=.mypy_cache/slip"] if linter == "mypy" else []
    status, said = run([*LINTERS[linter].command(), *options, str(tmp_path / name)])
    assert status != 0
    assert complaint in said


def test_nothing_is_left_out() -> None:
    assert {"scripts/env.sh", ".ci/run", "site/entrypoint.sh"} <= set(scripts())
    assert "roles/toolchain/files/images/node/entrypoint" in scripts()
    assert "site/Dockerfile" in dockerfiles()
    assert ".github/workflows/ci.yml" in workflows()
    assert {"playbooks/setup.yml", "inventory/lab/hosts.yml", ".yamllint"} <= set(yaml_files())
    assert {"src", "tests"} <= set(python())
