"""What one look at the cluster's nodes can see, and how long looks take."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Container(enum.StrEnum):
    """What the engine says of a node's container."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ABSENT = "absent"
    UNKNOWN = "unknown"

    @property
    def is_down(self) -> bool:
        """Nothing of the node runs any more: what ran has ended for good."""
        return self in {Container.STOPPED, Container.ABSENT}


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

    container: Container = Container.UNKNOWN
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
    """

    began: float
    ended: float
    late_s: float
    api_asked: float | None
    sights: Mapping[str, Sight]


@dataclass(frozen=True)
class Pace:
    """How often to look and how long to wait, in seconds.

    Attributes:
        interval_s: between two looks while all is well. An ask on a connection that is kept costs a fraction
            of a millisecond, so five a second are not felt; the mean delay until a death is looked at is half
            of it.
        confirm: so many looks in a row must agree.
        ask_s: the longest wait for an answer while the engine says that the node runs. A kubelet needs about
            1 ms; a connection of TCP sends a lost packet again after 0.2 s at the earliest (Linux's
            TCP_RTO_MIN), so twice that lets one packet be lost and answered without a doubt being raised.
        fact_s: the same once the engine says that the container has ended or is paused. That is a statement,
            not a silence; the kubelet only has to bear it out, and a hundred times its usual answer is
            enough.
        pause_s: a paused container counts after so long. A process that has ended never comes back, a pause
            may be lifted at any moment (the engine itself pauses for `docker commit`).
        silence_s: nothing must have been heard of a node that is said to run for at least so long. The first
            packet of a connection is sent again after 1 s (RFC 6298): below that, one lost packet is a
            silence.
        late_s: a look in which this process itself woke up later than that does not count, since then the
            answers of others may be late for the same reason. Half of ask_s: the other half was truly waited.
        poll_s: between two questions to the engine and the API server while all is well.
        old_s: what the engine said longer ago does not count.
        return_s: between two looks whether a node that was given away is back.
        warm_s: between two rounds that keep several connections to the API server open. It closes one that
            was idle for 90 s (net/http's IdleTimeout there); a third of that leaves room for two rounds to
            fail.
    """

    interval_s: float = 0.2
    confirm: int = 2
    ask_s: float = 0.4
    fact_s: float = 0.1
    pause_s: float = 1.0
    silence_s: float = 1.0
    late_s: float = 0.2
    poll_s: float = 1.0
    old_s: float = 3.0
    return_s: float = 0.5
    warm_s: float = 30.0
