"""Can a cluster carry work? What is missing if not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.objects import is_ready, missing_of, name_of, of
from failover_lab.waiting import until

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

POLL_S = 0.5
# By which words a workload tells how many pods it has ready, and how many it wants.
COUNTS = {
    "deployments": ("availableReplicas", "replicas"),
    "daemonsets": ("numberReady", "desiredNumberScheduled"),
}


def missing_nodes(nodes: list[Object], wanted: int) -> list[str]:
    """Which nodes are missing, each with the kubelet's own words."""
    missing = [f"node {lack}" for lack in map(missing_of, nodes) if lack]
    if len(nodes) < wanted:
        missing.append(f"{len(nodes)} of {wanted} nodes have joined")
    return missing


def missing_in_workload(title: str, workload: Object | None) -> str | None:
    """What keeps a Deployment or DaemonSet from being ready; None if nothing does.

    Args:
        title: namespace, kind and name.
        workload: the object, if it exists.
    """
    if workload is None:
        return f"{title} does not exist"
    status = of(workload, "status", default={})
    ready_key, wanted_key = COUNTS[title.split("/")[1]]
    ready, wanted = status.get(ready_key, 0), status.get(wanted_key, 0)
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"] or wanted == 0:
        return f"the controller has not seen {title} yet"
    return f"{title} has {ready} of {wanted} pods ready" if ready < wanted else None


def look(cluster: Cluster, wanted: Object) -> tuple[list[str], list[str]]:
    """The names of the ready nodes, and what is missing."""
    nodes = cluster.nodes()
    missing = missing_nodes(nodes, wanted["nodes"])
    for title in wanted["workloads"]:
        if lack := missing_in_workload(title, cluster.workload(*title.split("/"))):
            missing.append(lack)
    return [name_of(node) for node in nodes if is_ready(node)], missing


def watch(cluster: Cluster, wanted: Object, *, check_mode: bool) -> Object:
    """Wait as the arguments say; gives back what the module returns.

    Raises:
        UserError: a workload's name is none, or it takes too long.
    """
    for title in wanted["workloads"]:
        if len(parts := title.split("/")) != 3 or parts[1] not in COUNTS:
            raise UserError(f"{title!r} is none of NAMESPACE/deployments/NAME and NAMESPACE/daemonsets/NAME.")
    names, missing = until(
        lambda: look(cluster, wanted),
        0 if check_mode else wanted["timeout_s"],
        every_s=POLL_S,
        over=lambda found: not found[1],
    )
    if missing and not check_mode:
        raise UserError(f"After {wanted['timeout_s']} s in {wanted['context']}: {'; '.join(missing)}")
    return {"nodes": names, "missing": missing}
