"""Whether the watchdog may act on a node that is dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.watchdog.judge import State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from failover_lab.watchdog.judge import Verdict


@dataclass(frozen=True)
class Member:
    """A node as the API server lists it.

    Attributes:
        address: where its kubelet listens, as ``host:port``; empty where it has not said.
        ours: it bears the watchdog's mark.
    """

    name: str
    address: str
    control_plane: bool
    ours: bool


def why_not(
    node: str, members: Collection[Member], verdicts: Mapping[str, Verdict], out: Collection[str]
) -> str | None:
    """Why this node must not be given away, or None: it may.

    Args:
        node: the one that is dead.
        members: all nodes of the cluster.
        verdicts: of the nodes that are watched.
        out: those that have been given away already.
    """
    # Others that are dead as well are gone, too, and have their turn: a zone dies as a whole.
    dead = {name for name, verdict in verdicts.items() if verdict.state is State.DEAD}
    gone = {m.name for m in members if m.name in out or m.name in dead or m.name == node}
    doubtful = {
        m.name
        for m in members
        if m.name not in gone and (m.name not in verdicts or verdicts[m.name].state is not State.ALIVE)
    }
    control = {m.name for m in members if m.control_plane}
    if node in control and 2 * len(control - gone - doubtful) <= len(control):
        return (
            "it is the only control plane"
            if len(control) == 1
            else "the control planes that are left are no majority"
        )
    if doubtful:
        who = ", ".join(sorted(doubtful))
        return f"{who} may be dead too, and nobody is given away while that is not known"
    if 2 * len(gone) > len(members):
        return f"{len(gone)} of {len(members)} nodes would be gone"
    return None
