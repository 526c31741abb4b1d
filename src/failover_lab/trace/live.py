"""Who has answered so far, by the trace, while a run goes on: for applications that do not say so."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.observe import resources
from failover_lab.run import files
from failover_lab.run.layout import Run
from failover_lab.run.records import Outcome, RecordFile
from failover_lab.run.tail import Tail
from failover_lab.trace import log
from failover_lab.trace.join import Join

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from failover_lab.run.layout import Probe
    from failover_lab.run.records import Record

# Lines are written twice a second, and read a moment later: whoever has none by then has none.
_PATIENCE_S = 3.0


class Answered:
    """Reads records, trace and the pods' addresses as they grow.

    Args:
        out: the run's directory.
        probe: whose requests are looked at.
    """

    def __init__(self, out: Path, probe: Probe) -> None:
        """Nothing is read yet."""
        self._records = RecordFile(probe.records) if probe.records.exists() else None
        self._lines = log.LineFile(out)
        about = log.about(out)
        self._join = Join([], [], about.clients if about is not None else [])
        self._waiting: collections.deque[Record] = collections.deque()
        self._names: dict[str, str] = {}
        self._events = Run(out).events
        self._added = Tail(self._events)
        self._read_lines = 0

    def new(self) -> Iterator[tuple[str, Record]]:
        """Each good answer that names nobody, with the pod that gave it, once that is known."""
        if self._records is None:
            return
        fresh = [record for record in self._records.records() if record.outcome is Outcome.OK]
        # After the records: what they went by is written by then, or soon.
        self._join.feed(self._lines.lines())
        self._waiting.extend(record for record in fresh if not record.pod)
        newest = fresh[-1].done if fresh else None
        still: collections.deque[Record] = collections.deque()
        for record in self._waiting:
            if carriers := self._join.way(record).carriers:
                names = {self._name(entry.pod) for entry in carriers}
                # Where it may have been another's just as well, it is nobody's.
                if len(names) == 1 and (name := names.pop()):
                    yield name, record
            elif newest is None or newest - record.done < _PATIENCE_S:
                still.append(record)
        self._waiting = still

    def _name(self, address: str) -> str:
        if address not in self._names:
            self._read()
        return self._names.get(address, "")

    def _read(self) -> None:
        """Learn what the observer has written since the last look."""
        try:
            lines = self._added.lines()
        except OSError as error:
            raise UserError(f"cannot read {self._events}: {error.strerror}") from error
        for entry in files.objects(self._events, lines, self._read_lines + 1):
            if entry.get("kind") == resources.POD and entry.get("address"):
                self._names[str(entry["address"])] = str(entry.get("name", ""))
        self._read_lines += len(lines)
