"""Scenarios of molecule that stand alone: single roles."""

from __future__ import annotations

import pytest
from tests.scenarios import LARGE, NAMES, SHARING, Scenarios, failure

ALONE = [name for name in NAMES if name not in ("default", LARGE, *SHARING)]


def test_there_are_scenarios() -> None:
    assert {"default", LARGE, *SHARING, "engine", "image", "registry", "toolchain"} <= set(NAMES)


@pytest.mark.parametrize("scenario", ALONE)
def test_scenario(scenarios: Scenarios, scenario: str) -> None:
    done = scenarios.ended(scenario)
    assert done.returncode == 0, failure(done)
