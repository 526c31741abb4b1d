"""The scenario of the lab as somebody else would have it."""

from __future__ import annotations

from tests.scenarios import LARGE, Scenarios, failure


def test_the_lab_as_somebody_else_would_have_it(scenarios: Scenarios) -> None:
    done = scenarios.ended(LARGE)
    assert done.returncode == 0, failure(done)
