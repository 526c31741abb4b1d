"""Is a namespace that is going away gone? What holds it if not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.objects import is_leaving, of
from failover_lab.waiting import until

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

POLL_S = 0.5
# Kubernetes' own, which it takes off when nothing is left.
_OWN = "kubernetes"


def holds(namespace: Object) -> list[str]:
    """What keeps a namespace from being gone, in its own words."""
    told = [
        str(condition.get("message") or condition.get("reason"))
        for condition in of(namespace, "status", "conditions", default=[])
        if condition.get("status") == "True"
    ]
    finalizers = [
        *of(namespace, "metadata", "finalizers", default=[]),
        *(name for name in of(namespace, "spec", "finalizers", default=[]) if name != _OWN),
    ]
    if finalizers:
        told.append(f"the namespace itself has the finalizer {', '.join(finalizers)}")
    return told


def watch(cluster: Cluster, wanted: Object, *, check_mode: bool) -> Object:
    """Wait as the arguments say; gives back what the module returns.

    Raises:
        UserError: nobody has deleted it, or it takes too long.
    """
    name, context = wanted["namespace"], wanted["context"]
    where = f"The namespace {name} of {context}"
    found = until(
        lambda: cluster.namespace(name),
        0 if check_mode else wanted["timeout_s"],
        every_s=POLL_S,
        over=lambda found: found is not None and not is_leaving(found),
    )
    if found is None or check_mode:
        return {"gone": found is None}
    if not is_leaving(found):
        raise UserError(f"{where} is there, and nobody has deleted it.")
    why = "; ".join(holds(found)) or "it does not say why"
    raise UserError(
        f"{where} is still going away after {wanted['timeout_s']} s: {why}. Remove what holds it (`kubectl "
        f"--context {context} get namespace {name} -o yaml` shows it all), or choose another site_namespace."
    )
