"""Records and changes as the rows that the charts are drawn from; times in seconds after the fault."""

from __future__ import annotations

import bisect
import collections
import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.report import stats, words
from failover_lab.report.rows import only
from failover_lab.run.records import NOT_SEEN_BY_USERS, Outcome

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping

    from failover_lab.report.build import Report
    from failover_lab.report.rows import Rows
    from failover_lab.run.records import Record

Row = dict[str, Any]
_NICE_S = (0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
# More rows than this would make a chart longer than any screen: those that the run is about come first.
_MOST_PODS = 40


@dataclass(frozen=True)
class Span:
    """What the time axis shows.

    Attributes:
        zero: the instant called 0: the fault, or the first request.
        begin: first second shown.
        end: last second shown.
        bin_s: width of one bar.
        since: what the instant called 0 is.
    """

    zero: float
    begin: float
    end: float
    bin_s: float
    since: str

    @property
    def title(self) -> str:
        """What the axis counts."""
        return f"seconds after {self.since}"

    def second(self, at: float) -> float:
        """The instant on the axis, within what is shown."""
        return round(min(max(at - self.zero, self.begin), self.end), 3)


def span(report: Report, bars: int) -> Span:
    """An axis over all requests with at most so many bars."""
    records = report.data.records
    first, last = records[0].due, records.ended or records[0].due
    zero = first if report.fault.at is None else report.fault.at
    wanted = max(last - first, 0.1) / bars
    bin_s = next((nice for nice in _NICE_S if nice >= wanted), math.ceil(wanted))
    begin = math.floor((first - zero) / bin_s) * bin_s
    since = words.zero(report.content)
    return Span(zero, begin, math.ceil((last - zero) / bin_s) * bin_s, bin_s, since)


def _bars(axis: Span, counts: Mapping[tuple[Any, ...], int], *names: str) -> list[Row]:
    return [
        {
            **dict(zip(names, key[1:], strict=True)),
            "t": round(key[0] * axis.bin_s, 3),
            "u": round((key[0] + 1) * axis.bin_s, 3),
            "n": count,
            "rate": round(count / axis.bin_s, 2),
        }
        for key, count in sorted(counts.items())
    ]


class Requests:
    """The requests by the bars of an axis, looked at once for all charts."""

    def __init__(self, records: Rows, axis: Span) -> None:
        """Count them."""
        self._axis = axis
        self._said = records.said
        # By the bar, and the sort of request.
        self._due: collections.Counter[tuple[int, int]] = collections.Counter()
        self._done: collections.Counter[tuple[int, int]] = collections.Counter()
        #: The median, 99% and slowest of good answers by due time.
        self.latencies: list[Row] = []
        good = [record.outcome is Outcome.OK for record in records.said]
        values: list[float] = []
        present: int | None = None
        for sorts, dues, dones in records.columns("said", "due", "done"):
            begin = 0
            while begin < len(dues):
                index = self._bar(dues[begin])
                end = bisect.bisect_left(dues, index + 1, begin, key=self._bar)
                these, ended = sorts[begin:end], dones[begin:end]
                if index != present:
                    self._add_latencies(present, values)
                    present, values = index, []
                for sort, count in collections.Counter(these).items():
                    self._due[index, sort] += count
                took = map(operator.sub, ended, dues[begin:end])
                values += map((1000.0).__mul__, only(took, these, good))
                self._count_ended(these, ended, good)
                begin = end
        self._add_latencies(present, values)

    def _bar(self, at: float) -> int:
        return math.floor((at - self._axis.zero) / self._axis.bin_s)

    def _count_ended(self, sorts: array[int], dones: array[float], good: list[bool]) -> None:
        first, last = self._bar(min(dones)), self._bar(max(dones))
        if first == last:
            counts = {
                (first, sort): count for sort, count in collections.Counter(sorts).items() if good[sort]
            }
        else:
            counts = collections.Counter(only(zip(map(self._bar, dones), sorts, strict=True), sorts, good))
        for key, count in counts.items():
            self._done[key] += count

    def _add_latencies(self, index: int | None, values: list[float]) -> None:
        if index is None or not values:
            return
        values.sort()
        for what, share in (("median", 0.5), ("99%", 0.99), ("slowest", 1.0)):
            value = stats.percentile(values, share)
            t = round((index + 0.5) * self._axis.bin_s, 3)
            self.latencies.append({"t": t, "what": what, "ms": round(max(value or 0.0, 0.05), 3)})

    def _bars(
        self, counted: collections.Counter[tuple[int, int]], name: str, of: Callable[[Record], str | None]
    ) -> list[Row]:
        """By the bar and what these say; of what is None, nothing."""
        counts: collections.Counter[tuple[int, str]] = collections.Counter()
        words = [of(record) for record in self._said]
        for (index, sort), count in counted.items():
            if (word := words[sort]) is not None:
                counts[index, word] += count
        return _bars(self._axis, counts, name)

    def throughput(self) -> list[Row]:
        """By due time: answered and failed."""

        def word(record: Record) -> str | None:
            if record.outcome in NOT_SEEN_BY_USERS:
                return None
            return "failed" if record.failed else "answered"

        return self._bars(self._due, "what", word)

    def failures(self) -> list[Row]:
        """Failed requests by due time, kind of failure and kind of connection."""

        def word(record: Record) -> str | None:
            return f"{record.outcome.replace('_', ' ')}, {record.kind}" if record.failed else None

        return self._bars(self._due, "what", word)

    def answers(self, of: str, names: list[str]) -> list[Row]:
        """Good answers by pod or by node.

        Args:
            of: ``pod`` or ``node``.
            names: which of them to show.
        """
        shown = set(names)

        def word(record: Record) -> str | None:
            name: str = getattr(record, of)
            return name if name in shown else None

        return self._bars(self._done, "name", word)


def pods(report: Report) -> list[str]:
    """The site's pods, those that answered or were to: replacements, displaced, then others."""
    new, old = ({entry["pod"] for entry in report.content[key]} for key in ("replacements", "displaced"))
    names = {record.pod for record in report.data.records.said if record.pod} | new | old
    return sorted(names, key=lambda pod: (pod not in new, pod not in old, pod))


def pods_in_order(report: Report) -> list[str]:
    """Those of them that are shown, the new ones last; at most forty."""
    new = {entry["pod"] for entry in report.content["replacements"]}
    return sorted(pods(report)[:_MOST_PODS], key=lambda pod: (pod in new, pod))


def _stretch(axis: Span, name: str, state: str, begin: float, end: float | None) -> Row | None:
    t, u = axis.second(begin), axis.end if end is None else axis.second(end)
    return {"name": name, "state": state, "t": t, "u": u} if u > t else None


def pod_states(report: Report, axis: Span, names: list[str]) -> list[Row]:
    """Starting, ready and stopping stretches of each pod, as the observer saw them."""
    rows: list[Row | None] = []
    shown = set(names)
    for life in report.cluster.lives:
        name = life.name
        if name not in shown:
            continue
        stop, gone = life.told_to_stop, life.gone
        if life.ready is None or life.ready > life.seen:
            rows.append(_stretch(axis, name, "starting", life.seen, life.ready or stop or gone))
        if life.ready is not None:
            rows.append(_stretch(axis, name, "ready", life.ready, stop or life.unready or gone))
        if stop is not None:
            rows.append(_stretch(axis, name, "stopping", stop, gone))
        elif life.unready is not None:
            rows.append(_stretch(axis, name, "not ready", life.unready, gone))
    return [row for row in rows if row is not None]


def node_states(report: Report, axis: Span) -> list[Row]:
    """Ready, cordoned and not ready stretches of each node."""
    rows: list[Row | None] = []
    for name, states in sorted(report.cluster.node_states.items()):
        ends = [*(at for at, _ in states[1:]), None][: len(states)]
        rows += [_stretch(axis, name, state, at, end) for (at, state), end in zip(states, ends, strict=True)]
    return [row for row in rows if row is not None]


def announcements(report: Report, axis: Span) -> list[Row]:
    """Who announced the address when."""
    states = report.cluster.announcers
    ends = [*(at for at, _ in states[1:]), None][: len(states)]
    rows = [_stretch(axis, node, "announces", at, end) for (at, node), end in zip(states, ends, strict=True)]
    return [row for row in rows if row is not None]


def marks(report: Report, axis: Span) -> list[Row]:
    """What the play did."""
    return [
        {"t": axis.second(mark.at), "what": mark.event.replace("_", " "), "order": order}
        for order, mark in enumerate(report.data.marks)
    ]
