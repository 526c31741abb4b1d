"""The record of requests: its columns, writing it, and reading it back, whole or cut off.

``requests.csv.gz`` is a row of complete gzip members, each with whole rows, written several times a second.
Any gzip tool reads it, and a file cut off at any byte still gives every row before the cut.
"""

from __future__ import annotations

import enum
import gzip
import itertools
import math
import operator
import os
import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from failover_lab.errors import UserError
from failover_lab.run import instants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Raise it with every change of the columns or of the meaning of a file in a run's directory. Columns that are
# added at the end need no new one where a reader can do without them: see LATER.
FORMAT = 1


class Outcome(enum.StrEnum):
    """How a request ended."""

    OK = "ok"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    READ_TIMEOUT = "read_timeout"
    CLOSED_EARLY = "closed_early"
    WRONG_STATUS = "wrong_status"
    WRONG_BODY = "wrong_body"
    UNFINISHED = "unfinished"
    PROBE_ERROR = "probe_error"


# These two say something about the probe, not about the site: they are no failure that a user saw.
NOT_SEEN_BY_USERS = frozenset({Outcome.UNFINISHED, Outcome.PROBE_ERROR})
NEW, REUSED = "new", "reused"
ANSWERED, FAILED = "answered", "failed"


def counted_as(outcome: Outcome) -> str | None:
    """What a request counts as, wherever requests are counted: answered or failed; None: as nothing."""
    if outcome is Outcome.OK:
        return ANSWERED
    return None if outcome in NOT_SEEN_BY_USERS else FAILED


# Not frozen, though nobody is to change one: that would make it ten times as dear, and a day has millions.
@dataclass(slots=True, unsafe_hash=True)
class Record:
    """One request; instants in seconds UTC, None where it did not happen."""

    number: int  # counts from 1 in the order in which requests ended
    kind: str  # new: a connection of its own; reused: one of the long-lived ones
    due: float  # latency counts from here
    connected: float | None  # None where no connection was made for this request
    sent: float | None  # None where it was never sent
    done: float  # the last byte of the answer, or the failure
    outcome: Outcome
    status: int | None  # of HTTP
    pod: str
    node: str
    local_port: int | None
    prior: int  # requests before this one on the same connection
    late_ms: float  # by how much the probe itself missed the due time
    retransmits: int | None  # TCP segments sent again, looked up for slow requests only
    detail: str  # the system's name of the error, or what was wrong with the answer
    opened: float | None = None  # when its connection was begun, by whichever request that was
    peer: str = ""  # the address that was asked, as the system was given it

    @property
    def latency_ms(self) -> float:
        """From the due time to the end."""
        return (self.done - self.due) * 1000.0

    @property
    def failed(self) -> bool:
        """Whether a user would have seen a failure."""
        return counted_as(self.outcome) == FAILED


_OUTCOMES = {str(outcome): outcome for outcome in Outcome}
_KINDS = {kind: kind for kind in (NEW, REUSED)}
# A file that was being written as the power failed may end in zeros; a whole gzip member ends in fewer.
_ZEROS = 16
_CHUNK = 1 << 18


def _some(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: "" if value is None else write(value)


def _found(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: read(text) if text else None


def _whole(text: str) -> int:
    value = int(text)
    if not 0 <= value < 1 << 53:
        raise ValueError(f"{text} is out of range")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no figure")
    return value


# Each field of a Record, in its order: the column's name, how it is written, and how it is read.
_COLUMNS: dict[str, tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    "number": ("number", str, _whole),
    "kind": ("connection_kind", str, _KINDS.__getitem__),
    "due": ("due", instants.text, instants.parse),
    "connected": ("connected", _some(instants.text), _found(instants.parse)),
    "sent": ("sent", _some(instants.text), _found(instants.parse)),
    "done": ("done", instants.text, instants.parse),
    "outcome": ("outcome", str, _OUTCOMES.__getitem__),
    "status": ("status", _some(str), _found(_whole)),
    "pod": ("pod", str, sys.intern),
    "node": ("node", str, sys.intern),
    "local_port": ("local_port", _some(str), _found(_whole)),
    "prior": ("prior_requests", str, _whole),
    "late_ms": ("late_ms", "{:.3f}".format, _finite),
    "retransmits": ("retransmits", _some(str), _found(_whole)),
    "detail": ("detail", str, sys.intern),
    "opened": ("opened", _some(instants.text), _found(instants.parse)),
    "peer": ("peer", str, sys.intern),
}
COLUMNS = tuple(name for name, _, _ in _COLUMNS.values())
HEADER = ",".join(COLUMNS)
# Columns that came later: a record made before has none of them, and is read all the same.
LATER = ("opened", "peer")
_UNKNOWN = (None, "")
_WIDTHS = (len(COLUMNS), len(COLUMNS) - len(LATER))
_HEADERS = frozenset(",".join(COLUMNS[:width]) for width in _WIDTHS)
_WRITE = tuple(write for _, write, _ in _COLUMNS.values())
_READ = tuple(read for _, _, read in _COLUMNS.values())
_FIELDS = operator.attrgetter(*_COLUMNS)


def row(record: Record) -> str:
    """The line of a request, with its end."""
    return ",".join([write(value) for write, value in zip(_WRITE, _FIELDS(record), strict=True)]) + "\n"


class RecordWriter:
    """Writes a record from its beginning: ``RecordFile`` reads it, whole or while it grows."""

    def __init__(self, path: Path) -> None:
        """Make the file; nothing is written yet.

        Raises:
            FileExistsError: there is one already.
            OSError: it cannot be written.
        """
        self._file = path.open("xb")

    def begin(self) -> None:
        """Write the names of the columns.

        Raises:
            OSError: they cannot be written.
        """
        self.write(HEADER + "\n")

    def write(self, rows: str) -> None:
        """Add whole rows, as ``row`` makes them: a reader sees all of them or none.

        Raises:
            OSError: they cannot be written.
        """
        self._file.write(gzip.compress(rows.encode("ascii"), compresslevel=4, mtime=0))
        self._file.flush()

    def close(self) -> None:
        """End the file.

        Raises:
            OSError: its end cannot be written.
        """
        self._file.close()


class _Tail:
    """A record's bytes up to its end, or to the zeros that a failure of the power has left there.

    Attributes:
        zeros: how many were left.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end: int | None = None
        self.zeros = 0
        size = file.seek(0, os.SEEK_END)
        if size >= _ZEROS and not any(self._at(size - _ZEROS, _ZEROS)):
            end = size
            while end and not (chunk := self._at(max(0, end - _CHUNK), min(end, _CHUNK))).strip(b"\0"):
                end -= len(chunk)
            self._end = end and end - len(chunk) + len(chunk.rstrip(b"\0"))
            self.zeros = size - self._end

    def _at(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)

    def pieces(self, offset: int) -> Iterator[tuple[bytes, int]]:
        """Piece by piece from there on, and where each ends; first what is no zero, then a few of those."""
        end = self._end
        self._file.seek(offset)
        while chunk := self._file.read(_CHUNK if end is None else max(0, min(_CHUNK, end - offset))):
            offset += len(chunk)
            yield chunk, offset
        if end is not None:
            # The length that a member ends with has zeros of its own.
            yield bytes(_ZEROS), max(offset, end) + _ZEROS


def _inflated(member: zlib._Decompress, chunk: bytes, *, zeros: bool) -> bytes | None:
    """What a piece of a member holds; None where it is of zeros that are not its end: they hold nothing."""
    try:
        text = member.decompress(chunk)
    except zlib.error:
        if zeros:
            return None
        raise
    return text if member.eof or not zeros else None


class RecordFile:
    """Reads a record from its beginning; may be called again for what has been added since.

    Attributes:
        cut_off: the file ended within a gzip member when it was last read to its end.
        zeros: how many zero bytes it had at its end, as a failure of the power leaves them.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self._path = path
        self._offset = 0
        self._lines_before_offset = 0
        self._line = 0
        self.cut_off = False
        self.zeros = 0

    def lines(self) -> Iterator[str]:
        """Whole rows, header included, as far as the file goes.

        Raises:
            UserError: the file is missing, may not be read, or is damaged before its end.
        """
        try:
            with self._path.open("rb") as file:
                yield from self._lines(_Tail(file))
        except FileNotFoundError as error:
            raise UserError(
                f"{self._path} is missing; is {self._path.parent} the directory of a run?"
            ) from error
        except OSError as error:
            raise UserError(f"cannot read {self._path}: {error.strerror}") from error
        except (zlib.error, UnicodeDecodeError) as error:
            raise self._damaged(str(error)) from error

    def _lines(self, tail: _Tail) -> Iterator[str]:
        member = zlib.decompressobj(wbits=31)
        begun, rest = False, b""
        self._line, self.zeros = self._lines_before_offset, tail.zeros
        for piece, end in tail.pieces(self._offset):
            chunk, zeros = piece, bool(tail.zeros) and not any(piece)
            if zeros and not begun:
                break
            while chunk:
                begun = True
                text = _inflated(member, chunk, zeros=zeros)
                if text is None:
                    break
                *whole, rest = (rest + text).split(b"\n")
                for line in b"\n".join(whole).decode("ascii").split("\n") if whole else ():
                    self._line += 1
                    yield line
                unused = member.unused_data
                chunk = b"" if zeros else unused
                if member.eof:
                    # Members end with a row; the next reading starts after the last whole one.
                    self._offset = end - len(unused)
                    self._lines_before_offset = self._line
                    self.zeros -= (len(piece) - len(unused)) * zeros
                    member, begun = zlib.decompressobj(wbits=31), False
        self.cut_off = begun

    def values(self) -> Iterator[list[Any]]:
        """The fields of each request, as ``Record`` has them, in the order in which they ended.

        Raises:
            UserError: as for ``lines``, or the record is another version's.
        """
        for line in self.lines():
            if self._line == 1:
                if line not in _HEADERS:
                    raise UserError(
                        f"{self._path} was made by another version of failover-lab; "
                        "report it with that version"
                    )
                continue
            texts = line.split(",")
            try:
                if len(texts) not in _WIDTHS:
                    raise ValueError(line)  # noqa: TRY301
                found = [read(text) for read, text in zip(_READ, texts, strict=False)]
                found += _UNKNOWN[len(texts) - len(COLUMNS) :] if len(texts) < len(COLUMNS) else ()
            except (ValueError, KeyError, IndexError, OverflowError) as error:
                raise self._damaged(f"row {self._line} cannot be read") from error
            yield found

    def records(self) -> Iterator[Record]:
        """The requests, in the order in which they ended.

        Raises:
            UserError: as for ``values``.
        """
        return itertools.starmap(Record, self.values())

    def _damaged(self, why: str) -> UserError:
        return UserError(
            f"{self._path} is damaged after row {self._line} ({why}); only a file whose end is missing "
            "can be reported, take the run's own copy"
        )
