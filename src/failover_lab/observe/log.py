"""The observer's log: one JSON line for each change that the cluster reported."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.run import instants
from failover_lab.run.layout import Run

if TYPE_CHECKING:
    from pathlib import Path


class EventLog:
    """Appends changes as they arrive; several watches write to it at once.

    Attributes:
        written: how many lines.
    """

    def __init__(self, directory: Path, clock: instants.Clock) -> None:
        """Open the log.

        Raises:
            UserError: the directory may not be written to.
        """
        self._path = Run(directory).events
        self._clock = clock
        self._lock = threading.Lock()
        self._failure: OSError | None = None
        self.written = 0
        try:
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}") from error

    def add(self, kind: str, change: str, name: str, details: dict[str, Any]) -> None:
        """Write down a change that has just become known."""
        with self._lock:
            at = instants.text(self._clock.now())
            line = json.dumps({"at": at, "kind": kind, "change": change, "name": name, **details}) + "\n"
            if self._failure is not None or self._file.closed:
                return
            try:
                self._file.write(line.encode())
                self.written += 1
            except OSError as error:
                self._failure = error

    def check(self) -> None:
        """Complain if something could not be written.

        Raises:
            UserError: it could not.
        """
        if self._failure is not None:
            raise UserError(
                f"cannot write {self._path}: {self._failure.strerror}; "
                "free some space or give --out another disk"
            )

    def close(self) -> None:
        """End the log; later changes are dropped."""
        with self._lock:
            self._file.close()
