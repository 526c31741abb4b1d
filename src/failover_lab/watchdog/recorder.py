"""What the watchdog did and when: on its output, in the run's marks, and in its status.

Terminals and disks may make a writer wait for as long as they like, and a node is not to die of that: lines
and marks are written by threads of their own, one each, since a terminal that was stopped must not keep the
report from its marks.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

from failover_lab.errors import UserError
from failover_lab.run import instants, journal, marks
from failover_lab.run.aside import Aside, Sayer, settle

_MOST_KEPT = 200
# Marks that wait for a disk.
_MOST_WAITING = 1000
# At the end, whoever has not taken it by then gets no more.
_SETTLE_S = 1.0


class Recorder:
    """Notes each step with its instant; several threads may do so at once.

    Attributes:
        actions: the notes so far, the newest last.
    """

    def __init__(self, out: Path | None, journal_file: Path | None = None) -> None:
        """Begin.

        Args:
            out: the run's directory, if there is a run.
            journal_file: of whatever run is going on. One that relies on a watchdog that was there before it
                is marked as well.

        Raises:
            UserError: it may not be written to.
        """
        self._out = out
        self._journal = journal_file
        self._lock = threading.Lock()
        self._clock = (
            instants.Clock(time.time() - time.monotonic()) if out is None else instants.shared_clock(out)
        )
        self._complained = False
        self._said = Sayer("watchdog-says")
        self._marking: Aside | None = None
        self.actions: list[dict[str, Any]] = []

    def now(self) -> str:
        """The present instant, on the run's clock if there is a run."""
        return instants.text(self._clock.now())

    def note(self, event: str, **details: str) -> None:
        """Write down that this has just happened; nobody waits until it is written."""
        with self._lock:
            at = self.now()
            self.actions = [*self.actions[-_MOST_KEPT:], {"at": at, "event": event, **details}]
            self.say(self.line_of(at, event, details))
            if self._marking is None:
                self._marking = Aside("watchdog-marks", most=_MOST_WAITING)
            happened = time.time()
            self._marking.put(lambda: self._mark(event, details, happened))

    def say(self, line: str) -> None:
        """Tell whoever watches."""
        self._said.say(line, sys.stdout)

    def complain(self, line: str) -> None:
        """Tell whoever watches what is wrong with their machine."""
        self._said.say(line, sys.stderr)

    def settle(self) -> None:
        """Let what has been noted be written, for a moment: to be called at the end."""
        settle(_SETTLE_S, self._marking, self._said)

    def _mark(self, event: str, details: dict[str, str], happened: float) -> None:
        for run in {self._out, self._run_that_relies_on_us()}:
            if run is None:
                continue
            try:
                marks.append(run, [self.mark_of(event)], details, at=happened)
            except UserError as error:
                if not self._complained:
                    self._complained = True
                    self.complain(str(error))

    @staticmethod
    def line_of(at: str, event: str, details: dict[str, str]) -> str:
        """How a step is told to whoever watches."""
        return " ".join([at, event, *(f"{key}={value}" for key, value in details.items())])

    @staticmethod
    def mark_of(event: str) -> str:
        """What it is called among a run's marks."""
        return f"watchdog_{event}"

    def _run_that_relies_on_us(self) -> Path | None:
        if self._journal is None:
            return None
        try:
            found = journal.read(self._journal)
        except OSError:
            return None
        run = found.get("run_dir")
        relies = found.get("recovery") == "watchdog" and bool(run)
        return Path(str(run)) if relies and journal.is_alive(found) else None
