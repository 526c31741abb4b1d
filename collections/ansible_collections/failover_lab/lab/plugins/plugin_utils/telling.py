"""What is told while something is waited for, and how often: no Ansible inside, times in seconds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.failover_lab.lab.plugins.plugin_utils import aloud

from failover_lab.run.layout import Run

#: While nothing changes, a line comes ever more seldom, and yet so often.
MOST_S = 15.0
#: Where it is known what comes next, and when, nobody needs the same line so often.
MOST_IN_A_RUN_S = 60.0
_SLOWER = 1.5
# A line that is relayed from a program may be of any length.
_LONGEST = 2000


class Pace:
    """Says when it is time for a line again.

    Args:
        interval_s: until the first line.
        most_s: between two lines.
    """

    def __init__(self, interval_s: float, most_s: float = MOST_S) -> None:
        """Nothing was told yet."""
        self._least_s = interval_s
        self._gap_s = interval_s
        self._most_s = max(interval_s, most_s)
        # A look comes a little early or late.
        self._next_s = interval_s * 0.9

    def hasten(self, elapsed_s: float) -> None:
        """Something was told by itself: the rest comes soon, and not beside each such line."""
        self._gap_s = self._least_s
        self._next_s = min(self._next_s, elapsed_s + self._gap_s * 0.9)

    def is_due(self, elapsed_s: float, *, fresh: bool = False) -> bool:
        """Whether it is time.

        Args:
            elapsed_s: since the beginning.
            fresh: there is something new to say.
        """
        if fresh:
            self._gap_s = self._least_s
        elif elapsed_s < self._next_s:
            return False
        self._next_s = elapsed_s + self._gap_s * 0.9
        self._gap_s = min(self._most_s, self._gap_s * _SLOWER)
        return True


def fitted(text: str, stream: Any, indent: int = 4) -> str:  # noqa: ANN401  a stream
    """A line as wide as the terminal at most, whose end counts; where there is none, whole.

    Args:
        text: of a program.
        stream: where it goes.
        indent: what comes before it.
    """
    text = text[-_LONGEST:]
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns - indent
    return text if len(text) <= width else f"…{text[1 - width :]}"


class Story:
    """What a run's live page tells, for those who look at the terminal.

    Args:
        run_dir: the run's folder; None or empty: there is no run.
    """

    def __init__(self, run_dir: str | None) -> None:
        """What was told by now is known."""
        self._path = Run(Path(run_dir)).live if run_dir else None
        self._count = int(self._told().get("count", 0))

    def _told(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8")) if self._path else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def news(self) -> list[str]:
        """The sentences since the last look."""
        told = self._told()
        fresh = int(told.get("count", 0)) - self._count
        if fresh <= 0:
            return []
        self._count += fresh
        return [str(sentence) for sentence in told.get("said", [])[-fresh:]]

    def tell(self, pace: Pace, elapsed_s: float, show: Callable[[str], object]) -> None:
        """Tell the news, and have the rest come soon after them.

        Args:
            pace: of the rest.
            elapsed_s: since whoever waits began.
            show: puts a line on the terminal.
        """
        news = self.news()
        for sentence in news:
            aloud.say(f"  {sentence}", show)
        if news:
            pace.hasten(elapsed_s)

    def ahead(self) -> str | None:
        """What is waited for, since when and for about how long; None: nobody says so."""
        text = self._told().get("ahead")
        return None if text is None else str(text)
