"""The few moments that tell a run's story: before, struck, given away, afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.report import words
from failover_lab.report.build import PARTS
from failover_lab.run import marks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from failover_lab.report.build import Report
    from failover_lab.report.scene import Scenes

# So many are seen side by side.
_MOST = 4
# Two that are as near as that show the same.
_APART_S = 0.5
# What is counted at a moment: a second, or where requests are few so long as this many of them take.
_SPAN_S, _MOST_SPAN_S, _ENOUGH = 1.0, 10.0, 20
# Where nothing says when the worst is over.
_WORST_S = 10.0
# Of very many changes so many are looked at.
_MOST_LOOKS = 200


@dataclass(frozen=True)
class Moment:
    """An instant, and the requests about then.

    Attributes:
        title: what it is.
        at: the instant.
        begin: from when on requests are counted.
        span_s: for how long.
    """

    title: str
    at: float
    begin: float
    span_s: float


def chosen(report: Report, scenes: Scenes) -> list[Moment]:
    """Those that tell the story, in their order; none where there was no request."""
    return _Choice(report, scenes).moments() if report.data.records else []


class _Choice:
    def __init__(self, report: Report, scenes: Scenes) -> None:
        self._report, self._scenes = report, scenes
        records, about = report.data.records, report.data.about
        rate = (about.get("new_rate") or 0.0) + (about.get("reused_rate") or 0.0)
        self._span_s = min(max(_SPAN_S, _ENOUGH / rate if rate else 0.0), _MOST_SPAN_S)
        self._first, self._last = records[0].due, records[-1].due
        took = report.content["clocks_s"]
        self._clocks = {
            name: report.fault.at + took[name]
            for name in ("address", "endpoints", "capacity")
            if report.fault.at is not None and took[name] is not None
        }

    def moments(self) -> list[Moment]:
        found: list[Moment] = []
        # The more a moment tells, the sooner it is asked for.
        for moment in self._told():
            apart = all(abs(moment.at - other.at) >= _APART_S for other in found)
            if apart and self._first <= moment.at <= self._last and len(found) < _MOST:
                found.append(moment)
        return sorted(found, key=lambda moment: moment.at)

    def _told(self) -> Iterator[Moment]:
        zero, end = self._report.fault.at, max(self._first, self._last - self._span_s)
        if zero is None:
            yield self._moment("At the beginning", self._first)
            yield self._moment("At the end", end)
            yield from self._worst(None)
            return
        before = max(self._first, zero - self._span_s)
        if zero - before >= _APART_S:
            yield Moment("Before", before, before, zero - before)
        struck = self._struck(zero)
        yield struck
        well = self._report.data.mark(marks.STEADY_AFTER) is not None
        yield self._moment("Afterwards" if well else "At the end", max(end, struck.begin))
        yield from self._worst(struck)
        clocks = sorted(self._clocks.keys() - {"capacity"}, key=self._clocks.__getitem__)[-1:]
        clocks += self._clocks.keys() & {"capacity"}
        # Who is told in time leaves the list of endpoints before anybody is short of him.
        for name in reversed(clocks) if self._report.fault.what.polite else clocks:
            yield self._moment(words.CLOCKS[name].capitalize(), self._clocks[name])

    def _moment(self, title: str, at: float) -> Moment:
        return Moment(title, at, at, self._span_s)

    def _about(self, title: str, begin: float) -> Moment:
        """What is counted from then on, and what there was in the middle of it."""
        return Moment(title, begin + self._span_s / 2, begin, self._span_s)

    def _struck(self, zero: float) -> Moment:
        """When most was lost to the fault, or if nothing was, when most pods came and went."""
        healed = self._report.data.mark(marks.HEALED)
        ends = (*self._clocks.values(), *([] if healed is None else [healed]), zero + _WORST_S)
        over = min((at for at in ends if at > zero + _APART_S), default=zero + _WORST_S)
        title = "Under way" if self._report.fault.what.polite else "Struck"
        begin = self._most_lost(zero, over)
        return (
            self._moment(title, self._most_moved(zero, over)) if begin is None else self._about(title, begin)
        )

    def _worst(self, struck: Moment | None) -> Iterator[Moment]:
        """When most was lost of all, unless that is shown."""
        begin = self._most_lost(self._first, math.inf)
        if begin is not None and (struck is None or self._lost(begin) > self._lost(struck.begin)):
            yield self._about("The worst moment", begin)

    def _lost(self, at: float) -> int:
        """How many were lost in a moment that begins then, to a part of a second."""
        first = math.floor(at * PARTS)
        return sum(self._report.lost[part] for part in range(first, first + round(self._span_s * PARTS)))

    def _most_lost(self, begin: float, end: float) -> float | None:
        parts = (part for part in self._report.lost if begin * PARTS - 1 < part < end * PARTS)
        most, at = max(((self._lost(part / PARTS), -part) for part in parts), default=(0, 0))
        return max(begin, -at / PARTS) if most else None

    def _most_moved(self, begin: float, end: float) -> float:
        instants = sorted(
            {
                at
                for life in self._report.cluster.lives
                for at in (life.seen, life.ready, life.told_to_stop, life.unready, life.gone)
                if at is not None and begin <= at < end
            }
        )
        looked = instants[:: max(1, len(instants) // _MOST_LOOKS)]
        moved = [(sum(pod["state"] != "ready" for pod in self._scenes.pods(at)), -at) for at in looked]
        return -max(moved)[1] if moved else begin
