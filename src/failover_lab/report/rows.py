"""The requests of a probe in the order of their due times: in pieces, which are on disk once they are many.

A day has some twenty millions. None is kept as an object: each column is an array of figures, and what is not
a figure (who answered, how it ended) is the number of a row that was like it.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import heapq
import itertools
import math
import operator
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from failover_lab.errors import UserError
from failover_lab.report import stats
from failover_lab.run.records import Record

if TYPE_CHECKING:
    from pathlib import Path

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

    def __init__(self, values: Iterable[Sequence[Any]], directory: Path | None = None) -> None:
        """Read them to their end.

        Args:
            values: the fields of each, as ``Record`` has them.
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
            strays = self._fill(values)
        except OSError as error:
            where = directory or tempfile.gettempdir()
            raise UserError(
                f"cannot keep the requests in {where} while they are looked at: {error.strerror}; "
                "free some space"
            ) from error
        if strays:
            mine = map(_VALUES, self)
            strays.sort(key=operator.itemgetter(_DUE))
            whole = Rows(heapq.merge(mine, strays, key=operator.itemgetter(_DUE)), directory)
            vars(self).update(vars(whole))

    @classmethod
    def of(cls, records: Iterable[Record], directory: Path | None = None) -> Rows:
        """These requests."""
        return cls(map(_VALUES, records), directory)

    def _fill(self, values: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """Write blocks in the order of due times; gives back what came when its place was taken already."""
        strays: list[Sequence[Any]] = []
        waiting: list[tuple[float, int, Sequence[Any]]] = []
        written_to = -math.inf
        most = _WINDOW + _BLOCK
        for number, row in enumerate(values):
            due = row[_DUE]
            if due < written_to:
                strays.append(row)
                continue
            waiting.append((due, number, row))
            if len(waiting) == most:
                waiting.sort()
                self._write([entry[2] for entry in waiting[:_BLOCK]])
                written_to = waiting[_BLOCK - 1][0]
                del waiting[:_BLOCK]
        waiting.sort()
        for begin in range(0, len(waiting), _BLOCK):
            self._write([entry[2] for entry in waiting[begin : begin + _BLOCK]])
        return strays

    def _write(self, rows: list[Sequence[Any]]) -> None:
        columns = list(zip(*rows, strict=True))
        pieces = []
        for name, code in _FIGURES.items():
            column: Iterable[Any] = columns[_FIELDS.index(name)]
            if name in _NONE:
                none = _NONE[name]
                column = [none if value is None else value for value in column]
            pieces.append(array(code, column).tobytes())
        sorts, counts, said = self._sorts, self._counts, array(_COLUMNS["said"])
        used = [prior > 0 for prior in columns[_FIELDS.index("prior")]]
        for row, key in zip(rows, zip(used, *(columns[index] for index in _SAID), strict=True), strict=True):
            sort = sorts.get(key)
            if sort is None:
                sort = sorts[key] = len(counts)
                counts.append(0)
                self.said.append(Record(*row))
            counts[sort] += 1
            said.append(sort)
        self._file.seek(self._length * _ROW_BYTES)
        self._file.write(b"".join([*pieces, said.tobytes()]))
        self._first_dues.append(rows[0][_DUE])
        self._length += len(rows)
        last = max(columns[_FIELDS.index("done")])
        self.ended = last if self.ended is None else max(self.ended, last)

    def _column(self, block: int, name: str) -> array[Any]:
        begin = block * _BLOCK
        length = min(_BLOCK, self._length - begin)
        result = array(_COLUMNS[name])
        self._file.seek(begin * _ROW_BYTES + length * _OFFSETS[name])
        result.frombytes(self._file.read(length * result.itemsize))
        return result

    def _field(self, block: int, name: str, begin: int = 0, end: int | None = None) -> Iterable[Any]:
        """A field of the requests in a block as ``Record`` has it, or one of its properties."""
        if name in _COLUMNS:
            column = self._column(block, name)[begin:end]
            if name not in _NONE:
                return column
            if name == "local_port":
                return [None if port < 0 else port for port in column]
            return [None if at != at else at for at in column]  # noqa: PLR0124  no number is not itself
        of = [getattr(record, name) for record in self.said]
        return map(of.__getitem__, self._column(block, "said")[begin:end])

    def _records(self, block: int, begin: int = 0, end: int | None = None) -> Iterator[Record]:
        return map(Record, *(self._field(block, name, begin, end) for name in _FIELDS))

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
        wanted = {sort for sort, record in enumerate(self.said) if test(record)}
        if len(wanted) == len(self.said):
            yield from self
            return
        for block in self._blocks() if wanted else ():
            sorts = self._column(block, "said")
            if not wanted.isdisjoint(sorts):
                for sort, record in zip(sorts, self._records(block), strict=True):
                    if sort in wanted:
                        yield record

    def count(self, test: Callable[[Record], bool]) -> int:
        """Of how many this is true; as for ``where``."""
        return sum(self._counts[sort] for sort, record in enumerate(self.said) if test(record))

    def between(self, begin: float, end: float) -> Iterator[Record]:
        """The requests that were due between these instants, both included."""
        first = max(0, bisect.bisect_left(self._first_dues, begin) - 1)
        last = bisect.bisect_right(self._first_dues, end)
        for block in range(first, last):
            dues = self._column(block, "due")
            yield from self._records(block, bisect.bisect_left(dues, begin), bisect.bisect_right(dues, end))

    @functools.cached_property
    def late_ms(self) -> Sequence[float]:
        """By how much the probe missed each due time, ascending."""
        return stats.Ordered(late for (late,) in self.pick("late_ms"))
