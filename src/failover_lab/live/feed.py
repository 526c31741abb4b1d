"""A run's folder as frames while it grows: each look reads what has been added, and nothing twice."""

from __future__ import annotations

import collections
import contextlib
import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from failover_lab.errors import UserError
from failover_lab.live import story
from failover_lab.live.ahead import Ahead
from failover_lab.live.film import Counts, Film, Frame, Key
from failover_lab.observe import resources
from failover_lab.report import clocks, cluster, instrument, load, scene, traced, words
from failover_lab.report import fault as what
from failover_lab.run import files, instants, tail, texts
from failover_lab.run.layout import Run
from failover_lab.run.records import Outcome, RecordFile, counted_as
from failover_lab.trace import log
from failover_lab.trace.join import NOWHERE, Join

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from failover_lab.run.records import Record

_COUNTED = {str(outcome): counted_as(outcome) for outcome in Outcome}
# So many rows at a look: whoever watches a run that is large already gets it in pieces.
_MOST_ROWS = 4000
# What nodes' kernels say is written twice a second. For so long a request waits for it, and no longer.
_PATIENCE_S = 1.2
# Of those that were silent, so many are remembered until it is known whether this machine dropped them.
_MOST_SILENT = 200_000
# So many of the last sentences are kept for a terminal, which looks twice a second.
_KEPT = 20
# No request is waited for longer than this, unless somebody has set another time-out.
_LONGEST_S = 8.0
# Without news, the page is told that the run goes on.
_BEAT_S = 1.0
# What a terminal is told of how long it waits; each change of it is a file that is written.
_ROUND_S = 1.0


class _Silent(NamedTuple):
    number: int
    due: float
    done: float
    key: Key


def head(data: load.RunData, zero: float) -> dict[str, Any]:
    """What the page has to know from the beginning on, as far as it is known."""
    play = data.play or {}
    fault = play.get("fault") or {}
    return {
        "zero": zero,
        "run": data.directory.name if data.directory is not None else "",
        "address": play.get("address"),
        "profile": (play.get("lab") or {}).get("profile"),
        "fault": {"kind": fault.get("kind"), "node": fault.get("node"), "deed": story.deed(fault)},
        "predicted": dict.fromkeys(clocks.CLOCKS) | (play.get("predicted_s") or {}),
        "expected": data.settings["expected_replicas"],
        "clocks": words.CLOCKS,
        "signs": scene.vocabulary(),
        "outcomes": {str(name): [_COUNTED[name], words.OUTCOMES[name]] for name in map(str, Outcome)},
    }


class Feed:
    """Follows a run.

    Args:
        directory: the run's.

    Attributes:
        film: all frames so far.
        over: nothing is written to the run's folder any more, and its report is there, if it has one.
    """

    def __init__(self, directory: Path) -> None:
        """Nothing is read yet."""
        self._run = Run(directory)
        self._data = load.RunData(None, [], directory=directory)
        self._clock = instants.shared_clock(directory)
        self.film = Film()
        self.over = False
        self._zero = float(math.floor(self._clock.now()))
        self._marks = tail.Tail(self._run.marks)
        self._events = tail.Tail(self._run.events)
        self._records = RecordFile(self._run.probe().records)
        self._rows: Iterator[Record] | None = None
        self._rows_size = -1
        self._play_at = self._report_at = 0
        self._trace: log.LineFile | None = None
        self._join = Join([], [], [])
        self._waiting: collections.deque[Record] = collections.deque()
        self._silent: list[_Silent] = []
        self._counts = Counts()
        self._losses = story.Losses()
        self._told: set[story.Sentence] = set()
        self._said: list[dict[str, Any]] = []
        self._seen = cluster.read([])
        self._addresses = traced.Addresses([])
        self._announcer = ""
        self._latest = 0.0
        self._before: Frame = {}
        self._next_beat = 0.0

    def head(self) -> dict[str, Any]:
        """What is known of the run by now."""
        return head(self._data, self._zero)

    def shown(self) -> dict[str, Any]:
        """The film so far, for who comes late."""
        return {"head": self.head(), "frames": self.film.frames}

    def told(self) -> dict[str, Any]:
        """The last sentences of the story, how many there were, and what is waited for, for a terminal."""
        waits, fault = self._before.get("ahead"), self._before.get("fault")
        zero = 0.0 if fault is None else fault
        said = [
            f"{one['t'] - zero:+.1f} s  {one['text']}".replace("\u00a0", " ") for one in self._said[-_KEPT:]
        ]
        return {"said": said, "count": len(self._said), "ahead": _as_text(waits, self._t(self._clock.now()))}

    def gone(self, why: str) -> Frame:
        """The last frame where there is no report yet, and nobody is left to wait for it."""
        return {"t": self._t(self._clock.now()), "gone": why}

    def look(self) -> Frame | None:
        """What is new since the last look; None: nothing.

        Raises:
            UserError: the run was made by another version.
        """
        now = self._clock.now()
        frame: Frame = {}
        known = len(self._data.changes)
        news = self._read_play() | self._read_marks(frame) | self._read_events()
        if news:
            self._follow()
            # A mark is of the instant that it tells of, which the play may find out later.
            if at := [change.at for change in self._data.changes[known:]]:
                frame["news"] = self._t(min(at))
        if not self.film.frames and not news and not self._run.probe().records.exists():
            return None
        said = self._read_requests(now)
        if news:
            said += story.tell(self._data, self._seen)
        fresh = [sentence for sentence in said if sentence not in self._told]
        if fresh:
            self._told.update(fresh)
            frame["say"] = [
                {"t": self._t(one.at), "text": one.text, "tone": one.tone} for one in sorted(fresh)
            ]
            self._said += frame["say"]
        if news:
            self._add_changed(frame, now)
        frame |= self._counts.take()
        self._read_report(frame)
        if not frame and now < self._next_beat:
            return None
        self._next_beat = now + _BEAT_S
        frame["t"] = self._t(now)
        self.film.add(frame)
        return frame

    def has_news(self) -> bool:
        """Whether the cluster or the play has said something since the last look."""
        return self._events.grown() or self._marks.grown()

    def _t(self, at: float) -> float:
        return round(at - self._zero, 3)

    def _read_play(self) -> bool:
        """Whether what the play knows is new: it is replaced as a whole."""
        try:
            at = self._run.facts.stat().st_mtime_ns
        except OSError:
            return False
        if at == self._play_at:
            return False
        self._play_at = at
        # Made before it is filled.
        with contextlib.suppress(UserError):
            self._data.play = texts.plain(load.checked(files.read_json(self._run.facts), self._run.facts))
            return True
        return False

    def _read_marks(self, frame: Frame) -> bool:
        added = [load.mark(self._run.marks, entry) for entry in _entries(self._marks)]
        if added:
            frame["marks"] = [{"t": self._t(mark.at), "event": mark.event} for mark in added]
        self._data.marks += added
        return bool(added)

    def _read_events(self) -> bool:
        entries = [entry for entry in _entries(self._events) if entry.get("kind") != resources.LEASE]
        self._data.changes += [load.change(self._run.events, entry) for entry in entries]
        return bool(entries)

    def _follow(self) -> None:
        self._seen = cluster.read(self._data.changes)
        self._addresses = traced.Addresses(self._seen.lives)
        self._announcer = self._seen.announcers[-1][1] if self._seen.announcers else ""

    def _add_changed(self, frame: Frame, now: float) -> None:
        """Of what replaces what was before, that which is another."""
        fault = what.of(self._data)
        took = clocks.measured(self._data, self._seen, fault, [])
        there = scene.Scenes(self._data, self._seen).at(now)
        done = {mark.event for mark in self._data.marks}
        waits = Ahead(self._data, done, took, there).told(self._t)
        found: Frame = {"head": self.head(), "scene": there, "clocks": took, "ahead": waits}
        if fault.at is not None:
            found["fault"] = self._t(fault.at)
        for key, value in found.items():
            if self._before.get(key) != value:
                frame[key] = self._before[key] = value

    def _read_requests(self, now: float) -> list[story.Sentence]:
        """Count what has ended; gives back what that says of losses."""
        self._read_trace()
        said: list[story.Sentence] = []
        for record in self._new_records():
            self._latest = max(self._latest, record.done)
            if record.failed:
                said += self._losses.lose(record.due)
            if record.outcome is Outcome.OK and record.pod:
                key = (math.floor(record.due - self._zero), self._announcer, record.pod, str(record.outcome))
                self._counts.add(key, record.latency_ms)
            else:
                self._waiting.append(record)
        still: collections.deque[Record] = collections.deque()
        for record in self._waiting:
            if not self._put(record, last=self._trace is None or now - record.done > _PATIENCE_S):
                still.append(record)
        self._waiting = still
        if self._losses.go_on:
            said += self._losses.quiet(self._settled())
        return said

    def _settled(self) -> float:
        """All requests that were due by then have ended: what is open may yet fail."""
        with contextlib.suppress(UserError, KeyError, ValueError, TypeError):
            status = files.read_json(self._run.probe().status)
            if status["state"] == "ended":
                return math.inf
            return min(self._latest, instants.parse(status["oldest_open"] or status["updated"]))
        return self._latest - _LONGEST_S

    def _new_records(self) -> Iterator[Record]:
        """Those that were added, some of them where they are many: the rest comes at the next look."""
        path = self._run.probe().records
        if self._rows is None:
            size = path.stat().st_size if path.exists() else -1
            if size == self._rows_size:
                return
            self._rows_size = size
            self._rows = self._records.records()
        count = 0
        for count, record in enumerate(itertools.islice(self._rows, _MOST_ROWS), start=1):  # noqa: B007
            yield record
        if count < _MOST_ROWS:
            self._rows = None

    def _read_trace(self) -> None:
        if self._trace is None:
            try:
                about = log.about(self._run.directory)
            except UserError:
                return
            if about is None or not about.by:
                return
            self._trace = log.LineFile(self._run.directory)
            self._join = Join([], [], about.clients)
        self._join.feed(self._trace.lines())

    def _put(self, record: Record, *, last: bool) -> bool:
        """Count a request of which the nodes' kernels may say more; whether it was counted."""
        way = self._join.way(record) if self._trace is not None else NOWHERE
        if way.last is None and not last:
            return False
        via, pod = scene.place(way, self._addresses)
        if self._trace is None:
            via = self._announcer
        key = (math.floor(record.due - self._zero), via, record.pod or pod, str(record.outcome))
        self._counts.add(key, record.latency_ms)
        if record.outcome in instrument.SILENT and len(self._silent) < _MOST_SILENT:
            self._silent.append(_Silent(record.number, record.due, record.done, key))
        return True

    def _read_report(self, frame: Frame) -> None:
        """The end, once there is one: the report, made after all else."""
        try:
            at = self._run.page.stat().st_mtime_ns
        except OSError:
            return
        if at == self._report_at or self._rows is not None or self._waiting:
            return
        self._report_at = at
        report = files.read_json(self._run.report)
        self._own_drops()
        frame |= self._counts.take()
        frame["end"] = end(report)
        frame["ahead"] = None
        self.over = True

    def _own_drops(self) -> None:
        """What turned out to be this machine's own doing is counted as that, as in the report."""
        about = files.read_json(self._run.probe().about)
        own = instrument.dropped(self._silent, instrument.spells(about))
        for silent in self._silent:
            if silent.number in own:
                self._counts.add(silent.key, 0.0, n=-1)
                self._counts.add((*silent.key[:3], str(Outcome.PROBE_ERROR)), 0.0)
        self._silent.clear()


def _as_text(waits: dict[str, Any] | None, now: float) -> str | None:
    """What is waited for, since when and about how long, in whole seconds."""
    if waits is None:
        return None
    if waits["since"] is None:
        return str(waits["text"])
    since = max(0, round((now - waits["since"]) / _ROUND_S)) * _ROUND_S
    about = "" if waits["about"] is None else f" of about {waits['about']:.0f}"
    return f"{waits['text']}, {since:.0f}{about} s"


def _entries(of: tail.Tail) -> Iterator[dict[str, Any]]:
    """The objects that were added; what is none is the report's to complain of."""
    try:
        lines = of.lines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError):
            entry = files.parse(line)
            if isinstance(entry, dict):
                yield entry


def end(report: dict[str, Any]) -> dict[str, Any]:
    """The verdict, as the page has it."""
    return {
        "heading": words.heading(report),
        "sentence": words.sentence(report),
        "passed": report["verdict"]["passed"],
        "reasons": report["verdict"]["reasons"],
        "total": report["requests"]["total"],
        "failed": report["requests"]["failed"],
        "clocks": report["clocks_s"],
    }
