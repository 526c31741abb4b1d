"""Do users reach a Service, and what in the cluster could be why they do not?"""

from __future__ import annotations

import contextlib
import socket

from failover_lab.kube.names import EXCLUDE
from failover_lab.kube.objects import Object, address_of, is_ready, name_of, of, port_of
from failover_lab.waiting import until

_TOPOLOGY = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
_TRY_S = 2.0


def may_announce(node: Object) -> bool:
    """Whether a node may give users the address."""
    return is_ready(node) and EXCLUDE not in of(node, "metadata", "labels", default={})


def meets_all(service: Object) -> bool:
    """Whether a client's new connections meet each of the Service's pods in their turn.

    By externalTrafficPolicy Local they meet those of the node that announces the address, by an affinity one.
    """
    spec = of(service, "spec", default={})
    policy, affinity = spec.get("externalTrafficPolicy"), spec.get("sessionAffinity", "None")
    return str(policy) != "Local" and str(affinity) == "None"


def hindrances(service: Object, nodes: list[Object]) -> list[str]:
    """What keeps all or some users from the Service's pods, a sentence each, the gravest first.

    Args:
        service: as the API has it.
        nodes: all nodes; empty where they may not be listed.
    """
    result = []
    excluded = [name_of(node) for node in nodes if EXCLUDE in of(node, "metadata", "labels", default={})]
    if nodes and not any(map(may_announce, nodes)):
        silent = [name_of(node) for node in nodes if not is_ready(node)]
        unready = f" ({', '.join(silent)} not ready)" if silent else ""
        result.append(
            f"no node may announce the address: {', '.join(excluded) or 'none'} with the label "
            f"{EXCLUDE}{unready}; take it off (`kubectl label node NODE {EXCLUDE}-`)"
        )
    spec = of(service, "spec", default={})
    if kind := spec.get("loadBalancerClass"):
        result.append(
            f"spec.loadBalancerClass is {kind}: only a load balancer of that class gives it an address"
        )
    if ranges := spec.get("loadBalancerSourceRanges"):
        result.append(f"spec.loadBalancerSourceRanges lets only {', '.join(ranges)} in")
    if spec.get("externalTrafficPolicy") == "Local":
        result.append(
            "spec.externalTrafficPolicy is Local: only pods on the node that announces the address answer"
        )
    if spec.get("sessionAffinity", "None") != "None":
        result.append(
            f"spec.sessionAffinity is {spec['sessionAffinity']}: every request of one client meets one pod"
        )
    if wish := spec.get("trafficDistribution"):
        result.append(
            f"spec.trafficDistribution is {wish}: pods near the node that announces the address are preferred"
        )
    marks = of(service, "metadata", "annotations", default={})
    result += [
        f"the annotation {key} is {marks[key]}: pods near the node that announces the address are preferred"
        for key in _TOPOLOGY
        if marks.get(key, "Disabled").lower() not in ("disabled", "")
    ]
    return result


def answers(service: Object, timeout_s: float) -> bool:
    """Whether somebody takes a connection at a Service's address and first port, within this time."""
    return answers_at(address_of(service), port_of(service), timeout_s)


def answers_at(host: str, port: int, timeout_s: float) -> bool:
    """Whether somebody takes a connection there, within this time."""
    there = (host, port)

    def is_silent() -> bool:
        with (
            contextlib.suppress(OSError, UnicodeError),
            socket.create_connection(there, min(_TRY_S, timeout_s)),
        ):
            return False
        return True

    return not until(is_silent, timeout_s)
