"""What is watched, and the few facts that are kept of each object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.kube.application import names_of
from failover_lab.kube.leaders import PROGRAMS, holder_of
from failover_lab.kube.objects import condition_of, internal_address, name_of, of
from failover_lab.kube.selectors import selects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from failover_lab.kube.objects import Object

NODE, LEASE, LEADER, SLICE, POD, EVENT, ANNOUNCEMENT = (
    "Node",
    "Lease",
    "Leader",
    "EndpointSlice",
    "Pod",
    "Event",
    "ServiceL2Status",
)


@dataclass(frozen=True)
class Resource:
    """One kind of object.

    Attributes:
        kind: its name in the log.
        listing: asks for the list; with ``watch="true"`` it gives a stream.
        facts: what to keep of an object, or None for an object that is of no interest.
        optional: whether a report can do without it where its kind may not be listed.
    """

    kind: str
    listing: Callable[..., Any]
    facts: Callable[[Object], Object | None]
    optional: bool = False

    @property
    def hopeless(self) -> set[int]:
        """The refusals after which its list is not waited for.

        The kind is not served here (no MetalLB), but it may still come; or one may not list it, and can do
        without.
        """
        return {404, 403} if self.optional else {404}


def node(obj: Object) -> Object:
    """Whether the node is ready and may be scheduled to."""
    ready = condition_of(obj)
    taints = obj.get("spec", {}).get("taints") or []
    return {
        "address": internal_address(obj),
        "ready": ready.get("status", "Unknown"),
        "stamped": ready.get("lastTransitionTime"),
        "unschedulable": bool(obj.get("spec", {}).get("unschedulable")),
        "taints": sorted(f"{t.get('key')}:{t.get('effect')}" for t in taints),
    }


def lease(obj: Object) -> Object:
    """When the node's kubelet last said that it lives."""
    return {"stamped": obj.get("spec", {}).get("renewTime")}


def leader(obj: Object) -> Object | None:
    """Which node's instance of a part of the control plane leads the others."""
    if name_of(obj) not in PROGRAMS:
        return None
    return {"node": holder_of(obj), "stamped": of(obj, "spec", "renewTime")}


def endpoint_slice(obj: Object) -> Object:
    """Which pods the Service sends to."""
    endpoints = []
    for endpoint in obj.get("endpoints") or []:
        conditions = endpoint.get("conditions") or {}
        endpoints.append(
            {
                "pod": (endpoint.get("targetRef") or {}).get("name", ""),
                "node": endpoint.get("nodeName", ""),
                "addresses": endpoint.get("addresses") or [],
                "ready": bool(conditions.get("ready")),
                "serving": bool(conditions.get("serving")),
                "terminating": bool(conditions.get("terminating")),
            }
        )
    labels = obj.get("metadata", {}).get("labels") or {}
    return {"service": labels.get("kubernetes.io/service-name", ""), "endpoints": endpoints}


def pod(obj: Object) -> Object:
    """Where the pod is and whether it serves."""
    meta, status = obj.get("metadata", {}), obj.get("status", {})
    containers = status.get("containerStatuses") or []
    return {
        "uid": meta.get("uid", ""),
        "node": obj.get("spec", {}).get("nodeName", ""),
        "phase": status.get("phase", ""),
        "ready": condition_of(obj).get("status") == "True",
        "stamped": condition_of(obj).get("lastTransitionTime"),
        "address": status.get("podIP", ""),
        "deletion": meta.get("deletionTimestamp"),
        "restarts": sum(c.get("restartCount", 0) for c in containers),
        "image": next((c.get("imageID") or c.get("image", "") for c in containers), ""),
    }


def pod_of(selectors: Sequence[dict[str, str]]) -> Callable[[Object], Object | None]:
    """The same of pods that one of these selectors means; of each pod, where there are none."""

    def facts(obj: Object) -> Object | None:
        labels = of(obj, "metadata", "labels", default={})
        if selectors and not any(selects({"matchLabels": one}, labels) for one in selectors):
            return None
        return pod(obj)

    return facts


def event(namespace: str) -> Callable[[Object], Object | None]:
    """What Kubernetes itself remarked, about nodes and about the site's namespace."""

    def facts(obj: Object) -> Object | None:
        about = obj.get("involvedObject") or {}
        if about.get("kind") != "Node" and about.get("namespace") != namespace:
            return None
        return {
            "reason": obj.get("reason", ""),
            "message": obj.get("message", ""),
            "type": obj.get("type", ""),
            "about": f"{about.get('kind', '')}/{about.get('name', '')}",
            "count": obj.get("count") or 1,
            "stamped": obj.get("lastTimestamp") or obj.get("eventTime"),
        }

    return facts


def announcement(namespace: str, services: Sequence[str] | str) -> Callable[[Object], Object | None]:
    """Which node announces the address of a Service, or of several, as MetalLB says."""
    names = names_of(services)

    def facts(obj: Object) -> Object | None:
        status = obj.get("status") or {}
        service = status.get("serviceName")
        if status.get("serviceNamespace") != namespace or service not in names:
            return None
        return {"service": service, "node": status.get("node", "")}

    return facts
