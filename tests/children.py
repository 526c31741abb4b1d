"""Commands that tests run in a checkout, and how they end."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def ended(
    *command: str | Path, cwd: Path, environment: Mapping[str, str], timeout_s: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end: how it ended, and all that it said, in one.

    What a make that runs the tests hands on to its own children is no affair of one that is run here.
    """
    return subprocess.run(
        command,
        cwd=cwd,
        env={name: value for name, value in environment.items() if not name.startswith("MAKE")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def output_of(*command: str | Path, cwd: Path, environment: Mapping[str, str], timeout_s: float = 900) -> str:
    """Run a command to its end, and give back all that it said; that it failed is the test's failure."""
    done = ended(*command, cwd=cwd, environment=environment, timeout_s=timeout_s)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout
