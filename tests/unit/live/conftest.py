"""The made-up runs that these tests share with others."""

import pytest
from tests.unit.made_up import _looks_often, made_up, undisturbed

__all__ = ["_looks_often", "made_up", "undisturbed"]


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing a report's charts takes longest, and says nothing of what is counted."""
    monkeypatch.setattr("failover_lab.report.charts.draw", lambda _spec: "")
