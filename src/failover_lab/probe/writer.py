"""Writes records and status to disk, beside the probe's own loop.

Compressing and waiting for the disk happen in a thread, so that a slow disk never delays a request.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.run import files
from failover_lab.run.aside import Aside
from failover_lab.run.records import RecordWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.run.layout import Probe

# About a minute of 2,000 requests/s; a disk slower than that for longer cannot be waited out in memory.
_MOST_WAITING_BYTES = 16 << 20


class RunWriter:
    """Appends rows to the record and replaces the status, in the order given.

    Attributes:
        trouble: why the status could not be replaced, which costs no request; empty: it could.
    """

    def __init__(self, probe: Probe, begin: Callable[[], object] = lambda: None) -> None:
        """Start the record.

        Args:
            probe: whose it is.
            begin: called first in the thread that writes.

        Raises:
            UserError: there is one already, or the directory may not be written to.
        """
        self._status = probe.status
        self._path = probe.records
        try:
            self._file = RecordWriter(self._path)
        except FileExistsError as error:
            raise UserError(f"{self._path} exists already; give --out a directory of its own") from error
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}") from error
        self._waiting_bytes = 0
        self._failure: OSError | None = None
        self.trouble = ""
        self._aside = Aside("record-writer", begin=begin)
        self._aside.put(functools.partial(self._try, self._file.begin))

    def put(self, rows: str, status: dict[str, Any] | None) -> None:
        """Hand over whole rows and a status; either may be empty.

        Raises:
            UserError: an earlier piece could not be written, or the disk is far behind.
        """
        if self._failure is not None:
            raise UserError(
                f"cannot write {self._path}: {self._failure.strerror}; "
                "free some space or give --out another disk"
            )
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            raise UserError(f"the disk under {self._path} does not keep up; give --out a faster one")
        self._waiting_bytes += len(rows)
        self._aside.put(functools.partial(self._piece, rows, status))

    def close(self) -> None:
        """Write what is left and end the record.

        Raises:
            UserError: something could not be written.
        """
        self._aside.put(functools.partial(self._try, self._file.close))
        self._aside.close()
        self.put("", None)

    def _piece(self, rows: str, status: dict[str, Any] | None) -> None:
        if self._failure is None:
            self._try(functools.partial(self._write, rows, status))
        self._waiting_bytes -= len(rows)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            self._failure = self._failure or error

    def _write(self, rows: str, status: dict[str, Any] | None) -> None:
        if rows:
            self._file.write(rows)
        if status is not None:
            try:
                files.write_json(self._status, status)
            except OSError as error:
                self.trouble = f"cannot write {self._status}: {error.strerror}"
