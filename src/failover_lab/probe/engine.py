"""The probe's loop: starts every request when it is due and waits for whatever happens next.

One thread, one selector, no task per request: 2,000 new connections/s take about a third of a core, and a
server that stalls costs a socket each, never a later due time.
"""

from __future__ import annotations

import collections
import itertools
import selectors
import socket
import struct
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from failover_lab.probe import http1
from failover_lab.probe.exchange import Exchange
from failover_lab.probe.schedule import Schedule
from failover_lab.run import records
from failover_lab.run.records import NEW, REUSED, Outcome, Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.arguments import Target
    from failover_lab.probe.exchange import Address
    from failover_lab.probe.ports import Ports
    from failover_lab.probe.tally import Tally
    from failover_lab.run import instants

# After so many requests begun in a row, look what has come in: catching up must delay no answer's instant.
_BURST = 32
# How long to wait for the server's own close after the last answer. It closes first because it was asked to,
# and so the probe's machine keeps no TIME_WAIT ports: at 2,000/s they would run out within seconds.
_LINGER_S = 1.0
_TICK_S = 0.1
# struct linger: on, for 0 s. Closing sends a reset.
_AT_ONCE = struct.pack("ii", 1, 0)
# From the call to the first due time, so that even the first is on time.
START_S = 0.02


@dataclass(frozen=True, slots=True)
class Settings:
    """What to send and how long to wait; rates in requests/s, 0 for none of that kind."""

    target: Target
    new_rate: float
    reused_rate: float
    reused_connections: int
    connect_timeout_s: float
    read_timeout_s: float


@dataclass(slots=True)
class _Idle:
    sock: socket.socket
    local_port: int
    requests: int


class Engine:
    """Sends requests on schedule until told to stop.

    Args:
        settings: what to send.
        family: of the address's socket.
        address: as ``socket.connect`` takes it.
        clock: for the instants in the record.
        tally: counts, kept up to date.
        ports: where connections come from; None: the system chooses.
        tick: called about ten times a second with the rows that are new; gives back why to stop, or None.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        family: int,
        address: Address,
        clock: instants.Clock,
        tally: Tally,
        ports: Ports | None,
        tick: Callable[[str], str | None],
    ) -> None:
        """Nothing is sent yet."""
        self._settings = settings
        self._family = family
        self._address = address
        self._offset_s = clock.offset_s
        self._tally = tally
        self._ports = ports
        self._tick = tick
        self._selector = selectors.DefaultSelector()
        self._requests = {
            NEW: http1.request(settings.target, keep_open=False),
            REUSED: http1.request(settings.target, keep_open=True),
        }
        self._connecting: collections.deque[Exchange] = collections.deque()
        self._waiting: collections.deque[Exchange] = collections.deque()
        self._lingering: collections.deque[tuple[float, socket.socket]] = collections.deque()
        self._idle: collections.deque[_Idle] = collections.deque()
        self._open_reused = 0
        # In the order in which they were begun.
        self._in_flight: dict[Exchange, None] = {}
        self._rows: list[str] = []
        self.hurry: Callable[[], bool] = lambda: False

    def run(self) -> str:
        """Send until ``tick`` says why to stop, wait for what is under way, and give that reason back."""
        first = monotonic() + START_S
        self._tally.began = first + self._offset_s
        s = self._settings
        plans = [(NEW, s.new_rate, first), (REUSED, s.reused_rate, first)]
        schedules = [Schedule(kind, rate, start) for kind, rate, start in plans if rate > 0]
        next_tick = monotonic()
        reason: str | None = None
        try:
            while reason is None:
                now = monotonic()
                self._start_due(schedules, now)
                if now >= next_tick:
                    reason = self._hand_over()
                    next_tick = max(next_tick + _TICK_S, now)
                self._wait(min(next_tick, *(schedule.due for schedule in schedules)))
            while self._in_flight and not self.hurry():
                self._hand_over()
                self._wait(monotonic() + _TICK_S)
            return reason
        finally:
            self._finish()

    def _start_due(self, schedules: list[Schedule], now: float) -> None:
        for schedule in schedules:
            for _ in range(_BURST):
                if schedule.due > now:
                    break
                self._start(schedule.kind, schedule.advance())

    def _start(self, kind: str, due: float) -> None:
        self._tally.sent += 1
        exchange = Exchange(kind, due, monotonic())
        self._in_flight[exchange] = None
        # The pool fills first, so that all connections are there from the beginning; after that each is used
        # in turn, and another is opened only while none is free.
        if kind == REUSED and self._idle and self._open_reused >= self._settings.reused_connections:
            idle = self._idle.popleft()
            exchange.adopt(idle.sock, idle.local_port, idle.requests)
            exchange.send(self._requests[REUSED])
            if exchange.outcome is not None:
                self._end(exchange)
                return
            self._waiting.append(exchange)
            self._selector.modify(idle.sock, selectors.EVENT_READ, (self._on_readable, exchange))
            return
        if kind == REUSED:
            self._open_reused += 1
        if not exchange.connect(self._family, self._address, self._ports):
            self._end(exchange)
            return
        assert exchange.sock is not None  # noqa: S101
        self._selector.register(exchange.sock, selectors.EVENT_WRITE, (self._on_writable, exchange))
        self._connecting.append(exchange)

    def _wait(self, until: float) -> None:
        for key, _ in self._selector.select(max(0.0, until - monotonic())):
            handler, argument = key.data
            handler(argument)
        self._expire(monotonic())

    def _on_writable(self, exchange: Exchange) -> None:
        exchange.on_connected(self._requests[exchange.kind])
        if exchange.outcome is not None:
            self._end(exchange)
            return
        assert exchange.sock is not None  # noqa: S101
        self._selector.modify(exchange.sock, selectors.EVENT_READ, (self._on_readable, exchange))
        self._waiting.append(exchange)

    def _on_readable(self, exchange: Exchange) -> None:
        exchange.on_readable()
        if exchange.outcome is not None:
            self._end(exchange)

    def _on_idle(self, idle: _Idle) -> None:
        """The server closed a connection on which nothing was under way: it may, and nobody lost anything."""
        self._idle.remove(idle)
        self._drop(idle.sock)
        self._open_reused -= 1

    def _on_lingering(self, sock: socket.socket) -> None:
        self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        sock.close()

    def _break_off(self, sock: socket.socket) -> None:
        """Close what will not end in good order, by a reset.

        A goodbye that nobody acknowledges is sent again for minutes, and for minutes more a node on the way
        keeps the connection in its table. The next one from the same port would be sent after it, to a pod
        that is gone. A reset takes it out of that table.
        """
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        if sock in self._selector.get_map():
            self._selector.unregister(sock)
        sock.close()

    def _expire(self, now: float) -> None:
        s = self._settings
        # Each queue is in the order of its deadlines, because each has one length of time for all.
        while self._connecting and (
            self._connecting[0].outcome is not None
            or self._connecting[0].connected
            or now >= self._connecting[0].started + s.connect_timeout_s
        ):
            exchange = self._connecting.popleft()
            if exchange.outcome is None and not exchange.connected:
                exchange.fail(Outcome.CONNECT_TIMEOUT)
                self._end(exchange)
        while self._waiting and (
            self._waiting[0].outcome is not None or now >= self._waiting[0].sent + s.read_timeout_s
        ):
            exchange = self._waiting.popleft()
            if exchange.outcome is None:
                exchange.fail(Outcome.READ_TIMEOUT, "after_part" if exchange.received else "before_any_byte")
                self._end(exchange)
        while self._lingering and (self._lingering[0][1].fileno() < 0 or now >= self._lingering[0][0]):
            sock = self._lingering.popleft()[1]
            if sock.fileno() >= 0:
                self._break_off(sock)

    def _end(self, exchange: Exchange) -> None:
        self._in_flight.pop(exchange, None)
        self._settle_socket(exchange)
        self._note(exchange)

    def _settle_socket(self, exchange: Exchange) -> None:
        sock = exchange.sock
        # Connections beyond the wanted number were opened while all were busy, and go as they become free.
        room = self._open_reused <= self._settings.reused_connections
        if exchange.reusable and room and sock is not None:
            idle = _Idle(sock, exchange.local_port, exchange.prior + 1)
            self._idle.append(idle)
            self._selector.modify(sock, selectors.EVENT_READ, (self._on_idle, idle))
            return
        if exchange.kind == REUSED:
            self._open_reused -= 1
        if sock is None:
            return
        if exchange.answer is not None:
            self._selector.modify(sock, selectors.EVENT_READ, (self._on_lingering, sock))
            self._lingering.append((exchange.done + _LINGER_S, sock))
            return
        self._break_off(sock)

    def _note(self, e: Exchange) -> None:
        assert e.outcome is not None  # noqa: S101
        pod, node = (e.identity.pod, e.identity.node) if e.identity else ("", "")
        late_ms = e.late_s * 1000.0
        done = e.done + self._offset_s
        tally = self._tally
        latency_ms = (e.done - e.due) * 1000.0
        tally.add(e.outcome, done=done, latency_ms=latency_ms, late_ms=late_ms, pod=pod, node=node)
        record = Record(
            number=tally.ended,
            kind=e.kind,
            due=e.due + self._offset_s,
            connected=e.connected + self._offset_s if e.connected else None,
            sent=e.sent + self._offset_s if e.sent else None,
            done=done,
            outcome=e.outcome,
            status=e.answer.status if e.answer else None,
            pod=pod,
            node=node,
            local_port=e.local_port or None,
            prior=e.prior,
            late_ms=late_ms,
            retransmits=e.retransmits,
            detail=e.detail,
        )
        self._rows.append(records.row(record))

    def _hand_over(self) -> str | None:
        rows = "".join(self._rows)
        self._rows.clear()
        # Each kind of connection begins a burst at a time.
        oldest = itertools.islice(self._in_flight, 2 * _BURST)
        due = min((exchange.due for exchange in oldest), default=None)
        self._tally.oldest_open = None if due is None else due + self._offset_s
        return self._tick(rows)

    def _finish(self) -> None:
        for exchange in list(self._in_flight):
            exchange.fail(Outcome.UNFINISHED)
            self._end(exchange)
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._hand_over()
