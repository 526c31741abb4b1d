"""Reading plain objects of the API: nodes, pods, Services, and what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_lab.arguments import authority

if TYPE_CHECKING:
    from collections.abc import Iterable

Object = dict[str, Any]

ENDED = ("Succeeded", "Failed")
_MIRROR = "kubernetes.io/config.mirror"
_IDENTITY_PATH = "failover-lab/identity-path"


def of(parent: Object, *path: str, default: Any = None) -> Any:  # noqa: ANN401 - objects of the API have any shape
    """The value at this path; the default where any part of it is missing or null."""
    value: Any = parent
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return default if value is None else value


def name_of(thing: Object) -> str:
    """An object's name."""
    return str(thing["metadata"]["name"])


def title(thing: Object) -> str:
    """Namespace and name of any object that has both."""
    return f"{thing['metadata'].get('namespace', '')}/{name_of(thing)}"


def is_leaving(thing: Object) -> bool:
    """Whether somebody has deleted it, and it is about to go."""
    return bool(of(thing, "metadata", "deletionTimestamp"))


def condition_of(thing: Object, kind: str = "Ready") -> Object:
    """One of the conditions of a pod or node; empty where it has none of this kind."""
    found: list[Object] = of(thing, "status", "conditions", default=[])
    return next((condition for condition in found if condition.get("type") == kind), {})


def is_ready(thing: Object) -> bool:
    """Whether a pod or node is ready and not about to go."""
    return not is_leaving(thing) and condition_of(thing).get("status") == "True"


def is_schedulable(node: Object) -> bool:
    """Whether a pod without special tolerations could be placed on a node."""
    return (
        is_ready(node)
        and not of(node, "spec", "unschedulable", default=False)
        and not any(taint["effect"] != "PreferNoSchedule" for taint in of(node, "spec", "taints", default=[]))
    )


def missing_of(node: Object) -> str:
    """That a node is not ready, with the kubelet's own words; empty where it is."""
    if is_ready(node):
        return ""
    said = condition_of(node).get("message")
    return f"{name_of(node)} is not ready{f': {said}' if said else ''}"


def internal_address(node: Object) -> str:
    """The node's own address; empty if it has none."""
    addresses = of(node, "status", "addresses", default=[])
    return next((str(a.get("address", "")) for a in addresses if a.get("type") == "InternalIP"), "")


def address_of(service: Object) -> str:
    """The address that the load balancer has given; empty if none."""
    for ingress in of(service, "status", "loadBalancer", "ingress", default=[]):
        if address := ingress.get("ip") or ingress.get("hostname"):
            return str(address)
    return ""


def port_of(service: Object) -> int:
    """The first port of a Service."""
    ports = of(service, "spec", "ports", default=[])
    return int(ports[0]["port"]) if ports else 80


def url_of(service: Object) -> str:
    """Where users find it, on its first port; empty without an address."""
    address = address_of(service)
    return f"http://{authority(address, port_of(service))}" if address else ""


def identity_path(deployment: Object, *, own: bool = True) -> str:
    """The path at which the application says who answered; empty where it says so nowhere.

    Args:
        deployment: or whatever else keeps its pods.
        own: whether it is the lab's site, of which older versions of the role site did not write it down.
    """
    return str(of(deployment, "metadata", "annotations", _IDENTITY_PATH, default="/whoami" if own else ""))


def _controllers(pod: Object) -> list[Object]:
    return [owner for owner in of(pod, "metadata", "ownerReferences", default=[]) if owner.get("controller")]


def controller_of(thing: Object) -> Object | None:
    """Whoever keeps a pod or the like, as the object refers to it; None: nobody does."""
    return next(iter(_controllers(thing)), None)


def is_daemons(pod: Object) -> bool:
    """Whether a DaemonSet put a pod on its node."""
    return any(owner.get("kind") == "DaemonSet" for owner in _controllers(pod))


def stays_on_node(pod: Object) -> bool:
    """Whether a pod belongs to its node, not to the cluster: it is neither evicted nor replaced elsewhere."""
    return _MIRROR in of(pod, "metadata", "annotations", default={}) or is_daemons(pod)


def is_orphan(pod: Object) -> bool:
    """Whether nothing would bring a running pod back elsewhere."""
    return not _controllers(pod) and of(pod, "status", "phase") not in ENDED


def claims_of(pods: Iterable[Object]) -> set[str]:
    """The names of the claims of volumes that pods have."""
    return {
        name
        for pod in pods
        for volume in of(pod, "spec", "volumes", default=[])
        if (name := of(volume, "persistentVolumeClaim", "claimName"))
    }


def keeps_data(pod: Object) -> bool:
    """Whether a pod has an emptyDir, which goes with it."""
    return any(volume.get("emptyDir") is not None for volume in of(pod, "spec", "volumes", default=[]))


def has_ended(pod: Object) -> bool:
    """Whether nothing of a pod runs any more, whatever keeps its object."""
    states = [
        status.get("state") or {}
        for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
        for status in of(pod, "status", kind, default=[])
    ]
    return of(pod, "status", "phase") in ENDED or (
        bool(states) and all("terminated" in state for state in states)
    )


def is_running(pod: Object) -> bool:
    """Whether all of a pod's containers run, and it is not about to go."""
    states = of(pod, "status", "containerStatuses", default=[])
    return (
        bool(states)
        and not is_leaving(pod)
        and all(of(state, "state", "running") is not None for state in states)
    )
