"""Plays that must say no: what they share."""

from __future__ import annotations

import functools
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.plays import Played, including, run_playbook

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
        task = including(role)
        path.write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": [task]}]),
            encoding="utf-8",
        )
        return run_playbook(str(path), *options, **environment)

    return run


def make_docker(folder: Path, info: dict[str, Any] | None, *, stderr: str = "", status: int = 0) -> str:
    """Make a docker command that says this; returns the PATH on which it comes first."""
    directory = folder / "bin"
    directory.mkdir()
    (folder / "info").write_text(json.dumps(info) if info is not None else "", encoding="utf-8")
    (folder / "stderr").write_text(stderr, encoding="utf-8")
    docker = directory / "docker"
    docker.write_text(
        f"#!/bin/sh\ncat '{folder}/info'\ncat '{folder}/stderr' >&2\nexit {status}\n",
        encoding="utf-8",
    )
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    return f"{directory}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def fake_docker(tmp_path: Path) -> Callable[..., str]:
    """Make a docker command that says what a test wants; returns the PATH on which it comes first."""
    return functools.partial(make_docker, tmp_path)
