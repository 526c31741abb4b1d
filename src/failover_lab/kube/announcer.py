"""Which node announces a Service's address."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from failover_lab.kube import neighbours
from failover_lab.kube.objects import address_of, internal_address, name_of

if TYPE_CHECKING:
    from pathlib import Path

    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

# On a network of this machine's own, an answer takes far less than a millisecond.
_ANSWER_S = 0.05


def here(address: str, nodes: list[Object], table: Path = neighbours.TABLE) -> str | None:
    """The node to which this machine's kernel sends what is for an address; None on another network."""
    own = {name_of(node): internal_address(node) for node in nodes}
    # Nobody may have asked for any of them lately; an empty datagram makes the kernel do so.
    neighbours.ask({address, *own.values()})
    time.sleep(_ANSWER_S)
    known = neighbours.read(table)
    if address not in known:
        return None
    return next((name for name, at in own.items() if known.get(at) == known[address]), None)


def announcer(
    cluster: Cluster, nodes: list[Object], namespace: str, service: Object, address: str = ""
) -> str | None:
    """The node that announces the Service; None if nobody says.

    MetalLB's status objects come second: after a node was lost, they may name it for ever.

    Args:
        cluster: where to look.
        nodes: all of them.
        namespace: of the Service.
        service: as the API has it.
        address: at which users find it; empty: its own.
    """
    found = here(address or address_of(service), nodes)
    if found is not None:
        return found
    told = cluster.announcers(namespace, name_of(service))
    return next((name for name in told if name in {name_of(node) for node in nodes}), None)
