"""What the watchdog did and when: on its output, in the run's marks, and in its status."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

from failover_lab import instants
from failover_lab.errors import UserError
from failover_lab.probe import marks

_MOST_KEPT = 200


class Recorder:
    """Notes each step with its instant; several threads may do so at once.

    Attributes:
        actions: the notes so far, the newest last.
    """

    def __init__(self, out: Path | None) -> None:
        """Begin.

        Args:
            out: the run's directory, if there is a run.

        Raises:
            UserError: it may not be written to.
        """
        self._out = out
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
            if self._out is None:
                return
            try:
                marks.append(self._out, [f"watchdog_{event}"], details)
            except UserError as error:
                if not self._complained:
                    self._complained = True
                    print(error, file=sys.stderr)
