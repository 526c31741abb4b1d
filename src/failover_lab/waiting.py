"""Waiting for a condition: look until nothing is missing, with a deadline, and tell what is meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_LOOK_EVERY_S = 0.25
# No user waits for longer than five seconds without a line; a look takes a part of that.
_TELL_EVERY_S = 4.0


def until(
    missing: Callable[[], T],
    timeout_s: float,
    *,
    every_s: float = _LOOK_EVERY_S,
    over: Callable[[T], object] = lambda _missing: False,
    tell: Callable[[T], str] | None = None,
    at_changes: bool = False,
) -> T:
    """Look until nothing is missing, or the time is over; gives back what the last look found.

    Args:
        missing: looks; what it gives back is false where nothing is missing.
        timeout_s: after so long, what is missing then is the answer. It is looked once in any case.
        every_s: between two looks.
        over: of what is missing, whether waiting helps no more.
        tell: of what is missing, the line that is printed every few seconds.
        at_changes: print it as well whenever it is another one.
    """
    deadline = time.monotonic() + timeout_s
    told, next_line = "", 0.0
    while (found := missing()) and not over(found):
        now = time.monotonic()
        if tell is not None:
            line = tell(found)
            if now >= next_line or (at_changes and line != told):
                print(line, flush=True)
                told, next_line = line, now + _TELL_EVERY_S
        if now >= deadline:
            break
        time.sleep(min(every_s, max(0.01, deadline - now)))
    return found
