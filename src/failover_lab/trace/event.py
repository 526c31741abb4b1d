"""One thing that a node's kernel says of a connection."""

from __future__ import annotations

from typing import NamedTuple

#: The kernel has an entry for a connection from now on, or does not have it any more.
NEW, END = "new", "end"


class Event(NamedTuple):
    """An entry for a connection to the Service's address.

    Attributes:
        change: ``new`` or ``end``.
        client: who opened it: the address that the node saw.
        client_port: and the port.
        pod: where the kernel sends it: the pod's address.
        pod_port: and the port.
    """

    change: str
    client: str
    client_port: int
    pod: str
    pod_port: int
