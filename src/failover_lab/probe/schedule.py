"""Due times at a constant rate, whatever the server does."""

from __future__ import annotations

import math


class Schedule:
    """Due times ``first, first + 1/rate, …``, each reckoned from the first, so that errors do not add up."""

    __slots__ = ("_count", "_first", "_most", "_rate", "due", "kind")

    def __init__(self, kind: str, rate: float, first: float, duration_s: float | None = None) -> None:
        """Begin at ``first`` (monotonic seconds) with ``rate`` requests/s of this kind of connection.

        As many are due as ``duration_s`` has room for, at least one, and without end where it is None.
        """
        self._most = math.inf if duration_s is None else max(1, round(duration_s * rate))
        self.kind = kind
        self._rate = rate
        self._first = first
        self._count = 0
        self.due = first

    def advance(self) -> float:
        """Take the next due time; ``due`` is then the one after it."""
        taken = self.due
        self._count += 1
        self.due = math.inf if self.over else self._first + self._count / self._rate
        return taken

    @property
    def over(self) -> bool:
        """Whether all have been taken."""
        return self._count >= self._most


def default_reused_rate(rate: float) -> float:
    """Requests/s over the reused connections when only a rate for new ones is given: a tenth, at least 1.

    New connections are the measure; the reused ones are there to show how long-lived connections fare, and
    each of them sees every request anyway.
    """
    return max(1.0, rate / 10.0)
