"""The one wait loop: when it looks, when it ends, and what it tells meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from failover_lab.waiting import until

Looks = Callable[..., Callable[[], str]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept; nothing else takes time."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(slept))
    return slept


@pytest.fixture
def looks() -> Looks:
    """What is missing at each look, the last for ever."""

    def look(*missing: str) -> Callable[[], str]:
        left = list(missing)
        return lambda: left.pop(0) if len(left) > 1 else left[0]

    return look


def test_it_looks_until_nothing_is_missing(clock: list[float], looks: Looks) -> None:
    assert until(looks("a", "b", ""), 10, every_s=2) == ""
    assert clock == [2, 2]


def test_what_is_missing_when_the_time_is_over(clock: list[float], looks: Looks) -> None:
    assert until(looks("a", "b"), 5, every_s=2) == "b"
    assert clock == [2, 2, 1], "the last look is at the deadline, not before and not after"


def test_without_time_it_looks_once(clock: list[float], looks: Looks) -> None:
    assert until(looks("a", ""), 0) == "a"
    assert clock == []


def test_what_waiting_does_not_help_against(clock: list[float], looks: Looks) -> None:
    assert until(looks("a", "hopeless", ""), 10, over=lambda lack: lack == "hopeless") == "hopeless"
    assert len(clock) == 1


@pytest.mark.parametrize(
    ("at_changes", "lines"),
    [(False, ["a!", "b!"]), (True, ["a!", "b!", "b!"])],
)
def test_lines_come_every_few_seconds(
    clock: list[float],
    looks: Looks,
    capsys: pytest.CaptureFixture[str],
    *,
    at_changes: bool,
    lines: list[str],
) -> None:
    until(looks("a", "b", "b", "b", "b", "b", ""), 30, every_s=1, tell="{}!".format, at_changes=at_changes)
    # Without changes: at 0 and 4 s. With them: at 0, 1 and 5 s.
    assert capsys.readouterr().out.splitlines() == lines
