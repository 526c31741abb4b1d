"""Which node the Service's address leads to, as this machine's own kernel has it.

Where the users' machine is on the network of the nodes, an address that moves is an entry of its table of
neighbours (ARP) that changes: the very instant from which requests go elsewhere. The load balancer's own
account comes later or, where the node died, not at all.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from failover_lab.kube import neighbours

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from failover_lab.observe.log import EventLog

KIND = "Neighbour"
_LOOK_EVERY_S = 0.05
# Whose hardware address is not known is asked for it, for so many looks; after that, once in so many.
_PATIENCE = 10


class Neighbour(threading.Thread):
    """Follows one address until told to stop; silent where this machine is on another network.

    Args:
        address: the Service's, IPv4.
        nodes: the nodes' own addresses by their names; may grow meanwhile.
        log: where changes go.
        stop: ends it.
        table: of the kernel.
    """

    def __init__(
        self,
        address: str,
        nodes: Mapping[str, str],
        log: EventLog,
        stop: threading.Event,
        *,
        table: Path = neighbours.TABLE,
    ) -> None:
        """Nothing is looked at yet."""
        super().__init__(name="watch-Neighbour", daemon=True)
        self._address = address
        self._nodes = nodes
        self._log = log
        self._stop_event = stop
        self._table = table
        self._told: tuple[str, str] | None = None
        self._unknown = 0
        self._asked: set[str] = set()

    def run(self) -> None:
        """Look until the stop event is set."""
        while not self._stop_event.wait(_LOOK_EVERY_S):
            self._ask(set(self._nodes.values()) - self._asked)
            self._look()

    def end(self) -> None:
        """Wait until it has ended; the stop event is set by then."""
        self.join()

    def _look(self) -> None:
        table = neighbours.read(self._table)
        hardware = table.get(self._address)
        if hardware is None or (self._told is not None and self._told[0] == hardware and self._told[1]):
            self._unknown = 0
            return
        nodes = dict(self._nodes)
        node = next((name for name, at in nodes.items() if table.get(at) == hardware), "")
        if not node and self._is_to_wait(hardware, nodes):
            return
        change = "LISTED" if self._told is None else "MODIFIED"
        self._told = (hardware, node)
        self._unknown = 0
        self._log.add(KIND, change, self._address, {"node": node, "hardware": hardware})

    def _is_to_wait(self, hardware: str, nodes: dict[str, str]) -> bool:
        """Whether to look again before it is told that no node is known by this hardware address."""
        # Before the nodes themselves are listed nobody can be.
        if not nodes:
            return True
        self._unknown += 1
        told = self._told == (hardware, "")
        if not told or self._unknown % _PATIENCE == 0:
            self._ask(set(nodes.values()))
        return told or self._unknown <= _PATIENCE

    def _ask(self, addresses: set[str]) -> None:
        neighbours.ask(addresses)
        self._asked |= addresses
