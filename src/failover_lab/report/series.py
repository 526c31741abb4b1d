"""Records and changes as the rows that the charts are drawn from; times in seconds after the fault."""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.report import stats, words
from failover_lab.run.records import NOT_SEEN_BY_USERS, Outcome

if TYPE_CHECKING:
    from failover_lab.report.build import Report
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

    def bin(self, at: float) -> int:
        """The bar that an instant belongs to."""
        return math.floor((at - self.zero) / self.bin_s)

    def second(self, at: float) -> float:
        """The instant on the axis, within what is shown."""
        return round(min(max(at - self.zero, self.begin), self.end), 3)


def span(report: Report, bars: int) -> Span:
    """An axis over all requests with at most so many bars."""
    records = report.data.records
    first, last = records[0].due, max(record.done for record in records)
    zero = first if report.fault.at is None else report.fault.at
    wanted = max(last - first, 0.1) / bars
    bin_s = next((nice for nice in _NICE_S if nice >= wanted), math.ceil(wanted))
    begin = math.floor((first - zero) / bin_s) * bin_s
    since = words.zero(report.content)
    return Span(zero, begin, math.ceil((last - zero) / bin_s) * bin_s, bin_s, since)


def _bars(axis: Span, counts: dict[tuple[Any, ...], int], *names: str) -> list[Row]:
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


def throughput(records: list[Record], axis: Span) -> list[Row]:
    """Requests by due time: answered and failed."""
    counts = collections.Counter(
        (axis.bin(r.due), "failed" if r.failed else "answered")
        for r in records
        if r.outcome not in NOT_SEEN_BY_USERS
    )
    return _bars(axis, counts, "what")


def failures(records: list[Record], axis: Span) -> list[Row]:
    """Failed requests by due time, kind of failure and kind of connection."""
    counts = collections.Counter(
        (axis.bin(r.due), f"{r.outcome.replace('_', ' ')}, {r.kind}") for r in records if r.failed
    )
    return _bars(axis, counts, "what")


def latencies(records: list[Record], axis: Span) -> list[Row]:
    """The median, 99% and slowest of good answers by due time."""
    bins: dict[int, list[float]] = collections.defaultdict(list)
    for record in records:
        if record.outcome is Outcome.OK:
            bins[axis.bin(record.due)].append(record.latency_ms)
    rows: list[Row] = []
    for index, values in sorted(bins.items()):
        values.sort()
        for what, share in (("median", 0.5), ("99%", 0.99), ("slowest", 1.0)):
            value = stats.percentile(values, share)
            t = round((index + 0.5) * axis.bin_s, 3)
            rows.append({"t": t, "what": what, "ms": round(max(value or 0.0, 0.05), 3)})
    return rows


def pods(report: Report) -> list[str]:
    """The site's pods, those that answered or were to: replacements, displaced, then others."""
    new, old = ({entry["pod"] for entry in report.content[key]} for key in ("replacements", "displaced"))
    names = {record.pod for record in report.data.records if record.pod} | new | old
    return sorted(names, key=lambda pod: (pod not in new, pod not in old, pod))


def pods_in_order(report: Report) -> list[str]:
    """Those of them that are shown, the new ones last; at most forty."""
    new = {entry["pod"] for entry in report.content["replacements"]}
    return sorted(pods(report)[:_MOST_PODS], key=lambda pod: (pod in new, pod))


def answers(records: list[Record], axis: Span, of: str, names: list[str]) -> list[Row]:
    """Good answers by pod or by node.

    Args:
        records: the requests.
        axis: the time axis.
        of: ``pod`` or ``node``.
        names: which of them to show.
    """
    shown = set(names)
    counts = collections.Counter(
        (axis.bin(r.done), getattr(r, of))
        for r in records
        if r.outcome is Outcome.OK and getattr(r, of) in shown
    )
    return _bars(axis, counts, "name")


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
