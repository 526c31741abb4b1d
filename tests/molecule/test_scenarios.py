"""Scenarios of molecule that stand alone: single roles."""

from __future__ import annotations

import pytest
from tests.beside import LARGE, SCENARIOS, SHARING, Beside, failure

pytestmark = [pytest.mark.cluster, pytest.mark.nightly, pytest.mark.shares]

ALONE = [name for name in SCENARIOS if name not in ("default", LARGE, *SHARING)]


def test_there_are_scenarios() -> None:
    assert {"default", LARGE, *SHARING, "engine", "image", "registry", "toolchain"} <= set(SCENARIOS)


@pytest.mark.parametrize("scenario", ALONE)
def test_scenario(beside: Beside, scenario: str) -> None:
    done = beside.ended(scenario)
    assert done.returncode == 0, failure(done)
