from __future__ import annotations

import pytest
from ansible_collections.failover_lab.lab.plugins.plugin_utils import timing


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0s"),
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (70, "1m10s"),
        (3599.6, "1h00m"),
        (7500, "2h05m"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert timing.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "5s"), (7, "5s"), (58, "1m00s"), (64, "1m00s"), (204, "3m20s")]
)
def test_an_estimate_is_not_said_to_the_second(seconds: float, said: str) -> None:
    assert timing.about(seconds) == said


def test_the_rest_is_what_was_expected() -> None:
    assert timing.seconds_left(20, 60) == pytest.approx(40)


def test_what_is_overdue_does_not_end_at_once() -> None:
    assert timing.seconds_left(300, 100) >= 30


def test_never_negative() -> None:
    assert timing.seconds_left(0, 0) == 0
