"""What the page is shown: frames one after the other, each with what is new since the one before.

A frame is an object with ``t``, in seconds after the film's zero, and any of these:

    scene   the cluster from then on: nodes, pods, who announces the address
    rows    requests that ended: [second in which they were due, receiving node, pod, outcome, how many]
    times   answer times: [second, bucket of a tenth of a decade of milliseconds, how many]
    slowest the slowest answer of a second: [second, milliseconds]
    say     sentences of the story: {t, text, tone}
    marks   instants of the play: {t, event}
    clocks  the four clocks: name to seconds after the fault, null while it runs
    fault   when the fault struck
    ahead   what is waited for: {text, since, about, type}
    news    when the first thing of the cluster's was seen that it tells of; how late it is shown goes by that
    end     the verdict, once there is one
    gone    why nothing more will come, where there is no verdict
"""

from __future__ import annotations

import collections
import math
from typing import TYPE_CHECKING, Any

from failover_lab.run.records import Outcome, counted_as

if TYPE_CHECKING:
    from collections.abc import Iterable

Frame = dict[str, Any]
Key = tuple[int, str, str, str]

#: How finely answer times are told: so many buckets for each power of ten.
PER_DECADE = 10
_LEAST_MS = 0.01
# What replaces what was there before; all else is added to it.
_REPLACED = ("scene", "clocks", "fault", "ahead", "end")
_ADDED = ("say", "marks")


class Counts:
    """Requests that have ended since they were last asked for, added up."""

    def __init__(self) -> None:
        """None yet."""
        self._rows: collections.Counter[Key] = collections.Counter()
        self._times: collections.Counter[tuple[int, int]] = collections.Counter()
        self._slowest: dict[int, float] = {}

    def add(self, key: Key, ms: float, n: int = 1) -> None:
        """Count requests.

        Args:
            key: the second in which they were due; the node that received them (empty: nobody knows, or none
                did); the pod that answered, or to which they were sent (empty: nobody knows); how they ended.
            ms: how long an answer took.
            n: how many.
        """
        self._rows[key] += n
        second, _, _, outcome = key
        if outcome == Outcome.OK:
            bucket = math.floor(math.log10(max(ms, _LEAST_MS)) * PER_DECADE)
            self._times[second, bucket] += n
            if ms > self._slowest.get(second, 0.0):
                self._slowest[second] = ms

    def take(self) -> Frame:
        """What was counted, as a part of a frame; it is counted anew."""
        if not self._rows:
            return {}
        frame: Frame = {"rows": [[*key, n] for key, n in self._rows.items() if n]}
        if self._times:
            frame["times"] = [[*key, n] for key, n in self._times.items()]
            frame["slowest"] = [[second, round(ms, 2)] for second, ms in self._slowest.items()]
        self._rows.clear()
        self._times.clear()
        self._slowest.clear()
        return frame

    def put(self, frame: Frame) -> None:
        """Count what is in a frame."""
        for second, via, pod, outcome, n in frame.get("rows", ()):
            self._rows[second, via, pod, outcome] += n
        for second, bucket, n in frame.get("times", ()):
            self._times[second, bucket] += n
        for second, ms in frame.get("slowest", ()):
            self._slowest[second] = max(ms, self._slowest.get(second, 0.0))


def merged(frames: Iterable[Frame], step_s: float) -> list[Frame]:
    """The same with one frame for each step at most, but one for each change of what is seen.

    Args:
        frames: in their order.
        step_s: how long a step is.
    """
    result: list[Frame] = []
    counts, step = Counts(), -math.inf
    for frame in frames:
        mine = math.floor(frame["t"] / step_s)
        if not result or mine != step or "scene" in frame:
            if result:
                result[-1] |= counts.take()
            result.append({"t": frame["t"]})
            step = mine
        counts.put(frame)
        last = result[-1]
        for key in _REPLACED:
            if key in frame:
                last[key] = frame[key]
        for key in _ADDED:
            if key in frame:
                last[key] = [*last.get(key, ()), *frame[key]]
    if result:
        result[-1] |= counts.take()
    return result


def totals(frames: Iterable[Frame]) -> dict[str, int]:
    """How many requests were answered and how many failed: by the function by which the report counts."""
    result: collections.Counter[str] = collections.Counter()
    for frame in frames:
        for *_, outcome, n in frame.get("rows", ()):
            if (kind := counted_as(Outcome(outcome))) is not None:
                result[kind] += n
    return dict(result)


class Film:
    """All frames so far, older ones in longer steps: whoever comes late is told all of it.

    Attributes:
        frames: the first one first.
    """

    # How old frames are that are merged, and to steps of how many seconds.
    _STEPS = ((3600.0, 10.0), (60.0, 1.0))
    _EVERY = 600

    def __init__(self) -> None:
        """No frame yet."""
        self.frames: list[Frame] = []
        self._since = 0

    def add(self, frame: Frame) -> None:
        """Take one more."""
        self.frames.append(frame)
        self._since += 1
        if self._since >= self._EVERY:
            self._since = 0
            self._merge(frame["t"])

    def _merge(self, now: float) -> None:
        begin, kept = 0, []
        for age_s, step_s in self._STEPS:
            end = begin
            while end < len(self.frames) and self.frames[end]["t"] < now - age_s:
                end += 1
            kept += merged(self.frames[begin:end], step_s)
            begin = end
        self.frames = kept + self.frames[begin:]
