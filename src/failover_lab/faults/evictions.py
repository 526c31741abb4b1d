"""Would the API server grant the evictions of a drain? Asked before anything is cordoned."""

from __future__ import annotations

from failover_lab.kube.objects import ENDED, Object, condition_of, is_leaving, is_ready, of
from failover_lab.kube.selectors import selects


def budgets_of(pod: Object, budgets: list[Object]) -> list[Object]:
    """The disruption budgets that an eviction of this pod asks; none for one that has ended or not begun."""
    if is_leaving(pod) or of(pod, "status", "phase") in (*ENDED, "Pending"):
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
    allowed = condition_of(budget, "DisruptionAllowed")
    if allowed.get("reason") == "SyncFailed":
        return str(allowed.get("message") or "it could not be worked out")
    return (
        f"{of(budget, 'status', 'currentHealthy', default=0)} healthy of "
        f"{of(budget, 'status', 'desiredHealthy', default=0)} that must be"
        + (", and no more of them are wanted" if never_allows(budget) else "")
    )
