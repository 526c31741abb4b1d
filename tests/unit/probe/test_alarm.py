"""Waiting until an instant: to the part of a millisecond, where the selector alone knows whole ones."""

from __future__ import annotations

import ctypes
import selectors
import statistics
import sys
import time
from collections.abc import Iterator

import pytest

from failover_lab.probe import alarm


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as made:
        yield made


def test_a_selector_is_woken_when_it_is_due(selector: selectors.BaseSelector) -> None:
    made = alarm.for_selector(selector)
    if made is None:
        pytest.skip("this system's selector is exact, or there is no timer")
    late_ms = []
    for step in range(60):
        due = time.monotonic() + 0.0002 + step * 0.00003
        made.set(due)
        ((key, _),) = selector.select(1.0)
        late_ms.append((time.monotonic() - due) * 1000)
        assert key.fileobj is made
    assert min(late_ms) >= 0
    # The selector by itself is 0.9 ms late in the median.
    assert statistics.median(late_ms) < 0.4
    selector.unregister(made)
    made.close()


def test_what_is_past_is_due_at_once_and_another_instant_takes_its_place(
    selector: selectors.BaseSelector,
) -> None:
    made = alarm.for_selector(selector)
    if made is None:
        pytest.skip("this system's selector is exact, or there is no timer")
    made.set(time.monotonic() - 5.0)
    assert selector.select(1.0)
    made.set(time.monotonic() + 60.0)
    assert not selector.select(0.01)
    made.close()


def test_a_system_without_such_timers_does_without(
    selector: selectors.BaseSelector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert alarm.for_selector(selector) is None
    monkeypatch.undo()
    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_more: object())
    assert alarm.for_selector(selector) is None
