"""Records and changes as the rows that the charts are drawn from; times in seconds after the fault."""

from __future__ import annotations

import bisect
import collections
import itertools
import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.report import stats, words
from failover_lab.report.rows import only
from failover_lab.run import instants
from failover_lab.run.counts import commonest
from failover_lab.run.records import Outcome, counted_as

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping

    from failover_lab.report.build import Report
    from failover_lab.report.rows import Rows
    from failover_lab.run.records import Record

Row = dict[str, Any]
_NICE_S = (0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
# A stretch in which nothing happens is left out where it is so long, and so large a part of all; a few
# seconds at its ends stay. What is left out is drawn as wide as so large a part of the rest.
_LONG_S, _LONG, _AROUND_S, _GAP = 40.0, 0.15, 5.0, 0.06
# So many lanes of failures are looked at as easily as one.
_LANES = 5
# Answers that took longer are worth a look.
_SLOW_MS = 100.0
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
        quiet: from which second to which nothing happened, for long: of these the axis leaves most out.
    """

    zero: float
    begin: float
    end: float
    bin_s: float
    since: str
    quiet: tuple[tuple[float, float], ...] = ()

    @property
    def title(self) -> str:
        """What the axis counts."""
        return f"seconds after {self.since}"

    def second(self, at: float) -> float:
        """The instant on the axis, within what is shown."""
        return round(min(max(at - self.zero, self.begin), self.end), 3)

    @property
    def gap(self) -> float:
        """How wide what is left out is drawn, in seconds of the rest."""
        shown = self.end - self.begin - sum(end - begin for begin, end in self.quiet)
        return shown * _GAP

    def place(self, second: float) -> float:
        """Where a second is drawn: in seconds, as if what is left out took as long as the gap for it."""
        left_out = 0.0
        for begin, end in self.quiet:
            if second <= begin:
                break
            left_out += (end - begin - self.gap) * min(1.0, (second - begin) / (end - begin))
        return round(second - left_out, 3)

    def placed(self, rows: list[Row]) -> list[Row]:
        """Rows with ``t``, and ``u`` where they end, where they are drawn; none of what is left out."""
        if not self.quiet:
            return rows
        return [
            row | {key: self.place(row[key]) for key in ("t", "u") if key in row}
            for row in rows
            if not any(
                begin <= row["t"] and (row["u"] if "u" in row else row["t"]) <= end
                for begin, end in self.quiet
            )
        ]


def _moments(report: Report) -> list[float]:
    """When something happened that somebody may want to see."""
    seen, content = report.cluster, report.content
    lives = [
        at
        for life in seen.lives
        for at in (life.seen, life.ready, life.told_to_stop, life.unready, life.gone)
        if at is not None
    ]
    nodes = [at for states in seen.node_states.values() for at, _ in states]
    lost = [at for group in content["failures"] for at in (group["began"], group["ended"])]
    slow = [one["due"] for one in content["slowest"] if one["latency_ms"] >= _SLOW_MS]
    told = [instants.parse(text) for text in (*lost, *slow)]
    return [*lives, *nodes, *(at for at, _ in seen.announcers), *(m.at for m in report.data.marks), *told]


def _quiet(report: Report, first: float, last: float, zero: float) -> tuple[tuple[float, float], ...]:
    """The long stretches in which nothing happened, but for their first and last seconds."""
    moments = sorted({first, last, *(at for at in _moments(report) if first < at < last)})
    # Requests may be lost all the time between the first and the last of a group.
    spells = [(instants.parse(g["began"]), instants.parse(g["ended"])) for g in report.content["failures"]]
    found = [
        (begin + _AROUND_S - zero, end - _AROUND_S - zero)
        for begin, end in itertools.pairwise(moments)
        if end - begin >= max(_LONG_S, _LONG * (last - first))
        and not any(b < end and begin < e for b, e in spells)
    ]
    return tuple((round(begin, 3), round(end, 3)) for begin, end in found)


def span(report: Report, bars: int) -> Span:
    """An axis over all requests with at most so many bars."""
    records = report.data.records
    first, last = records[0].due, records.ended or records[0].due
    zero = report.zero
    quiet = _quiet(report, first, last, zero)
    left_out = sum(end - begin for begin, end in quiet)
    wanted = max(last - first - left_out, 0.1) / bars
    bin_s = next((nice for nice in _NICE_S if nice >= wanted), math.ceil(wanted))
    begin = math.floor((first - zero) / bin_s) * bin_s
    since = words.zero(report.content)
    return Span(zero, begin, math.ceil((last - zero) / bin_s) * bin_s, bin_s, since, quiet)


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
        return self._bars(self._due, "what", lambda record: counted_as(record.outcome))

    def failures(self) -> list[Row]:
        """Failed requests by due time, kind of failure and kind of connection."""

        def word(record: Record) -> str | None:
            return f"{record.outcome.replace('_', ' ')}, {record.kind}" if record.failed else None

        rows = self._bars(self._due, "what", word)
        totals: collections.Counter[str] = collections.Counter()
        for row in rows:
            totals[row["what"]] += row["n"]
        if len(totals) <= _LANES:
            return rows
        # A lane each for what happened often; what happened now and then shares one.
        often = {what for what, _ in commonest(totals)[: _LANES - 1]}
        rest = f"{len(totals) - len(often)} other kinds"
        return [row if row["what"] in often else row | {"what": rest} for row in rows]

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
    """Those of them that are shown, as they came, and node by node; at most forty."""
    new = {entry["pod"] for entry in report.content["replacements"]}
    lost = {entry["pod"] for entry in report.content["displaced"]}
    # What was there when the observer began came before all that it saw come.
    listed = {change.name for change in report.data.changes if change.change == "LISTED"}
    lives = {life.name: (life.seen, life.node) for life in reversed(report.cluster.lives)}

    def place(pod: str) -> tuple[bool, bool, float, str, str]:
        seen, node = lives.get(pod, (math.inf if pod in new else 0.0, ""))
        return pod in new, pod not in lost, 0.0 if pod in listed else seen, node, pod

    return sorted(pods(report)[:_MOST_PODS], key=place)


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
        {"t": axis.second(mark.at), "what": words.mark(mark.event), "order": order}
        for order, mark in enumerate(report.data.marks)
    ]
