"""Roles alone, as molecule tries them: check mode, converge, idempotence, and a look by other means."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))


def test_there_are_scenarios() -> None:
    assert {"engine", "image", "registry", "toolchain"} <= set(SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str) -> None:
    program = Path(sys.executable).with_name("molecule")
    done = subprocess.run(
        [program, "test", f"--scenario-name={scenario}"],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
