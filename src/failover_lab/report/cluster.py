"""What the cluster was like at an instant, from the observer's log."""

from __future__ import annotations

import bisect
import functools
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from failover_lab.observe import neighbour
from failover_lab.observe import resources as r

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.report.load import Change


# A watch that was interrupted is opened again two seconds later at most, and tells at once what it missed.
_RESUMED_S = 3.0
# A move to a node that the kernel cannot name is noted once it was asked for long enough, or a little later.
_NAMELESS_S = 1.0
_ANNOUNCING = re.compile(r'announcing from node "([^"]+)"')


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One pod in the Service's EndpointSlices."""

    pod: str
    node: str
    ready: bool
    terminating: bool


@dataclass
class PodLife:
    """One pod's way; instants in UTC seconds, None: not seen."""

    name: str
    uid: str
    node: str = ""
    seen: float = 0.0
    ready: float | None = None
    told_to_stop: float | None = None
    unready: float | None = None
    gone: float | None = None
    #: The pod's own addresses, each with the instant from which it had it: a restarted node gives another.
    addresses: list[tuple[float, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Gap:
    """When the observer did not hear of a kind of object; ``end`` is None where it never did again.

    What changed meanwhile is in its log as of the end.
    """

    kind: str
    begin: float
    end: float | None


@dataclass
class Cluster:
    """The cluster's own account.

    Attributes:
        announcers: (instant, node) whenever another node announced the address, the first included.
        pods: by name, the newest that had it.
        lives: every pod by itself, as they were first seen; of a StatefulSet's, several have one name.
        node_states: by node: (instant, state), state being ready, cordoned or not ready.
        gaps: of the observer.
    """

    announcers: list[tuple[float, str]] = field(default_factory=list)
    pods: dict[str, PodLife] = field(default_factory=dict)
    lives: list[PodLife] = field(default_factory=list)
    node_states: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    _by_kernel: set[float] = field(default_factory=set)
    _slice_times: list[float] = field(default_factory=list)
    _slice_states: list[list[Endpoint]] = field(default_factory=list)

    def announcer(self, at: float) -> str | None:
        """Who announced the address at an instant, as far as the cluster had said by then."""
        index = bisect.bisect_right(self.announcers, at, key=lambda entry: entry[0]) - 1
        return self.announcers[index][1] if index >= 0 else None

    def lost(self, node: str, since: float) -> float | None:
        """When a node was held for lost, from an instant on; a cordon is another matter. None: it was not."""
        states = self.node_states.get(node, [])
        return next((at for at, state in states if state == "not ready" and at >= since), None)

    @property
    def slices_known(self) -> bool:
        """Whether the Service's endpoints were observed."""
        return bool(self._slice_times)

    def endpoints(self, at: float) -> list[Endpoint]:
        """The Service's endpoints as known at that instant."""
        index = bisect.bisect_right(self._slice_times, at) - 1
        return self._slice_states[index] if index >= 0 else []

    def endpoint_states(self, begin: float, end: float) -> list[tuple[float, list[Endpoint]]]:
        """What held at ``begin``, and every change until ``end``."""
        inside = [
            (at, state)
            for at, state in zip(self._slice_times, self._slice_states, strict=True)
            if begin < at <= end
        ]
        known = bool(self._slice_times) and self._slice_times[0] <= begin
        return [(begin, self.endpoints(begin)), *inside] if known else inside

    @functools.cached_property
    def spells_without_ready(self) -> list[tuple[float, float]]:
        """When the Service had no ready endpoint, by its list."""
        return self.spells(lambda state: not any(endpoint.ready for endpoint in state))

    def spells(self, holds: Callable[[list[Endpoint]], bool]) -> list[tuple[float, float]]:
        """From when until when this held of the Service's endpoints; what holds at the end does for ever."""
        result: list[tuple[float, float]] = []
        began: float | None = None
        for at, state in zip(self._slice_times, self._slice_states, strict=True):
            if holds(state):
                began = at if began is None else began
            elif began is not None:
                result.append((began, at))
                began = None
        return result if began is None else [*result, (began, math.inf)]

    def gap(self, at: float, *of: str) -> Gap | None:
        """The gap at whose end this was noted, or within which it falls; None: the instant is known."""
        inside = (gap for gap in self.gaps if gap.kind in of and gap.begin < at <= (gap.end or math.inf))
        return next(inside, None)

    def gap_of_slices(self, at: float) -> Gap | None:
        """The same for a change of the list of endpoints."""
        return self.gap(at, r.SLICE)

    def gap_of_moves(self, at: float) -> Gap | None:
        """The same for a move of the address; the users' own kernel has no gaps."""
        return None if at in self._by_kernel else self.gap(at, r.EVENT, r.ANNOUNCEMENT)

    def life(self, uid: str) -> PodLife | None:
        """The pod of this UID."""
        return next((life for life in self.lives if life.uid == uid), None) if uid else None

    def endpoints_or_first(self, at: float) -> list[Endpoint]:
        """The same; before the first list, that list, for there is nothing else to go by."""
        return self.endpoints(max(at, self._slice_times[0])) if self._slice_times else []

    def moves(self) -> list[tuple[float, str, str]]:
        """(instant, from, to) for each time the address moved."""
        pairs = zip(self.announcers, self.announcers[1:], strict=False)
        return [(at, before, after) for (_, before), (at, after) in pairs]


def _endpoint(entry: dict[str, Any]) -> Endpoint:
    return Endpoint(
        entry.get("pod", ""), entry.get("node", ""), bool(entry.get("ready")), bool(entry.get("terminating"))
    )


def _follow_pod(cluster: Cluster, change: Change) -> None:
    facts = change.facts
    uid = facts.get("uid", "")
    if change.change == "DELETED":
        life = cluster.life(uid) or _oldest(cluster, change.name)
        if life is not None:
            life.gone = change.at
            life.told_to_stop = life.told_to_stop or change.at
        return
    life = cluster.pods.get(change.name)
    if life is not None and uid and life.uid != uid:
        # Of an older one that is still there, or of a new one.
        life = cluster.life(uid)
    if life is None:
        life = cluster.pods[change.name] = PodLife(change.name, uid, seen=change.at)
        cluster.lives.append(life)
    life.node = facts.get("node") or life.node
    address = facts.get("address") or ""
    if address and (not life.addresses or life.addresses[-1][1] != address):
        life.addresses.append((change.at, address))
    if facts.get("ready"):
        life.ready = life.ready or change.at
        life.unready = None
    elif life.ready is not None and life.unready is None:
        life.unready = change.at
    if facts.get("deletion"):
        life.told_to_stop = life.told_to_stop or change.at


def _oldest(cluster: Cluster, name: str) -> PodLife | None:
    """Who of a name went, where nobody says which: after a gap, a new one is told of first."""
    there = [life for life in cluster.lives if life.name == name and life.gone is None]
    return there[0] if there else cluster.pods.get(name)


def _node_state(facts: dict[str, Any]) -> str:
    if facts.get("ready") != "True":
        return "not ready"
    return "cordoned" if facts.get("unschedulable") else "ready"


def read(changes: list[Change]) -> Cluster:
    """Follow the log from its beginning."""
    cluster = Cluster()
    slices: dict[str, list[Endpoint]] = {}
    for change in changes:
        if change.kind == r.SLICE:
            if change.change == "DELETED":
                slices.pop(change.name, None)
            else:
                slices[change.name] = [_endpoint(entry) for entry in change.facts.get("endpoints") or []]
            cluster._slice_times.append(change.at)  # noqa: SLF001  being built
            cluster._slice_states.append([e for part in slices.values() for e in part])  # noqa: SLF001
        elif change.kind == r.POD:
            _follow_pod(cluster, change)
        elif change.kind == r.NODE:
            states = cluster.node_states.setdefault(change.name, [])
            state = "gone" if change.change == "DELETED" else _node_state(change.facts)
            if not states or states[-1][1] != state:
                states.append((change.at, state))
    cluster.gaps = _gaps(changes)
    cluster._by_kernel = {change.at for change in changes if change.kind == neighbour.KIND}  # noqa: SLF001  being built
    for at, node in _announcements(changes):
        if not cluster.announcers or cluster.announcers[-1][1] != node:
            cluster.announcers.append((at, node))
    return cluster


def _gaps(changes: list[Change]) -> list[Gap]:
    """From the interruptions that the observer noted, and from what it says to have listed anew."""
    ends: dict[tuple[str, float], float | None] = {}
    cut: dict[str, tuple[float, float]] = {}  # since when, and when it was tried last
    heard: dict[str, float] = {}
    for change in changes:
        if change.change == "INTERRUPTED":
            began, _ = cut.get(change.name, (change.at, 0.0))
            cut[change.name] = (began, change.at)
            ends[change.name, began] = None
            continue
        kind = change.kind
        began, tried = cut.get(kind, (heard.get(kind, change.at), -math.inf))
        if change.facts.get("relisted") or change.at <= tried + _RESUMED_S:
            # What is listed together is noted one by one.
            cut[kind] = (began, max(tried, change.at - _RESUMED_S))
            ends[kind, began] = change.at
        elif kind in cut:
            del cut[kind]
            if ends[kind, began] is None:
                ends[kind, began] = tried + _RESUMED_S
        heard[kind] = change.at
    return sorted(
        (Gap(kind, begin, end) for (kind, begin), end in ends.items()), key=lambda gap: (gap.begin, gap.kind)
    )


def _announcements(changes: list[Change]) -> list[tuple[float, str]]:
    """(instant, node) by the best witness that there is.

    The users' own kernel, as long as it names somebody; or else the speakers' events as they come; or else
    MetalLB's status objects, in which the name of a node that died may stand for long.
    """
    seen = [(c.at, str(c.facts.get("node", ""))) for c in changes if c.kind == neighbour.KIND]
    told = _told(changes)
    if not seen:
        return told
    ends = [*(at for at, _ in seen[1:]), math.inf]
    nameless = [
        (begin - _NAMELESS_S if index else -math.inf, end)
        for index, ((begin, node), end) in enumerate(zip(seen, ends, strict=True))
        if not node
    ]
    heard = [(at, node) for at, node in told if any(begin <= at < end for begin, end in nameless)]
    return sorted(heard + [(at, node) for at, node in seen if node])


def _told(changes: list[Change]) -> list[tuple[float, str]]:
    """(instant, node) by the load balancer's own words."""
    stated = [c for c in changes if c.kind == r.ANNOUNCEMENT and c.change != "DELETED"]
    spoken = [
        (c.at, _assigned(c)) for c in changes if c.kind == r.EVENT and c.change in {"ADDED", "MODIFIED"}
    ]
    if any(node for _, node in spoken):
        stated = [c for c in stated if c.change == "LISTED"]
    told = [(c.at, str(c.facts.get("node", ""))) for c in stated] + spoken
    return sorted((at, node) for at, node in told if node)


def _assigned(change: Change) -> str:
    """The node that says in an event that it announces now; an empty text if it says something else."""
    if change.facts.get("reason") != "nodeAssigned":
        return ""
    match = _ANNOUNCING.search(change.facts.get("message", ""))
    return match[1] if match else ""
