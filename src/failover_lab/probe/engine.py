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

from failover_lab.probe import alarm
from failover_lab.probe.exchange import Exchange
from failover_lab.probe.schedule import Schedule
from failover_lab.probe.service import PLAIN
from failover_lab.run import records
from failover_lab.run.records import NEW, REUSED, Outcome, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from failover_lab.arguments import Target
    from failover_lab.probe.exchange import Address
    from failover_lab.probe.ports import Ports
    from failover_lab.probe.service import Service
    from failover_lab.probe.tally import Tally
    from failover_lab.run import instants

# After so many requests begun in a row, look what has come in: catching up must delay no answer's instant.
_BURST = 32
# How long to wait for the server's own close after the last answer. It closes first because it was asked to,
# and so the probe's machine keeps no TIME_WAIT ports: at 2,000/s they would run out within seconds.
LINGER_S = 1.0
_TICK_S = 0.1
# struct linger: on, for 0 s. Closing sends a reset.
_AT_ONCE = struct.pack("ii", 1, 0)
# From the call to the first due time, so that even the first is on time.
START_S = 0.02


@dataclass(frozen=True, slots=True)
class Settings:
    """What to send and how long to wait; rates in requests/s, 0 for none of that kind.

    Attributes:
        service: what is asked at the target, and what is expected.
        duration_s: nothing is due later than so long after the first; None where others say when to stop.
        most: no more requests than that, over both kinds.
    """

    target: Target
    new_rate: float
    reused_rate: float
    reused_connections: int
    connect_timeout_s: float
    read_timeout_s: float
    service: Service = PLAIN
    duration_s: float | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """One of the addresses that are asked, as ``socket.connect`` takes it.

    Attributes:
        ports: where connections to it come from; None: the system chooses.
    """

    family: int
    address: Address
    ports: Ports | None


class Engine:
    """Sends requests on schedule until told to stop.

    Args:
        settings: what to send.
        peers: whom to ask; each new connection goes to the next of them.
        clock: for the instants in the record.
        tally: counts, kept up to date.
        tick: called about ten times a second with the rows that are new; gives back why to stop, or None.

    Attributes:
        hurry: whether not to wait for what is under way at the end.
        heard: called with each request that has ended.
        stopping: called with how many requests are under way once it is time to stop.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        peers: Sequence[Peer],
        clock: instants.Clock,
        tally: Tally,
        tick: Callable[[str], str | None],
    ) -> None:
        """Nothing is sent yet."""
        self._settings = settings
        self._peers = itertools.cycle(peers)
        self._offset_s = clock.offset_s
        self._tally = tally
        self._tick = tick
        self._selector = selectors.DefaultSelector()
        self._alarm = alarm.for_selector(self._selector)
        self._question = settings.service.question(settings.target)
        self._connecting: collections.deque[Exchange] = collections.deque()
        self._waiting: collections.deque[Exchange] = collections.deque()
        self._lingering: collections.deque[tuple[float, socket.socket]] = collections.deque()
        # The last request of each connection on which nothing is under way.
        self._idle: collections.deque[Exchange] = collections.deque()
        self._open_reused = 0
        self._schedules: list[Schedule] = []
        # In the order in which they were begun.
        self._in_flight: dict[Exchange, None] = {}
        self._rows: list[str] = []
        self.hurry: Callable[[], bool] = lambda: False
        self.heard: Callable[[Record], object] = lambda _record: None
        self.stopping: Callable[[int], object] = lambda _under_way: None

    def run(self) -> str:
        """Send until ``tick`` says why to stop, wait for what is under way, and give that reason back."""
        first = monotonic() + START_S
        self._tally.began = first + self._offset_s
        s = self._settings
        plans = [(NEW, s.new_rate, first), (REUSED, s.reused_rate, first)]
        schedules = [Schedule(kind, rate, start, s.duration_s) for kind, rate, start in plans if rate > 0]
        self._schedules = schedules
        next_tick = monotonic()
        reason: str | None = None
        try:
            while reason is None:
                now = monotonic()
                self._start_due(schedules, now)
                if now >= next_tick:
                    reason = self._hand_over()
                    next_tick = max(next_tick + _TICK_S, now)
                reason = reason or self._all_sent(schedules)
                if reason is not None:
                    self._schedules = []
                self._wait(min(next_tick, *(schedule.due for schedule in schedules)))
            self.stopping(len(self._in_flight))
            while self._in_flight and not self.hurry():
                self._hand_over()
                self._wait(monotonic() + _TICK_S)
            return reason
        finally:
            self._finish()

    def _all_sent(self, schedules: list[Schedule]) -> str | None:
        """Why there is nothing more to send, if that is so."""
        if self._settings.most is not None and self._tally.sent >= self._settings.most:
            return f"{self._settings.most} requests are sent"
        if self._settings.duration_s is not None and all(schedule.over for schedule in schedules):
            return f"{self._settings.duration_s:g} s are over"
        return None

    def _start_due(self, schedules: list[Schedule], now: float) -> None:
        for schedule in schedules:
            for _ in range(_BURST):
                if schedule.due > now or self._tally.sent == self._settings.most:
                    break
                self._start(schedule.kind, schedule.advance())

    def _start(self, kind: str, due: float) -> None:
        self._tally.sent += 1
        exchange = Exchange(kind, due, monotonic(), self._question)
        self._in_flight[exchange] = None
        # The pool fills first, so that all connections are there from the beginning; after that each is used
        # in turn, and another is opened only while none is free.
        if kind == REUSED and self._idle and self._open_reused >= self._settings.reused_connections:
            exchange.adopt(self._idle.popleft())
            assert exchange.sock is not None  # noqa: S101
            exchange.send()
            self._wait_for(exchange)
            return
        if kind == REUSED:
            self._open_reused += 1
        peer = next(self._peers)
        if not exchange.connect(peer.family, peer.address, peer.ports):
            self._end(exchange)
            return
        assert exchange.sock is not None  # noqa: S101
        self._selector.register(exchange.sock, selectors.EVENT_WRITE, (self._on_writable, exchange))
        self._connecting.append(exchange)

    def _wait(self, until: float) -> None:
        if self._alarm is None:
            self._look(max(0.0, until - monotonic()))
        else:
            if until != self._alarm.at:
                self._alarm.set(until)
            self._look(None)
        now = monotonic()
        if self._overdue(now):
            # Whoever was held up, or stopped for a while, may have the answers already: they count.
            self._look(0)
            self._expire(now)

    def _look(self, timeout_s: float | None) -> None:
        """Wait until something happens, for so long at most, and handle it."""
        for key, _ in self._selector.select(timeout_s):
            handler, argument = key.data
            handler(argument)
            self._start_between()

    def _start_between(self) -> None:
        """Begin a request that has become due while others were handled: one handshake takes a millisecond.

        One that is to have a connection of its own: of a kept one, something may be still to be handled.
        """
        for schedule in self._schedules:
            more = self._tally.sent != self._settings.most
            if schedule.kind == NEW and more and schedule.due <= monotonic():
                self._start(NEW, schedule.advance())

    def _on_writable(self, exchange: Exchange) -> None:
        exchange.on_connected()
        self._wait_for(exchange)

    def _wait_for(self, exchange: Exchange) -> None:
        """The request is on its way, or could not be sent."""
        if exchange.outcome is not None:
            self._end(exchange)
            return
        self._listen(exchange)
        self._waiting.append(exchange)

    def _listen(self, exchange: Exchange) -> None:
        assert exchange.sock is not None  # noqa: S101
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if exchange.unsent else 0)
        self._selector.modify(exchange.sock, events, (self._on_ready, exchange))

    def _on_ready(self, exchange: Exchange) -> None:
        sending = bool(exchange.unsent)
        exchange.on_ready()
        if exchange.outcome is not None:
            self._end(exchange)
        elif sending or exchange.unsent:
            self._listen(exchange)

    def _on_idle(self, idle: Exchange) -> None:
        """The server closed a connection on which nothing was under way: it may, and nobody lost anything."""
        assert idle.sock is not None  # noqa: S101
        if idle.still_open():
            return
        self._idle.remove(idle)
        self._drop(idle.sock)
        self._open_reused -= 1

    def _on_lingering(self, exchange: Exchange) -> None:
        if exchange.has_closed():
            assert exchange.sock is not None  # noqa: S101
            self._drop(exchange.sock)

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

    def _overdue(self, now: float) -> bool:
        """Whether somebody has waited for too long; those who wait no more are forgotten."""
        s = self._settings
        connecting, waiting, lingering = self._connecting, self._waiting, self._lingering
        while connecting and (connecting[0].outcome is not None or connecting[0].connected):
            connecting.popleft()
        while waiting and waiting[0].outcome is not None:
            waiting.popleft()
        while lingering and lingering[0][1].fileno() < 0:
            lingering.popleft()
        # Each queue is in the order of its deadlines, because each has one length of time for all.
        return bool(
            (connecting and now >= connecting[0].started + s.connect_timeout_s)
            or (waiting and now >= waiting[0].waits_since + s.read_timeout_s)
            or (lingering and now >= lingering[0][0])
        )

    def _expire(self, now: float) -> None:
        """Give up who has waited for too long."""
        s = self._settings
        while self._overdue(now):
            if self._connecting and now >= self._connecting[0].started + s.connect_timeout_s:
                exchange = self._connecting.popleft()
                exchange.fail(Outcome.CONNECT_TIMEOUT)
                self._end(exchange)
            elif self._waiting and now >= self._waiting[0].waits_since + s.read_timeout_s:
                exchange = self._waiting.popleft()
                exchange.fail(Outcome.READ_TIMEOUT, exchange.waited_for)
                self._end(exchange)
            else:
                self._break_off(self._lingering.popleft()[1])

    def _end(self, exchange: Exchange) -> None:
        self._in_flight.pop(exchange, None)
        self._settle_socket(exchange)
        self._note(exchange)

    def _settle_socket(self, exchange: Exchange) -> None:
        sock = exchange.sock
        # Connections beyond the wanted number were opened while all were busy, and go as they become free.
        room = self._open_reused <= self._settings.reused_connections
        if exchange.reusable and room and sock is not None:
            self._idle.append(exchange)
            self._selector.modify(sock, selectors.EVENT_READ, (self._on_idle, exchange))
            return
        if exchange.kind == REUSED:
            self._open_reused -= 1
        if sock is None:
            return
        if exchange.complete:
            self._selector.modify(sock, selectors.EVENT_READ, (self._on_lingering, exchange))
            self._lingering.append((exchange.done + LINGER_S, sock))
            return
        exchange.channel = None
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
            status=e.status,
            pod=pod,
            node=node,
            local_port=e.local_port or None,
            prior=e.prior,
            late_ms=late_ms,
            retransmits=e.retransmits,
            detail=e.detail,
            opened=e.opened + self._offset_s if e.opened else None,
            peer=e.peer,
        )
        self.heard(record)
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
        if self._alarm is not None:
            self._alarm.close()
        self._hand_over()
