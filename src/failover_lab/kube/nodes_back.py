"""Do nodes that were lost carry work again? What is missing if not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.objects import is_daemons, is_leaving, is_ready, name_of, of
from failover_lab.kube.objects import missing_of as missing_in_node
from failover_lab.run import instants
from failover_lab.waiting import until

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

POLL_S = 0.5


def started(pod: Object, since: float) -> bool:
    """Whether all containers of a pod were started since then. The API tells whole seconds."""
    begun = [
        of(status, "state", "running", "startedAt")
        for status in of(pod, "status", "containerStatuses", default=[])
    ]
    return bool(begun) and all(text and instants.parse(text) >= math.floor(since) for text in begun)


def missing_of(wanted: Object, node: Object | None, lease: Object | None, pods: list[Object]) -> str | None:
    """What keeps a node from carrying work; None if nothing does.

    Args:
        wanted: C(name), C(since) and C(restarted).
        node: as the API has it; None if it does not.
        lease: its Lease; None if there is none.
        pods: every pod of the cluster.
    """
    name, since = wanted["name"], instants.parse(wanted["since"])
    if node is None:
        return f"{name} has not joined"
    renewed = of(lease or {}, "spec", "renewTime")
    if not renewed or instants.parse(renewed) <= since:
        return f"the kubelet of {name} has not renewed its lease since {instants.text(since)[11:19]}"
    if lack := missing_in_node(node):
        return lack
    own = [
        pod for pod in pods if of(pod, "spec", "nodeName") == name and is_daemons(pod) and not is_leaving(pod)
    ]
    late = [
        name_of(pod) for pod in own if not is_ready(pod) or (wanted["restarted"] and not started(pod, since))
    ]
    if late:
        return f"{', '.join(late)} on {name} {'is' if len(late) == 1 else 'are'} not ready"
    return None if own else f"{name} carries none of the pods that belong to every node"


def look(cluster: Cluster, wanted: list[Object]) -> list[str]:
    """What is missing, a sentence each."""
    nodes = {name_of(node): node for node in cluster.nodes()}
    pods = cluster.pods()
    found = (missing_of(item, nodes.get(item["name"]), cluster.lease(item["name"]), pods) for item in wanted)
    return [sentence for sentence in found if sentence]


def watch(cluster: Cluster, wanted: Object, *, check_mode: bool) -> Object:
    """Wait as the arguments say; gives back what the module returns.

    Raises:
        UserError: an instant is none, or it takes too long.
    """
    for item in wanted["nodes"]:
        try:
            instants.parse(item["since"])
        except ValueError as error:
            raise UserError(f"{item['since']!r} is no instant such as 2026-11-23T19:00:00Z.") from error
    missing = until(
        lambda: look(cluster, wanted["nodes"]), 0 if check_mode else wanted["timeout_s"], every_s=POLL_S
    )
    if missing and not check_mode:
        raise UserError(f"After {wanted['timeout_s']} s in {wanted['context']}: {'; '.join(missing)}")
    return {"missing": missing}
