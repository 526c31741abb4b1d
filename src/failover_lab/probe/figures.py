"""What a run of the probe comes to, in a few lines, kept in memory that does not grow with it."""

from __future__ import annotations

import collections
import itertools
import math
from array import array
from typing import TYPE_CHECKING, Any

from failover_lab.run.counts import commonest
from failover_lab.run.records import NOT_SEEN_BY_USERS, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from failover_lab.run.records import Record

SHARES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
# A time is kept to one part in so many.
_FINENESS = 10_000
_LEAST_MS = 1e-3
_BAR = 40
_MOST_SECONDS = 20


class Times:
    """How long requests took, each to a part in ten thousand."""

    def __init__(self) -> None:
        """None yet."""
        self._counts: collections.Counter[int] = collections.Counter()
        self.count = 0
        self.slowest_ms: float | None = None

    def add(self, ms: float) -> None:
        """Count one."""
        self._counts[round(math.log(max(ms, _LEAST_MS)) * _FINENESS)] += 1
        self.count += 1
        self.slowest_ms = max(ms, self.slowest_ms or 0.0)

    def with_more(self, others: Times) -> Times:
        """These and those."""
        both = Times()
        both._counts = self._counts + others._counts
        both.count = self.count + others.count
        both.slowest_ms = max(filter(None, (self.slowest_ms, others.slowest_ms)), default=None)
        return both

    def percentile_ms(self, share: float) -> float | None:
        """The time within which so large a share was done; None of none."""
        rank, seen = math.ceil(share * self.count), 0
        for key, count in sorted(self._counts.items()):
            seen += count
            if seen >= rank:
                return min(math.exp(key / _FINENESS), self.slowest_ms or 0.0)
        return None

    def figures(self) -> dict[str, float | None]:
        """Percentiles and the slowest, in milliseconds."""
        found = {name: self.percentile_ms(share) for name, share in SHARES.items()}
        return {
            k: None if v is None else round(v, 3) for k, v in (found | {"slowest": self.slowest_ms}).items()
        }

    def histogram(self) -> list[tuple[float, int]]:
        """How many took less than so many milliseconds and no less than those of the entry before."""
        counts: collections.Counter[float] = collections.Counter()
        for key, count in self._counts.items():
            counts[_above(math.exp(key / _FINENESS))] += count
        if not counts:
            return []
        least, most = min(counts), max(counts)
        return [(bound, counts[bound]) for bound in _bounds() if least <= bound <= most]


def _bounds() -> Iterator[float]:
    """1, 2, 5, 10, … from a thousandth of a millisecond to days."""
    return (float(f"{digit}e{power}") for power in range(-3, 9) for digit in (1, 2, 5))


def _above(ms: float) -> float:
    return next(bound for bound in _bounds() if ms < bound)


class Figures:
    """Counts of a run.

    Args:
        connect_timeout_s: what a lost request counts as that found no connection.
        read_timeout_s: what any other counts as, if it was lost sooner.
    """

    def __init__(self, connect_timeout_s: float, read_timeout_s: float) -> None:
        """Nothing was heard yet."""
        self._lost_ms = {False: connect_timeout_s * 1000.0, True: read_timeout_s * 1000.0}
        self._began = math.inf
        self._ended = 0.0
        self.kinds: collections.Counter[str] = collections.Counter()
        self.statuses: collections.Counter[int] = collections.Counter()
        self.failures: collections.Counter[str] = collections.Counter()
        self.aside: collections.Counter[str] = collections.Counter()
        # By failure, one number for each second: a day of failures is 350 kB.
        self._seconds: dict[str, array[int]] = {}
        self.answered = Times()
        self._waits = Times()

    def hear(self, record: Record, since: float) -> None:
        """Count one request.

        Args:
            record: of the request.
            since: when the first one was due.
        """
        self._began = min(self._began, record.due)
        self._ended = max(self._ended, record.done)
        self.kinds[record.kind] += 1
        if record.status is not None:
            self.statuses[record.status] += 1
        if record.outcome in NOT_SEEN_BY_USERS:
            self.aside[record.outcome] += 1
            return
        if record.outcome is Outcome.OK:
            self.answered.add(record.latency_ms)
        else:
            what = record.outcome + (f" ({record.detail})" if record.detail else "")
            self.failures[what] += 1
            self._count(math.floor(record.due - since), what)
            # Whoever is refused at once asks again and again: it counts as the wait that it was meant to be.
            least_ms = self._lost_ms[record.connected is not None or record.prior > 0]
            self._waits.add(max(record.latency_ms, least_ms))

    def _count(self, second: int, what: str) -> None:
        counts = self._seconds.setdefault(what, array("I"))
        counts.extend(itertools.repeat(0, second + 1 - len(counts)))
        counts[second] += 1

    @property
    def all(self) -> Times:
        """Of all requests, the lost ones as well."""
        return self.answered.with_more(self._waits)

    @property
    def lost(self) -> int:
        """How many requests a user would have seen fail."""
        return self.failures.total()

    def by_second(self) -> list[dict[str, Any]]:
        """In which seconds since the first request how many were lost, and how."""
        return [
            {"second": second, "failure": what, "count": count}
            for second, what, count in sorted(
                (second, what, count)
                for what, counts in self._seconds.items()
                for second, count in enumerate(counts)
                if count
            )
        ]

    def told(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "requests": self.kinds.total(),
            "by_connection": dict(sorted(self.kinds.items())),
            "answered": self.answered.count,
            "lost": self.lost,
            "not_counted": dict(sorted(self.aside.items())),
            "seconds": round(max(0.0, self._ended - self._began), 3) if self.kinds else 0.0,
            "latency_ms": {"answered": self.answered.figures(), "all": self.all.figures()},
            "histogram": [{"below_ms": bound, "count": count} for bound, count in self.answered.histogram()],
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "failures": dict(commonest(self.failures)),
            "failures_by_second": self.by_second(),
        }

    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        kinds = " and ".join(f"{count} on {kind} connections" for kind, count in sorted(self.kinds.items()))
        aside = "".join(f", {count} {name} (not counted)" for name, count in sorted(self.aside.items()))
        yield f"requests   {self.kinds.total()}: {kinds}" if self.kinds else "requests   none"
        yield f"answered   {self.answered.count}, lost {self.lost}{aside}"
        yield "ms         " + "".join(f"{name:>10}" for name in (*SHARES, "slowest"))
        yield _row("answered", self.answered)
        if self.lost:
            yield _row("all", self.all) + "   (a lost one counts as its time-out)"
        for bound, count in (histogram := self.answered.histogram()):
            bar = "#" * math.ceil(_BAR * count / max(count for _, count in histogram))
            yield f"{f'< {bound:g} ms':>12} {count:>9} {bar}".rstrip()
        if self.statuses:
            yield "statuses   " + ", ".join(
                f"{count} of {status}" for status, count in sorted(self.statuses.items())
            )
        if self.failures:
            yield "lost       " + ", ".join(f"{count} {what}" for what, count in commonest(self.failures))
        entries = self.by_second()
        seconds = sorted({entry["second"] for entry in entries})
        for second in seconds[:_MOST_SECONDS]:
            counts = ", ".join(f"{e['count']} {e['failure']}" for e in entries if e["second"] == second)
            yield f"{f'second {second}':>12} {counts}"
        if len(seconds) > _MOST_SECONDS:
            yield f"{'':>12} and in {len(seconds) - _MOST_SECONDS} more seconds"


def _row(name: str, times: Times) -> str:
    return f"{name:<11}" + "".join(
        f"{'-' if ms is None else f'{ms:.2f}':>10}" for ms in times.figures().values()
    )
