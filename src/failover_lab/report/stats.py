"""The arithmetic of the report."""

from __future__ import annotations

import bisect
import collections
import itertools
import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Failures closer together than this are one stretch of trouble.
TOGETHER_S = 1.0


class Ordered(Sequence[float]):
    """Values, ascending; of those that are equal one is kept, and how many they are."""

    def __init__(self, values: Iterable[float]) -> None:
        """Count them."""
        counts = collections.Counter(values)
        self._values = array("d", sorted(counts))
        self._until = array("Q", itertools.accumulate(counts[value] for value in self._values))

    def __len__(self) -> int:
        """How many there were."""
        return self._until[-1] if self._until else 0

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        """The value at this place."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        return self._values[bisect.bisect_right(self._until, at)]


class Ranked:
    """Many values, which are looked at twice instead of being kept: for those at a few places of their order.

    Args:
        parts: gives them anew each time it is called.
    """

    def __init__(self, parts: Callable[[], Iterable[Iterable[float]]]) -> None:
        """Count them, together those that are nearly equal."""
        self._parts = parts
        self._counts: collections.Counter[int] = collections.Counter()
        for part in parts():
            self._counts.update(_nearly(part))
        self._length = self._counts.total()

    def __len__(self) -> int:
        """How many there are."""
        return self._length

    def at(self, places: Iterable[int]) -> dict[int, float]:
        """The values at these places of their ascending order, as far as there are so many."""
        order = sorted(self._counts)
        until = list(itertools.accumulate(map(self._counts.__getitem__, order)))
        wanted = {place: bisect.bisect_right(until, place) for place in places if 0 <= place < self._length}
        near = {order[index] for index in wanted.values()}
        exact: dict[int, collections.Counter[float]] = {one: collections.Counter() for one in near}
        for part in self._parts() if near else ():
            values = list(part)
            for one, value in zip(_nearly(values), values, strict=True):
                if one in near:
                    exact[one][value] += 1
        found = {one: Ordered(counts.elements()) for one, counts in exact.items()}
        return {
            place: found[order[index]][place - until[index] + self._counts[order[index]]]
            for place, index in wanted.items()
        }


def _nearly(values: Iterable[float]) -> Iterable[int]:
    return map(int, map((128.0).__mul__, values))


class Times:
    """How many of ascending instants lie in a stretch of time; it keeps each second that has any, once."""

    def __init__(self) -> None:
        """None yet."""
        self._seconds = array("q")
        self._before = array("Q", [0])

    def add(self, second: int, count: int) -> None:
        """So many more in a second that is no earlier than the last."""
        if not self._seconds or self._seconds[-1] != second:
            self._seconds.append(second)
            self._before.append(self._before[-1])
        self._before[-1] += count

    def whole_seconds(self, begin: int, end: int) -> int:
        """How many from the begin of one second until right before that of another."""
        first, last = bisect.bisect_left(self._seconds, begin), bisect.bisect_left(self._seconds, end)
        return max(0, self._before[last] - self._before[first])


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile of ascending values; None of none.

    Args:
        ordered: ascending.
        share: 0 to 1.
    """
    if not ordered:
        return None
    return ordered[place(share, len(ordered))]


def place(share: float, total: int) -> int:
    """Where the nearest-rank percentile is among so many ascending values."""
    return max(0, math.ceil(share * total) - 1)


def _at_most(failed: int, total: int, chance: float) -> float:
    """The probability of at most so many failures among all, each failing with this chance."""
    log_term = (
        math.lgamma(total + 1)
        - math.lgamma(failed + 1)
        - math.lgamma(total - failed + 1)
        + failed * math.log(chance)
        + (total - failed) * math.log1p(-chance)
    )
    # Downwards from the greatest term; above failed/total the terms only shrink.
    term = summed = 1.0
    for count in range(failed, 0, -1):
        term *= count * (1.0 - chance) / ((total - count + 1) * chance)
        summed += term
        if term < summed * 1e-12:
            break
    return math.exp(log_term + math.log(summed))


def at_least(failed: int, total: int, chance: float) -> float:
    """The probability of so many failures among all or more, each failing with this chance (0 to 1)."""
    if failed <= 0 or chance >= 1.0:
        return 1.0
    if failed > total or chance <= 0.0:
        return 0.0
    # Few failures are many successes: the same sum from its other end.
    return min(1.0, _at_most(total - failed, total, 1.0 - chance))


def _upper(failed: int, total: int, tail: float) -> float:
    """The greatest probability of a failure under which so few would still be seen that often."""
    if failed >= total:
        return 1.0
    if failed == 0:
        return -math.expm1(math.log(tail) / total)
    low, high = failed / total, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if middle >= 1.0 or _at_most(failed, total, middle) < tail:
            high = middle
        else:
            low = middle
    return high


def upper_bound_95(failed: int, total: int) -> float | None:
    """The exact one-sided upper 95% bound (Clopper-Pearson) on the probability of a failure.

    It is the greatest probability under which so few failures would still be seen once in twenty times.
    Requests are taken as independent; failures that come in bursts carry less information than that.

    Returns:
        0 to 1; None where nothing was tried.
    """
    return _upper(failed, total, 0.05) if total > 0 else None


def interval_95(failed: int, total: int) -> tuple[float, float]:
    """The exact two-sided 95% interval (Clopper-Pearson) of the probability of a failure.

    Args:
        failed: 0 to total.
        total: at least 1.

    Returns:
        low and high, each 0 to 1.
    """
    return 1.0 - _upper(total - failed, total, 0.025), _upper(failed, total, 0.025)


def outages(requests: Iterable[tuple[float, bool]], interval_s: float) -> list[tuple[float, float]]:
    """Stretches in which nothing got through.

    Args:
        requests: (due, failed) in the order of due times.
        interval_s: from one request to the next, for an outage that lasts to the end.

    Returns:
        (begin, end): from the due time of the first failure in a row to the next good request's.
    """
    result: list[tuple[float, float]] = []
    begin: float | None = None
    last = 0.0
    for due, failed in requests:
        if failed and begin is None:
            begin = due
        elif not failed and begin is not None:
            result.append((begin, due))
            begin = None
        last = due
    if begin is not None:
        result.append((begin, last + interval_s))
    return result


def merge(spans: Iterable[tuple[float, float]], within_s: float = TOGETHER_S) -> list[tuple[float, float]]:
    """Join ascending spans that are less than this apart."""
    result: list[tuple[float, float]] = []
    for begin, end in spans:
        if result and begin - result[-1][1] < within_s:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((begin, end))
    return result
