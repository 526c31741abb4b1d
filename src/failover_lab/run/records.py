"""The record of requests: its columns, and reading it back, whole or cut off.

``requests.csv.gz`` is a row of complete gzip members, each with whole rows, written several times a second.
Any gzip tool reads it, and a file cut off at any byte still gives every row before the cut.
"""

from __future__ import annotations

import enum
import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.run import instants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "requests.csv.gz"
# Raise it with every change of the columns or of the meaning of a file in a run's directory.
FORMAT = 1


class Outcome(enum.StrEnum):
    """How a request ended."""

    OK = "ok"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    CONNECT_TIMEOUT = "connect_timeout"
    READ_TIMEOUT = "read_timeout"
    CLOSED_EARLY = "closed_early"
    WRONG_STATUS = "wrong_status"
    WRONG_BODY = "wrong_body"
    UNFINISHED = "unfinished"
    PROBE_ERROR = "probe_error"


# These two say something about the probe, not about the site: they are no failure that a user saw.
NOT_SEEN_BY_USERS = frozenset({Outcome.UNFINISHED, Outcome.PROBE_ERROR})
NEW, REUSED = "new", "reused"

COLUMNS = (
    "number",  # counts from 1 in the order in which requests ended
    "connection_kind",  # new: a connection of its own; reused: one of the long-lived ones
    "due",  # UTC; latency counts from here
    "connected",  # UTC; empty where no connection was made for this request
    "sent",  # UTC; empty where it was never sent
    "done",  # UTC; the last byte of the answer, or the failure
    "outcome",
    "status",  # of HTTP
    "pod",
    "node",
    "local_port",
    "prior_requests",  # requests before this one on the same connection
    "late_ms",  # by how much the probe itself missed the due time
    "retransmits",  # TCP segments sent again, looked up for slow requests only, else empty
    "detail",  # the system's name of the error, or what was wrong with the answer
)
HEADER = ",".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class Record:
    """One request; instants in seconds UTC, None where it did not happen."""

    number: int
    kind: str
    due: float
    connected: float | None
    sent: float | None
    done: float
    outcome: Outcome
    status: int | None
    pod: str
    node: str
    local_port: int | None
    prior: int
    late_ms: float
    retransmits: int | None
    detail: str

    @property
    def latency_ms(self) -> float:
        """From the due time to the end."""
        return (self.done - self.due) * 1000.0

    @property
    def failed(self) -> bool:
        """Whether a user would have seen a failure."""
        return self.outcome is not Outcome.OK and self.outcome not in NOT_SEEN_BY_USERS


_OUTCOMES = {str(outcome): outcome for outcome in Outcome}


def _record(line: str) -> Record:
    f = line.split(",")
    return Record(
        number=int(f[0]),
        kind=sys.intern(f[1]),
        due=instants.parse(f[2]),
        connected=instants.parse(f[3]) if f[3] else None,
        sent=instants.parse(f[4]) if f[4] else None,
        done=instants.parse(f[5]),
        outcome=_OUTCOMES[f[6]],
        status=int(f[7]) if f[7] else None,
        pod=sys.intern(f[8]),
        node=sys.intern(f[9]),
        local_port=int(f[10]) if f[10] else None,
        prior=int(f[11]),
        late_ms=float(f[12]),
        retransmits=int(f[13]) if f[13] else None,
        detail=sys.intern(f[14]),
    )


class RecordFile:
    """Reads a record from its beginning; may be called again for what has been added since.

    Attributes:
        cut_off: the file ended within a gzip member when it was last read to its end.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self._path = path
        self._offset = 0
        self._lines_before_offset = 0
        self._line = 0
        self.cut_off = False

    def lines(self) -> Iterator[str]:
        """Whole rows, header included, as far as the file goes.

        Raises:
            UserError: the file is missing, may not be read, or is damaged before its end.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                member = zlib.decompressobj(wbits=31)
                begun, rest = False, b""
                self._line = self._lines_before_offset
                while chunk := file.read(1 << 18):
                    while chunk:
                        begun = True
                        *whole, rest = (rest + member.decompress(chunk)).split(b"\n")
                        for line in whole:
                            self._line += 1
                            yield line.decode("ascii")
                        chunk = member.unused_data
                        if member.eof:
                            # Members end with a row; the next reading starts after the last whole one.
                            self._offset = file.tell() - len(chunk)
                            self._lines_before_offset = self._line
                            member, begun = zlib.decompressobj(wbits=31), False
                self.cut_off = begun
        except FileNotFoundError as error:
            raise UserError(
                f"{self._path} is missing; is {self._path.parent} the directory of a run?"
            ) from error
        except OSError as error:
            raise UserError(f"cannot read {self._path}: {error.strerror}") from error
        except (zlib.error, UnicodeDecodeError) as error:
            raise self._damaged(str(error)) from error

    def records(self) -> Iterator[Record]:
        """The requests, in the order in which they ended.

        Raises:
            UserError: as for ``lines``, or the record is another version's.
        """
        for line in self.lines():
            if self._line == 1:
                if line != HEADER:
                    raise UserError(
                        f"{self._path} was made by another version of failover-lab; "
                        "report it with that version"
                    )
                continue
            try:
                yield _record(line)
            except (ValueError, KeyError, IndexError) as error:
                raise self._damaged(f"row {self._line} cannot be read") from error

    def _damaged(self, why: str) -> UserError:
        return UserError(
            f"{self._path} is damaged after row {self._line} ({why}); only a file whose end is missing "
            "can be reported, take the run's own copy"
        )
