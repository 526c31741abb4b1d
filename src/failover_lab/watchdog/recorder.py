"""What the watchdog did and when: on its output, in the run's marks, and in its status."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

from failover_lab.errors import UserError
from failover_lab.run import instants, journal, marks

_MOST_KEPT = 200


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
        self.actions: list[dict[str, Any]] = []

    def now(self) -> str:
        """The present instant, on the run's clock if there is a run."""
        return instants.text(self._clock.now())

    def note(self, event: str, **details: str) -> None:
        """Write down that this has just happened; a full disk does not keep the watchdog from acting."""
        with self._lock:
            at = self.now()
            self.actions = [*self.actions[-_MOST_KEPT:], {"at": at, "event": event, **details}]
            said = " ".join(f"{key}={value}" for key, value in details.items())
            with contextlib.suppress(OSError):
                print(f"{at} {event} {said}", flush=True)
            for run in {self._out, self._run_that_relies_on_us()}:
                if run is not None:
                    self._mark(run, event, details)

    def _mark(self, run: Path, event: str, details: dict[str, str]) -> None:
        try:
            marks.append(run, [f"watchdog_{event}"], details)
        except UserError as error:
            if not self._complained:
                self._complained = True
                print(error, file=sys.stderr)

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
