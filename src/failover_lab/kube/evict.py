"""Evicting the pods of a node until none is left that would move.

All are asked for at once, and again until they are granted: a disruption budget decides the order. The module
k8s_drain evicts one pod after the other, stops at the first refusal, and sees a pod's end late.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.kube.client import items
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.objects import has_ended, is_leaving, is_orphan, stays_on_node, title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_lab.kube.client import Api
    from failover_lab.kube.objects import Object

# Who is to take a finalizer off does so in a moment, or is not there.
_HELD_S = 30.0


@dataclass
class Eviction:
    """One pod on its way out. Times are seconds since the drain began.

    Attributes:
        finalizers: of a pod that has ended, what keeps its object.
        held_s: since when nothing else does.
    """

    namespace: str
    name: str
    uid: str
    granted_s: float | None = None
    gone_s: float | None = None
    refused_by: str = ""
    finalizers: tuple[str, ...] = ()
    held_s: float | None = None

    @property
    def title(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}/{self.name}"

    def figures(self) -> dict[str, Any]:
        """As it is printed."""
        return {
            "pod": self.name,
            "namespace": self.namespace,
        }


@dataclass
class Drain:
    """The evictions of one node.

    Attributes:
        orphans: whether pods may go as well that nothing brings back.
    """

    api: Api
    node: str
    clock: Callable[[], float] = time.monotonic
    orphans: bool = False
    evictions: dict[str, Eviction] = field(default_factory=dict)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        """The clock starts now."""
        self.began = self.clock()

    def _now_s(self) -> float:
        return round(self.clock() - self.began, 3)

    def moving(self) -> list[Object]:
        """The pods that are still on the node and have to leave it.

        Raises:
            RefusedError: the API server does not say.
        """
        found = self.api.request("get", "/api/v1/pods", fieldSelector=f"spec.nodeName={self.node}")
        return [pod for pod in items(found) if not stays_on_node(pod)]

    def look(self) -> list[Eviction]:
        """One look: note who has gone, ask for those who have not been told to go; gives back who is left.

        Raises:
            RefusedError: the API server said no, for another reason than a disruption budget.
            UserError: a pod would be lost for good.
        """
        pods = self.moving()
        if not self.orphans and (orphans := sorted(title(pod) for pod in pods if is_orphan(pod))):
            raise UserError(
                f"{', '.join(orphans)} on {self.node} has no controller: nothing would bring it back; "
                "delete it, or give it a Deployment, then run this again"
            )
        here = {pod["metadata"]["uid"] for pod in pods}
        for uid, eviction in self.evictions.items():
            if uid not in here and eviction.gone_s is None:
                eviction.gone_s = self._now_s()
        for pod in pods:
            meta = pod["metadata"]
            eviction = self.evictions.setdefault(
                meta["uid"], Eviction(meta["namespace"], meta["name"], meta["uid"])
            )
            if is_leaving(pod):
                # Told to go, by us or by somebody else.
                eviction.granted_s = self._now_s() if eviction.granted_s is None else eviction.granted_s
                if meta.get("finalizers") and has_ended(pod):
                    eviction.finalizers = tuple(meta["finalizers"])
                    eviction.held_s = self._now_s() if eviction.held_s is None else eviction.held_s
            elif eviction.granted_s is None:
                self._ask(eviction)
        return [self.evictions[uid] for uid in here]

    def only_held(self, left: list[Eviction]) -> bool:
        """Whether all that is left has ended long ago, and waits for somebody to take a finalizer off."""
        return all(row.held_s is not None and self._now_s() - row.held_s >= _HELD_S for row in left)

    def _ask(self, eviction: Eviction) -> None:
        path = f"/api/v1/namespaces/{eviction.namespace}/pods/{eviction.name}/eviction"
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": eviction.name, "namespace": eviction.namespace},
            # Not a pod of the same name that came after it.
            "deleteOptions": {"preconditions": {"uid": eviction.uid}},
        }
        try:
            self.api.request("post", path, body)
        except RefusedError as refusal:
            if refusal.status == 429:
                eviction.refused_by = str(refusal)
                return
            if refusal.status in {404, 409}:
                return  # gone meanwhile: the next look sees it
            if refusal.passing:
                raise
            raise RefusedError(refusal.status, f"the eviction of {eviction.title}: {refusal}") from refusal
        eviction.granted_s = self._now_s()


def progress(evictions: Iterable[Eviction]) -> str:
    """How far it is, in a line."""
    rows = list(evictions)
    gone = sum(row.gone_s is not None for row in rows)
    parts = [f"{gone} of {len(rows)} pods gone"]
    if held := [row for row in rows if row.gone_s is None and row.finalizers]:
        parts.append(f"ended, and held by a finalizer: {', '.join(_held(row) for row in held)}")
    if ending := [
        row.title for row in rows if row.granted_s is not None and row.gone_s is None and not row.finalizers
    ]:
        parts.append(f"ending: {', '.join(ending)}")
    if waiting := [row for row in rows if row.granted_s is None and row.gone_s is None and row.refused_by]:
        # A webhook of somebody's, or an API server that has too much to do, says 429 as well.
        budget = [row for row in waiting if "disruption budget" in row.refused_by.lower()]
        others = [f"{row.title} ({row.refused_by})" for row in waiting if row not in budget]
        if budget:
            parts.append(f"held back by a disruption budget: {', '.join(row.title for row in budget)}")
        if others:
            parts.append(f"refused for now: {', '.join(others)}")
    return "; ".join(parts)


def reasons(left: Iterable[Eviction]) -> str:
    """Why pods are left, in their own words."""
    return "; ".join(map(_reason, left))


def _held(row: Eviction) -> str:
    return f"{row.title} ({', '.join(row.finalizers)})"


def _reason(row: Eviction) -> str:
    if row.finalizers:
        return (
            f"{row.title} has ended, and its object stays for its finalizer {', '.join(row.finalizers)}: "
            "whoever put that there has to take it off"
        )
    if row.granted_s is None and row.refused_by:
        return f"{row.title}: {row.refused_by}"
    return f"{row.title} was told to go {'and has not ended' if row.granted_s is not None else 'in vain'}"
