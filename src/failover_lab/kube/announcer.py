"""Which node announces a Service's address."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab.faults.capacity import name_of
from failover_lab.kube.cluster import address_of, of

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster, Object

TABLE = Path("/proc/net/arp")
_COMPLETE = 0x2
_DISCARD_PORT = 9
# On a network of this machine's own, an answer takes far less than a millisecond.
_ANSWER_S = 0.05


def hardware_addresses(table: Path) -> dict[str, str]:
    """By IPv4 address, as this machine's kernel knows them; nothing where it does not tell."""
    try:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
    except (OSError, ValueError):
        return {}
    return {row[0]: row[3] for row in rows if len(row) >= 6 and int(row[2], 16) & _COMPLETE}


def internal_address(node: Object) -> str:
    """The node's own address; empty if it has none."""
    addresses = of(node, "status", "addresses", default=[])
    return next((str(a["address"]) for a in addresses if a.get("type") == "InternalIP"), "")


def here(address: str, nodes: list[Object], table: Path = TABLE) -> str | None:
    """The node to which this machine's kernel sends what is for an address; None on another network."""
    own = {name_of(node): internal_address(node) for node in nodes}
    # Nobody may have asked for any of them lately; an empty datagram makes the kernel do so.
    for asked in {address, *own.values()}:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", (asked, _DISCARD_PORT))
    time.sleep(_ANSWER_S)
    known = hardware_addresses(table)
    if address not in known:
        return None
    return next((name for name, at in own.items() if known.get(at) == known[address]), None)


def announcer(cluster: Cluster, nodes: list[Object], namespace: str, service: Object) -> str | None:
    """The node that announces the Service; None if nobody says.

    MetalLB's status objects come second: after a node was lost, they may name it for ever.
    """
    found = here(address_of(service), nodes)
    if found is not None:
        return found
    told = cluster.announcers(namespace, name_of(service))
    return next((name for name in told if name in {name_of(node) for node in nodes}), None)
