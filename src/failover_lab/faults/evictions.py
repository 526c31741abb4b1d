"""Would the API server grant the evictions of a drain? Asked before anything is cordoned."""

from __future__ import annotations

from failover_lab.faults.capacity import ENDED, name_of
from failover_lab.kube.cluster import Object, is_ready, of
from failover_lab.kube.selectors import selects

_MIRROR = "kubernetes.io/config.mirror"


def title(thing: Object) -> str:
    """Namespace and name of any object that has both."""
    return f"{thing['metadata'].get('namespace', '')}/{name_of(thing)}"


def moves(pod: Object) -> bool:
    """Whether a drain evicts a pod, which the package decides in `failover_lab.kube.client.evict.stays`."""
    owners = of(pod, "metadata", "ownerReferences", default=[])
    return _MIRROR not in of(pod, "metadata", "annotations", default={}) and not any(
        owner.get("controller") and owner.get("kind") == "DaemonSet" for owner in owners
    )


def is_orphan(pod: Object) -> bool:
    """Whether nothing would bring a running pod back elsewhere."""
    owners = of(pod, "metadata", "ownerReferences", default=[])
    return not any(owner.get("controller") for owner in owners) and of(pod, "status", "phase") not in ENDED


def budgets_of(pod: Object, budgets: list[Object]) -> list[Object]:
    """The disruption budgets that an eviction of this pod asks; none for one that has ended or not begun."""
    if of(pod, "metadata", "deletionTimestamp") or of(pod, "status", "phase") in (*ENDED, "Pending"):
        return []
    namespace, labels = pod["metadata"]["namespace"], of(pod, "metadata", "labels", default={})
    return [
        budget
        for budget in budgets
        if budget["metadata"].get("namespace") == namespace
        and selects(of(budget, "spec", "selector"), labels)
    ]


def allows(budget: Object, pod: Object) -> bool:
    """Whether a budget lets this pod go now."""
    healthy = of(budget, "status", "currentHealthy", default=0)
    desired = of(budget, "status", "desiredHealthy", default=0)
    if not is_ready(pod) and (
        of(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow" or healthy >= desired > 0
    ):
        return True
    return bool(of(budget, "status", "disruptionsAllowed", default=0) > 0)


def never_allows(budget: Object) -> bool:
    """Whether a budget lets no pod go though all are healthy: maxUnavailable 0, minAvailable 100%."""
    wanted = of(budget, "status", "desiredHealthy", default=0)
    return bool(wanted >= of(budget, "status", "expectedPods", default=wanted + 1))


def why_not(budget: Object) -> str:
    """What a budget that allows nothing says of itself."""
    for condition in of(budget, "status", "conditions", default=[]):
        if condition.get("type") == "DisruptionAllowed" and condition.get("reason") == "SyncFailed":
            return str(condition.get("message") or "it could not be worked out")
    return (
        f"{of(budget, 'status', 'currentHealthy', default=0)} healthy of "
        f"{of(budget, 'status', 'desiredHealthy', default=0)} that must be"
        + (", and no more of them are wanted" if never_allows(budget) else "")
    )
