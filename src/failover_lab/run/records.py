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
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

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


# Reads the texts of a part of a column.
_Read: TypeAlias = "Callable[[list[str]], list[Any]]"
# These two say something about the probe, not about the site: they are no failure that a user saw.
NOT_SEEN_BY_USERS = frozenset({Outcome.UNFINISHED, Outcome.PROBE_ERROR})
NEW, REUSED = "new", "reused"


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
        return self.outcome is not Outcome.OK and self.outcome not in NOT_SEEN_BY_USERS


_OUTCOMES = {str(outcome): outcome for outcome in Outcome}
_KINDS = {kind: kind for kind in (NEW, REUSED)}
# A file that was being written as the power failed may end in zeros; a whole gzip member ends in fewer.
_ZEROS = 16
# A member has a few thousand bytes, and what is read beyond its end is copied for the next.
_CHUNK = 1 << 14
# So much text is taken apart at once, some hundreds of rows: of more, the processor's cache has no room.
_AT_ONCE = 1 << 17


def _some(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: "" if value is None else write(value)


def _found(read: _Read) -> _Read:
    """Reads a column in which a text may be empty, and is None then."""

    def some(texts: list[str]) -> list[Any]:
        if "" not in texts:
            return read(texts)
        there = iter(read([text for text in texts if text]))
        return [next(there) if text else None for text in texts] if any(texts) else [None] * len(texts)

    return some


def _wholes(texts: list[str]) -> list[int]:
    values = list(map(int, texts))
    if values and not 0 <= min(values) <= max(values) < 1 << 53:
        raise ValueError("out of range")
    return values


def _finite(texts: list[str]) -> list[float]:
    values = list(map(float, texts))
    if not all(map(math.isfinite, values)):
        raise ValueError("no figure")
    return values


def _each(read: Callable[[str], Any]) -> _Read:
    return lambda texts: list(map(read, texts))


# Each field of a Record, in its order: the column's name, how a value is written, and how a part of the
# column is read: at once, since a day has millions of each.
_COLUMNS: dict[str, tuple[str, Callable[[Any], str], _Read]] = {
    "number": ("number", str, _wholes),
    "kind": ("connection_kind", str, _each(_KINDS.__getitem__)),
    "due": ("due", instants.text, instants.parse_all),
    "connected": ("connected", _some(instants.text), _found(instants.parse_all)),
    "sent": ("sent", _some(instants.text), _found(instants.parse_all)),
    "done": ("done", instants.text, instants.parse_all),
    "outcome": ("outcome", str, _each(_OUTCOMES.__getitem__)),
    "status": ("status", _some(str), _found(_wholes)),
    "pod": ("pod", str, _each(sys.intern)),
    "node": ("node", str, _each(sys.intern)),
    "local_port": ("local_port", _some(str), _found(_wholes)),
    "prior": ("prior_requests", str, _wholes),
    "late_ms": ("late_ms", "{:.3f}".format, _finite),
    "retransmits": ("retransmits", _some(str), _found(_wholes)),
    "detail": ("detail", str, _each(sys.intern)),
    "opened": ("opened", _some(instants.text), _found(instants.parse_all)),
    "peer": ("peer", str, _each(sys.intern)),
}
COLUMNS = tuple(name for name, _, _ in _COLUMNS.values())
HEADER = ",".join(COLUMNS)
# Columns that came later: a record made before has none of them, and is read all the same.
LATER = ("opened", "peer")
_UNKNOWN = (None, "")
_BAD = (ValueError, KeyError, IndexError, OverflowError)
_WIDTHS = (len(COLUMNS), len(COLUMNS) - len(LATER))
_HEADERS = frozenset(",".join(COLUMNS[:width]) for width in _WIDTHS)
_WRITE = tuple(write for _, write, _ in _COLUMNS.values())
_READ = tuple(read for _, _, read in _COLUMNS.values())
_FIELDS = operator.attrgetter(*_COLUMNS)


def _columns(rows: str) -> list[list[Any]]:
    """The columns of whole rows, which have as many fields each.

    Raises:
        ValueError, KeyError, OverflowError: they have not, or one of them is none that is written.
    """
    width = rows.partition("\n")[0].count(",") + 1
    if width not in _WIDTHS:
        raise ValueError(rows[:200])
    # The end of a row becomes a field of its own: it shows whether all are as wide.
    texts = rows.replace("\n", ",\n,").split(",")
    ends = texts[width :: width + 1]
    count = len(ends) + 1
    if len(texts) != count * (width + 1) - 1 or ends.count("\n") != rows.count("\n"):
        raise ValueError(rows[:200])
    found = [read(texts[at :: width + 1]) for at, read in enumerate(_READ[:width])]
    return found + [[unknown] * count for unknown in _UNKNOWN[width - len(COLUMNS) :] if width < len(COLUMNS)]


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
        self._ends = 0, 0
        self.cut_off = False
        self.zeros = 0

    def lines(self) -> Iterator[str]:
        """Whole rows, header included, as far as the file goes.

        Raises:
            UserError: the file is missing, may not be read, or is damaged before its end.
        """
        for text in self._texts():
            yield from text.split("\n")

    def _texts(self) -> Iterator[str]:
        """Whole rows, many at a time, without the last one's end; ``_line`` counts those before them."""
        self._line, damage = self._lines_before_offset, None
        waiting: list[str] = []
        try:
            with self._path.open("rb") as file:
                for text in self._inflated(_Tail(file)):
                    waiting.append(text)
                    if sum(map(len, waiting)) >= _AT_ONCE:
                        yield from self._taken(waiting)
                        waiting = []
        except FileNotFoundError as error:
            raise UserError(
                f"{self._path} is missing; is {self._path.parent} the directory of a run?"
            ) from error
        except OSError as error:
            raise UserError(f"cannot read {self._path}: {error.strerror}") from error
        except (zlib.error, UnicodeDecodeError) as error:
            damage = error
        # What is whole before it comes first.
        yield from self._taken(waiting)
        if damage is not None:
            raise self._damaged(str(damage)) from damage
        self._offset, self._lines_before_offset = self._ends

    def _taken(self, texts: list[str]) -> Iterator[str]:
        if texts:
            text = "\n".join(texts)
            ends = self._ends
            yield text
            self._line += text.count("\n") + 1
            # The next reading starts after the last whole member: those who took this are done with it.
            self._offset, self._lines_before_offset = ends

    def _inflated(self, tail: _Tail) -> Iterator[str]:
        member = zlib.decompressobj(wbits=31)
        begun, rest = False, b""
        lines, self.zeros = self._lines_before_offset, tail.zeros
        self._ends = self._offset, lines
        for piece, end in tail.pieces(self._offset):
            chunk, zeros = piece, bool(tail.zeros) and not any(piece)
            if zeros and not begun:
                break
            while chunk:
                begun = True
                text = _inflated(member, chunk, zeros=zeros)
                if text is None:
                    break
                whole, newline, rest = (rest + text).rpartition(b"\n")
                unused = member.unused_data
                chunk = b"" if zeros else unused
                if newline:
                    lines += whole.count(b"\n") + 1
                if member.eof:
                    # Members end with a row.
                    self._ends = end - len(unused), lines
                    self.zeros -= (len(piece) - len(unused)) * zeros
                    member, begun = zlib.decompressobj(wbits=31), False
                if newline:
                    yield whole.decode("ascii")
        self.cut_off = begun

    def parts(self) -> Iterator[list[list[Any]]]:
        """The fields of each request, as ``Record`` has them, in the order in which they ended.

        They come by columns, some thousands of requests at a time: row by row it takes four times as long.

        Raises:
            UserError: as for ``lines``, or the record is another version's.
        """
        for text in self._texts():
            rows = text
            if self._line == 0:
                header, _, rows = text.partition("\n")
                if header not in _HEADERS:
                    raise UserError(
                        f"{self._path} was made by another version of failover-lab; "
                        "report it with that version"
                    )
                if len(header) == len(text):
                    continue
            try:
                yield _columns(rows)
            except _BAD:
                yield from self._one_by_one(rows, self._line + (rows is not text))

    def _one_by_one(self, rows: str, line: int) -> Iterator[list[list[Any]]]:
        """The same of rows of which they are not alike, or one is not as it should be."""
        for number, row in enumerate(rows.split("\n"), line + 1):
            try:
                found = _columns(row)
            except _BAD as error:
                self._line = number
                raise self._damaged(f"row {number} cannot be read") from error
            yield found

    def values(self) -> Iterator[tuple[Any, ...]]:
        """The fields of each request, as ``Record`` has them, in the order in which they ended.

        Raises:
            UserError: as for ``parts``.
        """
        return itertools.chain.from_iterable(zip(*columns, strict=True) for columns in self.parts())

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
