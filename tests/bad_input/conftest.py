"""Plays that must say no: what they share."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]


@dataclass
class Played:
    """How a play ended: exit status, the failed task's message, and how many tasks changed something."""

    returncode: int
    message: str
    changed: int
    output: str

    def refused(self, *words: str) -> None:
        """Assert that it ended in one error with these words, and had changed nothing."""
        assert self.returncode != 0, self.output
        assert self.output.count("fatal: ") == 1, self.output
        assert self.changed == 0, self.output
        for word in words:
            assert word in self.message, self.message
        assert "Traceback" not in self.output
        assert len(self.message) < 600, "nobody reads so long a message"


def run_playbook(*arguments: str, **environment: str) -> Played:
    """Run ansible-playbook in the repository."""
    done = subprocess.run(
        ["ansible-playbook", *arguments],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"} | environment,
    )
    output = done.stdout + done.stderr
    changed = re.findall(r"changed=(\d+)", done.stdout)
    failed = re.search(r"^fatal: \[[^\]]*\]: FAILED! =>\s+(?=\{)", done.stdout, re.MULTILINE)
    message = json.JSONDecoder().raw_decode(done.stdout[failed.end() :])[0]["msg"] if failed else ""
    return Played(done.returncode, message, sum(map(int, changed)), output)


Runner = Callable[..., Played]


@pytest.fixture
def play() -> Runner:
    """Run one playbook with options and environment, as ``play("setup.yml", "--check", DOCKER_HOST="")``."""
    return run_playbook


@pytest.fixture
def run_role(tmp_path: Path) -> Runner:
    """Apply one role with some variables, as ``run_role("engine", {"engine_install": False}, "--check")``."""

    def run(role: str, variables: dict[str, Any], *options: str, **environment: str) -> Played:
        path = tmp_path / "play.yml"
        task = {"name": "Apply it", "ansible.builtin.include_role": {"name": role}}
        path.write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": [task]}]),
            encoding="utf-8",
        )
        return run_playbook(str(path), *options, **environment)

    return run


@pytest.fixture
def fake_docker(tmp_path: Path) -> Callable[..., str]:
    """Make a docker command that says what a test wants; returns the PATH on which it comes first."""

    def make(info: dict[str, Any] | None, *, stderr: str = "", status: int = 0) -> str:
        directory = tmp_path / "bin"
        directory.mkdir()
        (tmp_path / "info").write_text(json.dumps(info) if info is not None else "", encoding="utf-8")
        (tmp_path / "stderr").write_text(stderr, encoding="utf-8")
        docker = directory / "docker"
        docker.write_text(
            f"#!/bin/sh\ncat '{tmp_path}/info'\ncat '{tmp_path}/stderr' >&2\nexit {status}\n",
            encoding="utf-8",
        )
        docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
        return f"{directory}{os.pathsep}{os.environ['PATH']}"

    return make
