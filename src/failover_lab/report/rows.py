"""The requests of a probe in the order of their due times: in pieces, which are on disk once they are many.

A day has some twenty millions. None is kept as an object: each column is an array of figures, and what is not
a figure (who answered, how it ended) is the number of a row that was like it.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
import functools
import heapq
import itertools
import math
import operator
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from failover_lab.errors import UserError
from failover_lab.report import stats
from failover_lab.run.records import Record

if TYPE_CHECKING:
    from pathlib import Path

_Field = TypeVar("_Field")
_BLOCK = 8192
# So many are sorted at a time: requests end nearly in the order in which they were due.
_WINDOW = 3 * _BLOCK
_IN_MEMORY_BYTES = 8 << 20
_FIGURES = {
    "number": "q",
    "due": "d",
    "connected": "d",
    "sent": "d",
    "done": "d",
    "local_port": "q",
    "prior": "q",
    "late_ms": "d",
    "opened": "d",
}
# What stands for None in a column that may have it; a port is never below 0, and no instant is no number.
_NONE: dict[str, Any] = {"connected": math.nan, "sent": math.nan, "opened": math.nan, "local_port": -1}
_FIELDS = tuple(field.name for field in dataclasses.fields(Record))
_DUE = _FIELDS.index("due")
_SAID = tuple(index for index, name in enumerate(_FIELDS) if name not in _FIGURES)
_COLUMNS = {**_FIGURES, "said": "I"}
_OFFSETS = dict(
    zip(
        _COLUMNS,
        itertools.accumulate((array(c).itemsize for c in _COLUMNS.values()), initial=0),
        strict=False,
    )
)
_ROW_BYTES = sum(array(code).itemsize for code in _COLUMNS.values())
_VALUES = operator.attrgetter(*_FIELDS)


class Rows(Sequence[Record]):
    """Requests in the order of their due times; as a sequence they are made anew each time one looks.

    ``where`` and ``pick`` make only what is asked for, and are for all that looks at every request.

    Attributes:
        said: one request of each sort: all that is not a figure is the same in all of its sort, and whether
            there were any before it on its connection.
        ended: when the last one ended; None where there is none.
    """

    def __init__(self, parts: Iterable[Sequence[Sequence[Any]]], directory: Path | None = None) -> None:
        """Read them to their end.

        Args:
            parts: of the requests, by columns: the fields that ``Record`` has.
            directory: where there is room for them; None: where the system has its temporary files.

        Raises:
            UserError: there is no room for them.
        """
        self.said: list[Record] = []
        self._counts: list[int] = []
        self._sorts: dict[tuple[Any, ...], int] = {}
        self._first_dues: list[float] = []
        self._length = 0
        self.ended: float | None = None
        # Nothing of it is left, however this process ends.
        where_to = None if directory is None else str(directory)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=where_to)  # noqa: SIM115
        try:
            strays = self._fill(parts)
        except OSError as error:
            where = directory or tempfile.gettempdir()
            raise UserError(
                f"cannot keep the requests in {where} while they are looked at: {error.strerror}; "
                "free some space"
            ) from error
        if strays:
            mine = map(_VALUES, self)
            strays.sort(key=operator.itemgetter(_DUE))
            whole = Rows(_parts(heapq.merge(mine, strays, key=operator.itemgetter(_DUE))), directory)
            vars(self).update(vars(whole))

    @classmethod
    def of(cls, records: Iterable[Record], directory: Path | None = None) -> Rows:
        """These requests."""
        return cls(_parts(map(_VALUES, records)), directory)

    def _fill(self, parts: Iterable[Sequence[Sequence[Any]]]) -> list[Sequence[Any]]:
        """Write blocks in the order of due times; gives back what came when its place was taken already."""
        strays: list[Sequence[Any]] = []
        waiting: list[array[Any]] = [array(code) for code in _COLUMNS.values()]
        dues = waiting[list(_COLUMNS).index("due")]
        written_to = -math.inf
        for part in parts:
            columns = part
            if min(columns[_DUE]) < written_to:
                in_time = [due >= written_to for due in columns[_DUE]]
                strays += itertools.compress(zip(*columns, strict=True), map(operator.not_, in_time))
                columns = [list(itertools.compress(column, in_time)) for column in columns]
            for column, more in zip(waiting, self._kept(columns), strict=True):
                column.extend(more)
            # Many more than are held back, for those are put in order once more.
            if len(dues) > 4 * _WINDOW:
                whole = (len(dues) - _WINDOW) // _BLOCK * _BLOCK
                _put_in_order(waiting, dues)
                written_to = dues[whole - 1]
                self._write([column[:whole] for column in waiting])
                for column in waiting:
                    del column[:whole]
        _put_in_order(waiting, dues)
        self._write(waiting)
        return strays

    def _kept(self, columns: Sequence[Sequence[Any]]) -> Iterator[array[Any]]:
        """Fields of requests as they are kept."""
        for name, code in _FIGURES.items():
            column = columns[_FIELDS.index(name)]
            if name in _NONE and None in column:
                none = _NONE[name]
                column = [none if value is None else value for value in column]
            yield array(code, column)
        used = map((0).__lt__, columns[_FIELDS.index("prior")])
        keys = list(zip(used, *(columns[index] for index in _SAID), strict=True))
        sorts = self._sorts
        try:
            said = array(_COLUMNS["said"], map(sorts.__getitem__, keys))
        except KeyError:
            for at, key in enumerate(keys):
                if key not in sorts:
                    sorts[key] = len(self.said)
                    self.said.append(Record(*(column[at] for column in columns)))
                    self._counts.append(0)
            said = array(_COLUMNS["said"], map(sorts.__getitem__, keys))
        yield said

    def _write(self, columns: list[array[Any]]) -> None:
        """Add requests in the order of their due times: whole blocks, unless they are the last."""
        named = dict(zip(_COLUMNS, columns, strict=True))
        for begin in range(0, len(named["due"]), _BLOCK):
            self._first_dues.append(named["due"][begin])
            self._file.seek((self._length + begin) * _ROW_BYTES)
            self._file.write(b"".join(column[begin : begin + _BLOCK].tobytes() for column in columns))
        self._length += len(named["due"])
        for sort, count in collections.Counter(named["said"]).items():
            self._counts[sort] += count
        last = max(named["done"], default=None)
        if last is not None:
            self.ended = last if self.ended is None else max(self.ended, last)

    def _column(self, block: int, name: str) -> array[Any]:
        begin = block * _BLOCK
        length = min(_BLOCK, self._length - begin)
        result = array(_COLUMNS[name])
        self._file.seek(begin * _ROW_BYTES + length * _OFFSETS[name])
        result.frombytes(self._file.read(length * result.itemsize))
        return result

    def _field(
        self,
        block: int,
        name: str,
        chosen: Callable[[array[Any]], Iterable[Any]] = lambda column: column,
    ) -> Iterable[Any]:
        """A field of the requests in a block as ``Record`` has it, or one of its properties."""
        if name in _COLUMNS:
            column = chosen(self._column(block, name))
            if name not in _NONE:
                return column
            if name == "local_port":
                return [None if port < 0 else port for port in column]
            return [None if at != at else at for at in column]  # noqa: PLR0124  no number is not itself
        of = [getattr(record, name) for record in self.said]
        return map(of.__getitem__, chosen(self._column(block, "said")))

    def _records(self, block: int, begin: int = 0, end: int | None = None) -> Iterator[Record]:
        return self._chosen(block, lambda column: column[begin:end])

    def _chosen(self, block: int, chosen: Callable[[array[Any]], Iterable[Any]]) -> Iterator[Record]:
        return map(Record, *(self._field(block, name, chosen) for name in _FIELDS))

    def _blocks(self) -> range:
        return range(len(self._first_dues))

    def __len__(self) -> int:
        """How many."""
        return self._length

    def __iter__(self) -> Iterator[Record]:
        """All of them, one after the other."""
        return itertools.chain.from_iterable(map(self._records, self._blocks()))

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        """One of them, or some."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length))]
        at = index + self._length if index < 0 else index
        if not 0 <= at < self._length:
            raise IndexError(index)
        block, within = divmod(at, _BLOCK)
        return next(self._records(block, within, within + 1))

    def columns(
        self, *names: str, begin: float = -math.inf, end: float = math.inf
    ) -> Iterator[tuple[array[Any], ...]]:
        """These figures of the requests that were due between two instants, both included, in parts.

        What looks at each of millions is many times as fast with the functions that take a whole column.

        Args:
            names: fields of ``Record`` that are figures, as they are kept (``sent``, ``connected`` and
                ``opened`` are no number where they are None, a port is -1), or ``said``: which of ``said``
                the request is like.
            begin: the first instant.
            end: the last.
        """
        for block, first, last in self._within(begin, end):
            yield tuple(self._column(block, name)[first:last] for name in names)

    def _within(self, begin: float, end: float) -> Iterator[tuple[int, int, int | None]]:
        """The blocks that have requests due between two instants, and which of each block these are."""
        first = max(0, bisect.bisect_left(self._first_dues, begin) - 1)
        last = bisect.bisect_right(self._first_dues, end)
        for block in range(first, last):
            if first < block < last - 1:
                yield block, 0, None
                continue
            dues = self._column(block, "due")
            low, high = bisect.bisect_left(dues, begin), bisect.bisect_right(dues, end)
            if low < high:
                yield block, low, high

    def pick(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """These fields of each request, and nothing else of it.

        Args:
            names: fields of ``Record``, its property ``failed``, or ``said``: which of ``said`` it is like.
        """
        for block in self._blocks():
            yield from zip(*(self._field(block, name) for name in names), strict=True)

    def where(self, test: Callable[[Record], bool]) -> Iterator[Record]:
        """The requests of which this is true.

        Args:
            test: it may look at what is no figure alone, kind, outcome, pod and the like, and at whether
                there were any before it on its connection.
        """
        wanted = [test(record) for record in self.said]
        if all(wanted):
            yield from self
            return
        for block in self._blocks() if any(wanted) else ():
            these = list(map(wanted.__getitem__, self._column(block, "said")))
            if any(these):
                yield from self._chosen(block, functools.partial(_compressed, these))

    def count(self, test: Callable[[Record], bool]) -> int:
        """Of how many this is true; as for ``where``."""
        return sum(self._counts[sort] for sort, record in enumerate(self.said) if test(record))

    def between(self, begin: float, end: float) -> Iterator[Record]:
        """The requests that were due between these instants, both included."""
        for block, first, last in self._within(begin, end):
            yield from self._records(block, first, last)

    @functools.cached_property
    def late_ms(self) -> Sequence[float]:
        """By how much the probe missed each due time, ascending."""
        return stats.Ordered(itertools.chain.from_iterable(late for (late,) in self.columns("late_ms")))


def only(column: Iterable[_Field], sorts: Iterable[int], wanted: Sequence[bool]) -> Iterable[_Field]:
    """What belongs to the requests that are wanted.

    Args:
        column: a figure of each, or several.
        sorts: which of ``said`` each is like.
        wanted: of each of ``said``, whether it is.
    """
    return itertools.compress(column, map(wanted.__getitem__, sorts))


def _parts(values: Iterable[Sequence[Any]]) -> Iterator[list[tuple[Any, ...]]]:
    """Requests by columns, of their fields one by one."""
    rows = iter(values)
    while part := list(itertools.islice(rows, _BLOCK)):
        yield list(zip(*part, strict=True))


def _compressed(chosen: list[bool], column: array[Any]) -> Iterable[Any]:
    return itertools.compress(column, chosen)


def _put_in_order(columns: list[array[Any]], dues: array[float]) -> None:
    """By due time; those that are due at once stay in the order in which they are."""
    if all(map(operator.le, dues, itertools.islice(dues, 1, None))):
        return
    order = sorted(range(len(dues)), key=dues.__getitem__)
    for column in columns:
        column[:] = array(column.typecode, map(column.__getitem__, order))
