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


def test_without_other_steps_the_rest_is_what_was_expected() -> None:
    assert timing.seconds_left(20, expected_s=60) == pytest.approx(40)


def test_later_steps_count() -> None:
    left = timing.seconds_left(20, expected_s=60, before_s=100, done_expected_s=100, total_expected_s=300)
    assert left == pytest.approx(40 + 140)


def test_a_machine_half_as_fast_doubles_the_estimate() -> None:
    left = timing.seconds_left(0, expected_s=100, before_s=2000, done_expected_s=1000, total_expected_s=2000)
    assert left == pytest.approx(2000, rel=0.03)


def test_one_quick_first_step_promises_little() -> None:
    left = timing.seconds_left(0, expected_s=100, before_s=0.1, done_expected_s=1, total_expected_s=101)
    assert 90 < left <= 100


def test_an_overdue_step_slows_the_rest_and_does_not_end_at_once() -> None:
    left = timing.seconds_left(300, expected_s=100, total_expected_s=200)
    assert left > 30 + 200


def test_never_negative_and_falling_while_nothing_else_happens() -> None:
    lefts = [timing.seconds_left(elapsed, expected_s=60, total_expected_s=90) for elapsed in range(0, 60, 5)]
    assert lefts == sorted(lefts, reverse=True)
    assert min(lefts) > 0
    assert timing.seconds_left(0, expected_s=0, done_expected_s=50, total_expected_s=20) == 0
