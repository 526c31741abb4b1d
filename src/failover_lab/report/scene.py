"""What the cluster looks like at an instant, and words and signs for it: of the report and the live page."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

from failover_lab.faults import kinds, target
from failover_lab.kube.names import OUT_OF_SERVICE
from failover_lab.observe import resources as r
from failover_lab.run import marks
from failover_lab.run.records import Outcome
from failover_lab.trace.join import NOWHERE

if TYPE_CHECKING:
    from failover_lab.report.cluster import Cluster, PodLife
    from failover_lab.report.load import Change, RunData
    from failover_lab.report.traced import Addresses, Trace
    from failover_lab.run.records import Record
    from failover_lab.trace.join import Way

#: Of each state of a pod the sign, and what it says.
PODS = {
    "ready": ("●", "serves"),
    "starting": ("◔", "starts"),
    "stopping": ("◌", "stops"),
    "not ready": ("▲", "not ready"),
}
#: Of each state of a node the sign, and whether it is bad or a warning.
NODES = {
    "cordoned": ("⊘", "warn"),
    "NotReady": ("✕", "bad"),
    "out of service": ("⊗", "bad"),
    "gone": ("✕", "bad"),
    "killed": ("✕", "bad"),
    "frozen": ("❄", "bad"),
    "cut off": ("✂", "bad"),
    "kubelet stopped": ("✕", "bad"),
    "being drained": ("⇣", "warn"),
    "drops packets": ("⋯", "warn"),
    "slowed down": ("◷", "warn"),
}
#: What stands at the node that announces the address, and before the number of lost requests.
ANNOUNCES = ("⚑", "announces the address")
LOST = "✕"
_TABLES = {"pods": PODS, "nodes": NODES}
# What a fault makes of its node, in a word or two, while it lasts.
_BROKEN = {
    "exited": "killed",
    "paused": "frozen",
    "cut_off": "cut off",
    "no_kubelet": "kubelet stopped",
    "cordoned": "being drained",
    "lossy": "drops packets",
    "slow": "slowed down",
}
# Of such a node nothing answers, or nobody tells it anything any more.
_LOST = frozenset({"killed", "frozen", "cut off", "kubelet stopped"})


def vocabulary() -> dict[str, Any]:
    """Words and signs, as the live page is told them."""
    signs = {name: {state: list(of) for state, of in table.items()} for name, table in _TABLES.items()}
    return {**signs, "announces": list(ANNOUNCES), "lost": LOST}


def place(way: Way, addresses: Addresses) -> tuple[str, str]:
    """The node that received a request, and the pod to which it was sent; empty: nobody knows."""
    last = way.last
    if last is None:
        return "", ""
    life = addresses.at(last.pod, last.at)
    return last.node, last.pod if life is None else life.name


def went(record: Record, trace: Trace, announcer: str) -> tuple[str, str]:
    """The same of a request that has ended, as far as the whole run knows.

    Args:
        record: the request.
        trace: of the run.
        announcer: who announced the address when it was due; empty: nobody knows.
    """
    if record.outcome is Outcome.OK or not trace.by_any:
        return announcer, record.pod
    via, pod = place(trace.ways.get(record.number, NOWHERE), trace.addresses)
    return via, record.pod or pod


class Scenes:
    """Tells what there is at an instant; made anew once more is known.

    Args:
        data: what the play knew and did, and what the cluster said.
        seen: the same, followed by the report's own reader.
    """

    def __init__(self, data: RunData, seen: Cluster) -> None:
        """Sort what was said of nodes."""
        self._data = data
        self._seen = seen
        self._nodes: dict[str, list[Change]] = {}
        for change in data.changes:
            if change.kind == r.NODE:
                self._nodes.setdefault(change.name, []).append(change)
        lab = (data.play or {}).get("lab") or {}
        self._names = list(dict.fromkeys([*(lab.get("nodes") or []), *sorted(self._nodes)]))

    def at(self, at: float) -> dict[str, Any]:
        """The scene at this instant, as the page has it."""
        listed = {endpoint.pod: endpoint for endpoint in self._seen.endpoints(at)}
        pods = self.pods(at)
        for pod in pods:
            endpoint = listed.get(pod["name"])
            pod["listed"] = endpoint is not None and endpoint.ready
        return {
            "nodes": [self._node(name, at) for name in self._names],
            "pods": pods,
            "announcer": self._seen.announcer(at) or "",
            "ready": sum(endpoint.ready for endpoint in listed.values()) if self._seen.slices_known else None,
        }

    def pods(self, at: float) -> list[dict[str, Any]]:
        """The pods that there are at this instant, without what is said of them elsewhere."""
        return [pod for life in self._seen.lives if (pod := _pod(life, at)) is not None]

    def _node(self, name: str, at: float) -> dict[str, Any]:
        said = self._nodes.get(name, [])
        index = bisect.bisect_right(said, at, key=lambda change: change.at) - 1
        states = []
        broken = self._broken(name, at)
        if broken:
            states.append(broken)
        if index >= 0:
            change = said[index]
            if change.change == "DELETED":
                states.append("gone")
            else:
                if change.facts.get("ready", "True") != "True":
                    states.append("NotReady")
                if change.facts.get("unschedulable"):
                    states.append("cordoned")
                if any(str(taint).startswith(OUT_OF_SERVICE) for taint in change.facts.get("taints") or []):
                    states.append("out of service")
        return {"name": name, "states": states, "lost": broken in _LOST}

    def _broken(self, name: str, at: float) -> str:
        """What the fault has made of a node, while it lasts."""
        told = (self._data.play or {}).get("fault") or {}
        if name not in target.of(told) or not told.get("kind"):
            return ""
        kind = kinds.of(told["kind"])
        began = self._data.mark(marks.INJECTED if kind.symptom != "cordoned" else marks.FAULT_BEGIN)
        began = self._data.mark(marks.FAULT_BEGIN) if began is None else began
        ended = self._data.mark(marks.RETURNED) or self._data.mark(marks.HEALED)
        if began is None or at < began or (ended is not None and at >= ended):
            return ""
        return _BROKEN.get(kind.symptom or "", "")


def _pod(life: PodLife, at: float) -> dict[str, Any] | None:
    if not life.seen <= at or (life.gone is not None and life.gone <= at):
        return None
    if life.told_to_stop is not None and life.told_to_stop <= at:
        state = "stopping"
    elif life.unready is not None and life.unready <= at:
        state = "not ready"
    elif life.ready is not None and life.ready <= at:
        state = "ready"
    else:
        state = "starting"
    return {"name": life.name, "uid": life.uid, "node": life.node, "state": state}
