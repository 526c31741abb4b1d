"""When a process of a run has to end."""

from __future__ import annotations

import pytest

from failover_lab.run import lifetime


@pytest.mark.parametrize("now", ["200", None])
def test_whoever_has_the_number_of_the_parent_is_not_the_parent(
    monkeypatch: pytest.MonkeyPatch, now: str | None
) -> None:
    """On a busy machine a number is given out again within minutes."""
    since: dict[int, str | None] = {7: "100"}
    monkeypatch.setattr(lifetime, "started", since.get)
    stop = lifetime.StopCondition(parent_pid=7)
    assert stop.reason() is None
    since[7] = now
    assert stop.reason() == "process 7 is gone"


def test_a_parent_that_was_gone_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "started", lambda _pid: None)
    assert lifetime.StopCondition(parent_pid=7).reason() == "process 7 is gone"
