"""What one look at the cluster's nodes can see."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from failover_lab.nodes.driver import NodeState


class Reach(enum.StrEnum):
    """How far a question to a node got.

    ``ANSWERS``: the kubelet spoke. ``REFUSED``: the node's kernel said that nobody listens. ``MUTE``: the
    kernel took the connection, nobody spoke (a frozen node does that). ``SILENT``: nothing came back at all.
    ``UNKNOWN``: the question was not asked, or the trouble is on the side that asked.
    """

    ANSWERS = "answers"
    REFUSED = "refused"
    MUTE = "mute"
    SILENT = "silent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Sight:
    """One node in one look.

    Attributes:
        container: what the engine says.
        kubelet: how far this machine got.
        peers: how far other nodes got, by their names; only those that were asked.
        lease: when the kubelet last renewed its lease, as the API server tells it; None where unknown.
    """

    container: NodeState = NodeState.UNKNOWN
    kubelet: Reach = Reach.UNKNOWN
    peers: Mapping[str, Reach] = field(default_factory=dict)
    lease: str | None = None


@dataclass(frozen=True)
class Look:
    """All watched nodes at one time.

    Attributes:
        began, ended: on the monotonic clock, in seconds.
        late_s: by how much this process woke up later than it had asked for, at worst.
        api_asked: when the newest question was asked that the API server has answered; None: there is none.
        sights: by the nodes' names.
        control: how far a new connection to a node got that is not in question; None: none was tried. Those
            that are well are asked on connections that were opened long ago, a dead one on a new one: what
            lets new connections fail everywhere (a full table of connections, a firewall that was loaded
            again) would look like a death.
    """

    began: float
    ended: float
    late_s: float
    api_asked: float | None
    sights: Mapping[str, Sight]
    control: Reach | None = None
