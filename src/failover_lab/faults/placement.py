"""May a pod be put on a node, whatever room there is? Its own wishes, and the node's taints."""

from __future__ import annotations

from collections.abc import Iterable

from failover_lab.kube.objects import Object, is_ready, of
from failover_lab.kube.selectors import selects

# A node that bears one of these is lost, or is not to be used, whoever tolerates it.
_KUBERNETES = "node.kubernetes.io/"


def tolerates(pod: Object, taint: Object) -> bool:
    """Whether a pod may be put on a node with this taint."""
    for toleration in of(pod, "spec", "tolerations", default=[]):
        key, exists = toleration.get("key"), toleration.get("operator") == "Exists"
        if toleration.get("effect") not in (None, "", taint["effect"]):
            continue
        if (not key and exists) or (
            key == taint["key"] and (exists or toleration.get("value", "") == (taint.get("value") or ""))
        ):
            return True
    return False


def takes(node: Object, pod: Object) -> bool:
    """Whether this pod could be placed on a node, if there is room."""
    if not is_ready(node) or of(node, "spec", "unschedulable", default=False):
        return False
    taints = [
        taint for taint in of(node, "spec", "taints", default=[]) if taint["effect"] != "PreferNoSchedule"
    ]
    if any(taint["key"].startswith(_KUBERNETES) or not tolerates(pod, taint) for taint in taints):
        return False
    return wished(node, pod)


def wished(node: Object, pod: Object) -> bool:
    """Whether a node is one of those that the pod's nodeSelector and required affinity mean."""
    labels = of(node, "metadata", "labels", default={})
    if not of(pod, "spec", "nodeSelector", default={}).items() <= labels.items():
        return False
    required = of(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(_term(term, labels, fields) for term in required.get("nodeSelectorTerms") or [])


def _term(term: Object, labels: dict[str, str], fields: dict[str, str]) -> bool:
    """Whether all of a term holds; an empty one means no node."""
    rules = [
        *((rule, labels) for rule in term.get("matchExpressions") or []),
        *((rule, fields) for rule in term.get("matchFields") or []),
    ]
    return bool(rules) and all(_rule(rule, values) for rule, values in rules)


def _rule(rule: Object, labels: dict[str, str]) -> bool:
    if rule.get("operator") not in ("Gt", "Lt"):
        return selects({"matchExpressions": [rule]}, labels)
    try:
        have, than = int(labels[rule["key"]]), int(rule["values"][0])
    except (KeyError, ValueError, IndexError):
        return False
    return have > than if rule["operator"] == "Gt" else have < than


def host_ports(pod: Object) -> set[tuple[str, int]]:
    """The ports of its node that a pod takes for itself."""
    return {
        (port.get("protocol", "TCP"), int(port["hostPort"]))
        for kind in ("containers", "initContainers")
        for container in of(pod, "spec", kind, default=[])
        if kind == "containers" or container.get("restartPolicy") == "Always"
        for port in container.get("ports") or []
        if port.get("hostPort")
    }


class Apart:
    """What a pod must not be beside: its required anti-affinity, and others' ports of the node."""

    def __init__(self, pod: Object, nodes: list[Object], pods: Iterable[Object]) -> None:
        """Take the pod, all nodes, and the pods that stay."""
        self._labels = {
            str(node["metadata"]["name"]): of(node, "metadata", "labels", default={}) for node in nodes
        }
        self._ports = host_ports(pod)
        self._namespace = pod["metadata"]["namespace"]
        anti = of(pod, "spec", "affinity", "podAntiAffinity", default={})
        self._terms = anti.get("requiredDuringSchedulingIgnoredDuringExecution") or []
        self._pods = [(str(of(other, "spec", "nodeName", default="")), other) for other in pods]

    def add(self, node: str, pod: Object) -> None:
        """One pod more on this node."""
        self._pods.append((node, pod))

    def allows(self, node: str) -> bool:
        """Whether the pod may be put on this node."""
        for where, other in self._pods:
            if where == node and self._ports & host_ports(other):
                return False
            for term in self._terms:
                key = term["topologyKey"]
                here, there = self._labels[node].get(key), self._labels.get(where, {}).get(key)
                if here is not None and here == there and self._means(term, other):
                    return False
        return True

    def _means(self, term: Object, other: Object) -> bool:
        namespace = other["metadata"].get("namespace")
        within = namespace in (term.get("namespaces") or [self._namespace])
        return within and selects(term.get("labelSelector"), of(other, "metadata", "labels", default={}))
