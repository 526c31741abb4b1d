"""Which node is dead: a count over looks, with nothing asked or done here."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.nodes.driver import NodeState
from failover_lab.watchdog.sights import Look, Reach, Sight

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from failover_lab.nodes.pace import Pace


class State(enum.StrEnum):
    """What is held of a node.

    ``UNSEEN``: never found alive, so nothing may be concluded from its absence. ``DOUBT``: it does not
    answer, and that is all, or not yet long enough. ``UNCLEAR``: those that would have to say so cannot be
    trusted now.
    """

    UNSEEN = "unseen"
    ALIVE = "alive"
    DOUBT = "in doubt"
    UNCLEAR = "cannot tell"
    DEAD = "dead"


class Ground(enum.StrEnum):
    """On what a death is concluded; each is the word of the first of two paths, and the kubelet's silence."""

    STOPPED = "its container has ended"
    PAUSED = "its container is paused"
    SILENT = "its peers do not reach it"


@dataclass(frozen=True)
class Verdict:
    """A state, on what ground (for the dead), and the reason in words."""

    state: State
    why: str = ""
    ground: Ground | None = None


@dataclass
class _Memory:
    """What earlier looks said of one node; instants on the monotonic clock."""

    seen: bool = False
    heard: float | None = None
    unanswered: float | None = None
    ground: Ground | None = None
    agreeing: int = 0
    ground_since: float = 0.0
    lease: str | None = None

    def start_over(self) -> None:
        self.ground, self.agreeing, self.lease = None, 0, None


class Judge:
    """Judges each node by two paths that must agree for several looks in a row.

    One path is a word about the node: the engine's (it has ended, it is paused) or, for a node that is said
    to run, that of its peers, who do not reach it. The other is the kubelet, asked from this machine.
    """

    def __init__(self, pace: Pace, seen: Iterable[str] = ()) -> None:
        """Begin; ``seen`` are nodes that an earlier watchdog had found alive and then judged."""
        self._pace = pace
        self._nodes: dict[str, _Memory] = {name: _Memory(seen=True) for name in seen}

    def forget(self, name: str) -> None:
        """Begin anew with this node."""
        self._nodes.pop(name, None)

    def has_seen(self, name: str) -> bool:
        """Whether the node has been found alive."""
        return name in self._nodes and self._nodes[name].seen

    def take(self, look: Look) -> dict[str, Verdict]:
        """Judge after one more look."""
        return {name: self._judge(name, sight, look) for name, sight in look.sights.items()}

    def _judge(self, name: str, sight: Sight, look: Look) -> Verdict:
        node = self._nodes.setdefault(name, _Memory())
        if sight.kubelet is Reach.ANSWERS:
            return self._answers(node, sight, look)
        if not node.seen:
            return Verdict(State.UNSEEN, "it has not answered since the watchdog began")
        if node.unanswered is None:
            node.unanswered = look.began
        if node.heard is None:
            node.heard = look.began
        trouble = self._own_trouble(node, sight, look)
        if trouble:
            node.start_over()
            return Verdict(State.UNCLEAR, trouble)
        return self._silent(node, sight, look)

    @staticmethod
    def _answers(node: _Memory, sight: Sight, look: Look) -> Verdict:
        node.start_over()
        node.unanswered = None
        node.heard = look.ended
        if sight.container is NodeState.RUNNING:
            node.seen = True
        elif sight.container is not NodeState.UNKNOWN:
            return Verdict(
                State.UNCLEAR,
                f"the engine says {sight.container}, but its kubelet answers: is it the same node?",
            )
        if not node.seen:
            return Verdict(State.UNSEEN, "the engine does not say yet that it runs")
        return Verdict(State.ALIVE)

    def _own_trouble(self, node: _Memory, sight: Sight, look: Look) -> str:
        """Why silence says nothing at this moment; empty: it does say something."""
        if look.late_s > self._pace.late_s:
            return f"this machine is too busy: the watchdog itself was {look.late_s:.1f} s late"
        if others := _trouble_with_others(look):
            return others
        if sight.kubelet is Reach.UNKNOWN:
            return "its kubelet could not be asked"
        if sight.container is NodeState.UNKNOWN:
            return "the engine does not answer"
        if look.api_asked is None or (node.unanswered is not None and look.api_asked < node.unanswered):
            return "the API server has not answered since"
        return ""

    def _silent(self, node: _Memory, sight: Sight, look: Look) -> Verdict:
        ground = self._ground(sight, look)
        if ground is None:
            node.start_over()
            return Verdict(State.DOUBT, _one_path_only(sight, _words(sight, look)))
        if ground is not node.ground:
            node.start_over()
            node.ground, node.ground_since, node.lease = ground, look.began, sight.lease
        node.agreeing += 1
        if ground is Ground.SILENT and sight.lease != node.lease:
            # It reaches the API server: that is as good as an answer.
            node.start_over()
            node.heard = look.ended
            return Verdict(State.DOUBT, "its lease was renewed meanwhile: it reaches the API server")
        if node.agreeing < self._pace.confirm or not self._long_enough(node, look):
            return Verdict(State.DOUBT, f"{ground}, its kubelet does not answer: not yet long enough", ground)
        return Verdict(State.DEAD, f"{ground}, its kubelet does not answer", ground)

    @staticmethod
    def _ground(sight: Sight, look: Look) -> Ground | None:
        if sight.container.is_down:
            return Ground.STOPPED
        if sight.container is NodeState.PAUSED:
            return Ground.PAUSED
        # A node that refuses, or whose kernel takes connections, has its network: its pods may well serve.
        if sight.kubelet is not Reach.SILENT:
            return None
        words = _words(sight, look)
        if any(word is not Reach.SILENT for word in words.values()):
            return None
        return Ground.SILENT if any(_is_witness(peer, look) for peer in words) else None

    def _long_enough(self, node: _Memory, look: Look) -> bool:
        if node.ground is Ground.PAUSED:
            return look.ended - node.ground_since >= self._pace.pause_s
        if node.ground is Ground.SILENT:
            return node.heard is not None and look.ended - node.heard >= self._pace.silence_s
        return True


def _trouble_with_others(look: Look) -> str:
    """What speaks against this machine's own way to the nodes; empty: nothing does."""
    if not any(other.kubelet is Reach.ANSWERS for other in look.sights.values()):
        return "no other node answers either"
    if look.control not in {None, Reach.ANSWERS}:
        return "no node answers a new connection of this machine"
    return ""


def _words(sight: Sight, look: Look) -> dict[str, Reach]:
    """What its peers say of a node. One that we cannot reach ourselves may be the one that is cut off."""
    return {
        peer: reach
        for peer, reach in sight.peers.items()
        if peer in look.sights and look.sights[peer].kubelet is Reach.ANSWERS and reach is not Reach.UNKNOWN
    }


def _is_witness(peer: str, look: Look) -> bool:
    """Whether a peer's silence says something of the node: it does not miss others that answer us as well."""
    return not any(
        other.kubelet is Reach.ANSWERS and other.peers.get(peer) is Reach.SILENT
        for other in look.sights.values()
    )


def _one_path_only(sight: Sight, words: Mapping[str, Reach]) -> str:
    if sight.kubelet is Reach.REFUSED:
        return "its kubelet is down, but the node is there"
    reached = sorted(
        peer for peer, reach in sight.peers.items() if reach not in {Reach.SILENT, Reach.UNKNOWN}
    )
    if reached:
        return f"its kubelet does not answer, but {', '.join(reached)} can reach it"
    if words:
        return "its kubelet does not answer; its peers do not reach others either, which answer this machine"
    return "its kubelet does not answer; nothing else speaks against it"
