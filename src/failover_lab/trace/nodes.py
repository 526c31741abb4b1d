"""Hears all nodes of a cluster, those that come back or join among them, and knows when each was heard."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from failover_lab.errors import UserError
from failover_lab.nodes.driver import RUNNING, Driver, DriverError, Neighbouring
from failover_lab.run.lifetime import started
from failover_lab.trace.conntrack import Program
from failover_lab.trace.log import Loss, Span
from failover_lab.trace.netlink import Socket

if TYPE_CHECKING:
    from collections.abc import Collection

    from failover_lab.run.instants import Clock
    from failover_lab.trace.event import Event
    from failover_lab.trace.log import Writer

# How often nodes that are not heard are tried again, and the list of nodes is read anew.
_TRY_EVERY_S = 1.0
_LIST_EVERY_S = 5.0
# Once a node's processes have ended, its kernel sends on until somebody takes its network away.
_AFTERWARDS_S = 2.0


class Ear(Protocol):
    """Hears one node.

    Attributes:
        by: how, in a word.
        lost: how often something was lost.
        delay_s: how long what is said is on its way at most.
    """

    by: str
    lost: int
    delay_s: float

    def read(self) -> list[Event]:
        """What has been said since the last time.

        Raises:
            OSError: nothing more will be.
        """

    def close(self) -> None:
        """Hear no more."""


@dataclass
class _Heard:
    """A node that is heard; instants on the run's clock."""

    ear: Ear
    begin: float
    read_at: float
    pid: int | None = None
    since: str | None = None
    lost: int = 0
    ended_at: float | None = None


@dataclass
class Nodes:
    """All nodes of one driver.

    One thread may look while another reads: an engine that takes its time must not keep kernels waiting.

    Attributes:
        driver: that reaches them.
        targets: the Service's addresses, each with a port.
        clock: of the run.
        log: where it goes.
        by: node to how it was heard.
        spans: that are over.
        losses: of what was said.
        unheard: node to why it is not heard now.
    """

    driver: Driver
    targets: Collection[tuple[str, int]]
    clock: Clock
    log: Writer
    by: dict[str, str] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    unheard: dict[str, str] = field(default_factory=dict)
    _heard: dict[str, _Heard] = field(default_factory=dict)
    _next_try: float = 0.0
    _next_list: float = 0.0

    def look(self) -> None:
        """Hear the nodes that run and are not heard yet; goes by what time it is.

        Raises:
            UserError: the driver itself does not answer, and never did.
        """
        now = time.monotonic()
        if now < self._next_try or (now < self._next_list and not self.unheard):
            return
        self._next_try, self._next_list = now + _TRY_EVERY_S, now + _LIST_EVERY_S
        try:
            listed = self.driver.listed()
        except DriverError as error:
            if not self.by and not self._heard:
                raise UserError(f"{error.who} does not answer: {error}; {error.remedy}") from error
            return
        for one in listed:
            if one.name in self._heard:
                continue
            if one.state == RUNNING:
                self._hear(one.name)
            else:
                self.unheard[one.name] = f"its {self.driver.machine} is {one.state}"
        for gone in set(self.unheard) - {one.name for one in listed}:
            self.unheard[gone] = f"its {self.driver.machine} is gone"

    def _hear(self, name: str) -> None:
        try:
            ear, pid = self._ear(name)
        except (DriverError, OSError) as error:
            self.unheard[name] = str(error)[:300]
            return
        now = self.clock.now()
        self._heard[name] = _Heard(ear, now, now, pid, None if pid is None else started(pid))
        self.by[name] = ear.by
        self.unheard.pop(name, None)

    def _ear(self, name: str) -> tuple[Ear, int | None]:
        pid = self.driver.process(name) if isinstance(self.driver, Neighbouring) else None
        if pid is not None:
            packed = [(ipaddress.ip_address(address).packed, port) for address, port in self.targets]
            try:
                return Socket(pid, packed), pid
            except OSError:
                # Not root, or it has just ended: the driver's own way says which.
                pass
        return Program(self.driver, name, self.targets), None

    def _see_whether_they_run(self) -> None:
        for heard in list(self._heard.values()):
            if heard.pid is not None and heard.ended_at is None and started(heard.pid) != heard.since:
                heard.ended_at = self.clock.now()

    def read(self) -> None:
        """Write down what has been said since the last time."""
        self._see_whether_they_run()
        for name, heard in list(self._heard.items()):
            last = heard.read_at
            over = heard.ended_at is not None and last - heard.ended_at > _AFTERWARDS_S
            try:
                events = heard.ear.read()
            except OSError:
                events, over = [], True
            heard.read_at = self.clock.now()
            self.log.add(name, heard.read_at, heard.read_at - last + heard.ear.delay_s, events)
            if heard.ear.lost != heard.lost:
                heard.lost = heard.ear.lost
                self.losses.append(Loss(name, last, heard.read_at))
            if over:
                self._end(name)
                self.unheard[name] = f"its {self.driver.machine} has ended"
                self._next_try = 0.0

    def _end(self, name: str) -> None:
        heard = self._heard.pop(name)
        heard.ear.close()
        # While its processes have ended, nobody is on it who could receive: the span is that of the node.
        self.spans.append(Span(name, heard.begin, heard.ended_at or heard.read_at))

    def heard(self) -> list[Span]:
        """The nodes that are heard now, and since when."""
        return [Span(name, heard.begin, None) for name, heard in list(self._heard.items())]

    def close(self) -> None:
        """Read what is left, and hear no more."""
        self.read()
        for name in list(self._heard):
            self._end(name)
