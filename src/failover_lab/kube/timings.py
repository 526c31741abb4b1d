"""How fast a cluster is set to notice that a node is lost, and to replace what it carried."""

from __future__ import annotations

from failover_lab.kube.detection import Controller, Kubelet, command_of
from failover_lab.kube.objects import Object, condition_of, is_ready, of
from failover_lab.run import instants

_MANAGER = {"component": "kube-controller-manager"}
_UNREACHABLE = ("node.kubernetes.io/unreachable", None)
_EVICTS = ("NoExecute", "", None)


def controller_of(pods: list[Object], version: str) -> Controller:
    """What the controller manager was started with; Kubernetes' own where it cannot be seen."""
    own = Controller.own(version)
    for pod in pods:
        if _MANAGER.items() <= of(pod, "metadata", "labels", default={}).items():
            try:
                return Controller.of(command_of(pod), own)
            except ValueError:
                return own
    return own


def toleration_of(pod: Object) -> float | None:
    """For how long a pod stays bound to a node that is lost, in seconds; None: for ever."""
    for toleration in of(pod, "spec", "tolerations", default=[]):
        if toleration.get("key") in _UNREACHABLE and toleration.get("effect") in _EVICTS:
            limit = toleration.get("tolerationSeconds")
            return None if limit is None else float(limit)
    return 0.0


def start_of(pods: list[Object]) -> float | None:
    """How long the quickest of these pods took from its creation until it was ready; whole seconds.

    The first ones of an image wait for it to be pulled, which no replacement does.
    """
    took = [
        instants.parse(since) - instants.parse(pod["metadata"]["creationTimestamp"])
        for pod in pods
        if is_ready(pod)
        if (since := condition_of(pod).get("lastTransitionTime"))
    ]
    return min(took, default=None)


def timings_of(pods: list[Object], site_pods: list[Object], lease: Object | None, version: str) -> Object:
    """The settings in force, in seconds.

    Args:
        pods: every pod of the cluster.
        site_pods: the site's, whose tolerations and starts count.
        lease: the node's Lease; None where there is none, or nobody may read it. The grace says then how
            long it is at most: within that, a kubelet has renewed it.
        version: of the API server.
    """
    controller = controller_of(pods, version)
    return {
        "grace_s": controller.grace_s,
        "monitor_period_s": controller.monitor_period_s,
        "lease_s": float(
            of(lease or {}, "spec", "leaseDurationSeconds", default=min(Kubelet.lease_s, controller.grace_s))
        ),
        "toleration_s": toleration_of(site_pods[0]) if site_pods else None,
        "pod_start_s": start_of(site_pods),
    }
