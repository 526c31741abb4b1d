"""Matches what nodes' kernels said with the requests of a probe, by the client's port and the time."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from failover_lab.run.records import REUSED
from failover_lab.trace.event import NEW

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from failover_lab.run.records import Record
    from failover_lab.trace.log import Line, Span

# Clocks of one machine, read one after the other.
_SLACK_S = 0.05
# Lines of several nodes come one after the other; none comes so much later than another.
_AHEAD_S = 1.0
# After so long at the earliest a first packet is sent again.
_AGAIN_S = 0.9
# Of a connection that came about a kernel keeps its entry for longer after the end: 10 s after a reset.
_AT_ONCE_S = 1.0
# So many entries of one port are remembered; each node may have one, and old ones are looked for among them.
_MOST = 8


@dataclass(slots=True)
class Entry:
    """What a node's kernel knew of a connection.

    Attributes:
        at: when it was made, in UTC seconds, as known here.
        within_s: it was made so long before at most.
        node: whose kernel it is.
        pod: the address to which it sends.
        pod_port: and the port.
        client: who opened the connection.
        ended: when it was forgotten; None: not that anybody knows.
        ended_within_s: it was forgotten so long before at most.
    """

    at: float
    within_s: float
    node: str
    pod: str
    pod_port: int
    client: str
    ended: float | None = None
    ended_within_s: float = 0.0

    @property
    def is_of_the_rest(self) -> bool:
        """Whether it was forgotten as soon as it was made.

        So it is of what came on a connection of another node's once the address had moved: the pod to
        which it is sent knows nothing of it, and resets it.
        """
        return self.ended is not None and self.ended - self.at < _AT_ONCE_S


class Way(NamedTuple):
    """Where a request went.

    Attributes:
        entries: that were made for its connection, in that order. More than one: a packet was sent again, and
            another node received it.
        older: without any, one from an earlier connection of the same port that was still there.
        rivals: of an answered request, others by which it may have been carried just as well. Nodes are read
            one after the other, so that which of two made its entry first is not known to the millisecond.
    """

    entries: tuple[Entry, ...] = ()
    older: Entry | None = None
    rivals: tuple[Entry, ...] = ()

    @property
    def last(self) -> Entry | None:
        """Where it went at last, if any node received it."""
        return self.entries[-1] if self.entries else self.older

    @property
    def carriers(self) -> tuple[Entry, ...]:
        """All by which an answered request may have been carried, the likeliest first."""
        return () if self.last is None else (self.last, *self.rivals)


NOWHERE = Way()


def begun(record: Record) -> float:
    """When the connection of a request was begun; of a reused one's, when the request was sent."""
    if record.opened is not None and not record.prior:
        return record.opened
    return record.due + record.late_ms / 1000.0


def _carriers(entries: tuple[Entry, ...], record: Record) -> tuple[Entry, ...]:
    """Of several entries, those by which a connection may have come about on which an answer came.

    The likeliest first; empty: none of them can have carried it. An address that moves just then has another
    node make one for what followed: that one carried nothing. Where both were made between two looks at the
    kernels, either may have been the first.
    """
    connected = record.done if record.connected is None else record.connected
    there = [one for one in entries if one.ended is None or one.ended >= connected]
    # One that a kernel gave up at once, to make another, carried nothing either.
    lasting = [one for one in there if one.ended is None or one.ended - one.ended_within_s > record.done]
    there = sorted(lasting or there, key=lambda one: one.at)
    in_time = [one for one in there if one.at - one.within_s <= connected] or there[:1]
    # The first packet was sent again: whoever received it last.
    return tuple(in_time if connected - begun(record) < _AGAIN_S else reversed(in_time))


class Join:
    """Gives each request its way.

    Args:
        lines: of the trace, as they were written.
        spans: of the nodes that were heard: what a node knows ends with it.
        clients: the addresses from which the probe asks. Where none of them is seen, they are translated on
            the way, and the port alone has to do.

    Attributes:
        receivers: (instant, node) whenever another node received something, the first included, so far.
    """

    def __init__(self, lines: Iterable[Line], spans: Collection[Span], clients: Collection[str]) -> None:
        """Nothing is read yet."""
        self._lines = iter(lines)
        self._next: Line | None = next(self._lines, None)
        self._clients = frozenset(clients)
        self._own_seen = False
        self.receivers: list[tuple[float, str]] = []
        self._ports: dict[int, collections.deque[Entry]] = {}
        self._opened: dict[int, Way] = {}
        self._ends: dict[str, list[float]] = collections.defaultdict(list)
        for span in spans:
            if span.end is not None:
                self._ends[span.node].append(span.end)

    def way(self, record: Record) -> Way:
        """Where a request went; they have to be asked for in the order of their due times."""
        self._read_on(record.done)
        if record.local_port is None:
            return NOWHERE
        if record.kind == REUSED and record.prior:
            return self._of_reused(record, record.local_port)
        way = self._between(record.local_port, begun(record), record.done)
        if not record.failed and way.entries:
            carriers = _carriers(way.entries, record)
            way = Way(carriers[:1], rivals=carriers[1:])
        if record.kind == REUSED:
            self._opened[record.local_port] = way
        return way

    def feed(self, lines: Iterable[Line]) -> None:
        """Take lines that have been written since."""
        for line in lines:
            self._take(line)

    def _of_reused(self, record: Record, port: int) -> Way:
        opened = self._opened.get(port, NOWHERE)
        if not record.failed:
            return opened
        # Once the address has moved, another node receives what it knows nothing of.
        since = self._between(port, record.sent or record.due, record.done).entries
        before = opened.entries or (() if opened.older is None else (opened.older,))
        return Way((*before, *(entry for entry in since if entry not in before)))

    def _read_on(self, until: float) -> None:
        while (line := self._next) is not None and (
            line.at <= until + _AHEAD_S or line.at - line.within_s <= until
        ):
            self._take(line)
            self._next = next(self._lines, None)

    def _take(self, line: Line) -> None:
        if line.client in self._clients:
            self._own_seen = True
        elif self._own_seen:
            return
        entries = self._ports.setdefault(line.client_port, collections.deque(maxlen=_MOST))
        if line.change == NEW and (not self.receivers or self.receivers[-1][1] != line.node):
            self.receivers.append((line.at, line.node))
        if line.change == NEW:
            entries.append(Entry(line.at, line.within_s, line.node, line.pod, line.pod_port, line.client))
            return
        for entry in reversed(entries):
            if (
                entry.ended is None
                and entry.node == line.node
                and entry.pod == line.pod
                and entry.client == line.client
            ):
                entry.ended, entry.ended_within_s = line.at, line.within_s
                return

    def _between(self, port: int, begin: float, end: float) -> Way:
        mine, older = [], None
        for entry in self._ports.get(port, ()):
            if self._own_seen and entry.client not in self._clients:
                continue
            if entry.at < begin - _SLACK_S:
                if not self._over(entry, begin):
                    older = entry
            elif entry.at - entry.within_s <= end + _SLACK_S:
                mine.append(entry)
        return Way(tuple(mine)) if mine else Way(older=older)

    def _over(self, entry: Entry, at: float) -> bool:
        """Whether an entry was gone by then, by itself or with its node."""
        if entry.ended is not None and entry.ended - _SLACK_S <= at:
            return True
        return any(entry.at <= end <= at for end in self._ends.get(entry.node, ()))
