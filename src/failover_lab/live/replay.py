"""A finished run as the same frames, and as one file without network."""

from __future__ import annotations

import base64
import gzip
import html
import importlib.resources
import json
import math
import re
from typing import TYPE_CHECKING, Any

from failover_lab.live import feed, story
from failover_lab.live.ahead import Ahead
from failover_lab.live.film import Counts, Frame
from failover_lab.report.build import build
from failover_lab.report.load import load
from failover_lab.report.scene import Scenes, went

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from failover_lab.report.build import Report

# How long a frame is, by how long the run is: the file of a long one is not to be so much larger.
_STEPS = ((900.0, 0.1), (7200.0, 1.0), (math.inf, 10.0))
_PAGE = importlib.resources.files("failover_lab.live") / "page"
_REPORT = importlib.resources.files("failover_lab.report")
#: The page's style: of what the report draws as well, and its own.
STYLES = ("scene.css", "style.css")
#: The page's own files; each module after those that it takes something from.
MODULES = ("words.js", "model.js", "player.js", "charts.js", "stage.js", "panels.js", "main.js")
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export (?=const|let|function|class|async)", re.MULTILINE)


def asset(name: str) -> str:
    """One of the page's files."""
    home = _REPORT if name == "scene.css" else _PAGE
    return (home / name).read_text(encoding="utf-8")


class _Cutting:
    """Cuts a finished run into frames."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._data = report.data
        instants = [
            *(change.at for change in self._data.changes[:1]),
            *(mark.at for mark in self._data.marks[:1]),
            *(record.due for record in self._data.records[:1]),
        ]
        self.zero = float(math.floor(min(instants, default=0.0)))
        # The last of all, and a moment in which nothing happens any more.
        self.last = max(
            self._data.records.ended or self.zero,
            max((mark.at for mark in self._data.marks), default=self.zero),
        )
        length = self.last - self.zero
        self._step_s = next(step for most, step in _STEPS if length <= most)
        self._frames: dict[int, Frame] = {}

    def _index(self, at: float) -> int:
        return math.ceil(round((at - self.zero) / self._step_s, 6))

    def _frame(self, at: float) -> Frame:
        index = max(0, min(self._index(at), self._index(self.last)))
        return self._frames.setdefault(index, {"t": round(index * self._step_s, 3)})

    def frames(self) -> list[Frame]:
        self._put_requests()
        self._put_cluster()
        self._put_story()
        result = [self._frames[index] for index in sorted(self._frames)]
        final = {"t": round(self.last - self.zero + self._step_s, 3), "end": feed.end(self._report.content)}
        return [*result, final | {"ahead": None}]

    def _put_requests(self) -> None:
        counts: dict[int, Counts] = {}
        announcers = self._report.cluster.announcers
        node, upcoming = "", list(reversed(announcers))
        for record in self._data.records:
            while upcoming and upcoming[-1][0] <= record.due:
                node = upcoming.pop()[1]
            via, pod = went(record, self._report.trace, node)
            index = self._index(record.done)
            self._frame(record.done)
            key = (math.floor(record.due - self.zero), via, pod, str(record.outcome))
            counts.setdefault(index, Counts()).add(key, record.latency_ms)
        for index, counted in counts.items():
            self._frames[index] |= counted.take()

    def _put_cluster(self) -> None:
        """Scene, clocks and what is waited for, at each instant at which one of them may be another."""
        data, fault = self._data, self._report.fault
        scenes = Scenes(data, self._report.cluster)
        ends = {
            name: fault.at + took
            for name, took in self._report.content["clocks_s"].items()
            if took is not None and fault.at is not None
        }
        for mark in data.marks:
            frame = self._frame(mark.at)
            frame["marks"] = [*frame.get("marks", ()), {"t": self._t(mark.at), "event": mark.event}]
        if fault.at is not None:
            self._frame(fault.at)["fault"] = self._t(fault.at)
        changed = [change.at for change in data.changes] + [mark.at for mark in data.marks]
        moments = sorted({self._index(at) for at in [*changed, *ends.values()]} | {0})
        before: Frame = {}
        for index in moments:
            at = self.zero + index * self._step_s
            scene = scenes.at(at)
            took = {name: round(ends[name] - (fault.at or 0.0), 3) if ends.get(name, math.inf) <= at else None
                    for name in self._report.content["clocks_s"]}  # fmt: skip
            done = {mark.event for mark in data.marks if mark.at <= at}
            waits = Ahead(data, done, took, scene).told(self._t)
            for key, value in (("scene", scene), ("clocks", took), ("ahead", waits)):
                if before.get(key) != value:
                    self._frame(at)[key] = before[key] = value

    def _t(self, at: float) -> float:
        return round(at - self.zero, 3)

    def _put_story(self) -> None:
        said = story.tell(self._data, self._report.cluster)
        losses = story.Losses()
        for record in self._data.records.where(lambda record: record.failed):
            said += losses.quiet(record.due)
            said += losses.lose(record.due)
        said += losses.quiet(math.inf)
        for sentence in sorted(said):
            frame = self._frame(sentence.at)
            told = {"t": self._t(sentence.at), "text": sentence.text, "tone": sentence.tone}
            frame["say"] = [*frame.get("say", ()), told]


def film(directory: Path) -> dict[str, Any]:
    """A finished run as the page plays it.

    Raises:
        UserError: the directory is no run's, or damaged.
    """
    report = build(load(directory))
    cutting = _Cutting(report)
    frames = cutting.frames()
    return {"head": feed.head(report.data, cutting.zero), "frames": frames}


def _modules() -> Iterator[str]:
    for name in MODULES:
        yield _EXPORT.sub("", _IMPORT.sub("", asset(name)))


def export(shown: dict[str, Any]) -> str:
    """One file that plays a film: the page, its style, its modules as one, and the film, packed.

    Args:
        shown: the film.
    """
    packed = gzip.compress(json.dumps(shown, separators=(",", ":")).encode(), compresslevel=9, mtime=0)
    data = base64.b64encode(packed).decode("ascii")
    page = asset("index.html")
    title = f"{shown['head']['fault']['kind'] or 'run'} {shown['head']['fault']['node'] or ''}".strip()
    for old, new in (
        ("<title>failover-lab</title>", f"<title>{html.escape(title)}: replay</title>"),
        *(
            (f'<link rel="stylesheet" href="page/{name}">', f"<style>\n{asset(name)}</style>")
            for name in STYLES
        ),
        (
            '<script type="module" src="page/main.js"></script>',
            "\n".join(
                (
                    f'<script type="text/plain" id="film">{data}</script>',
                    f'<script type="module">\n{"".join(_modules())}</script>',
                )
            ),
        ),
    ):
        page = page.replace(old, new)
    return page
