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
    return admits(node, pod) and wished(node, pod)


def admits(node: Object, pod: Object) -> bool:
    """Whether a node is open, and its taints let this pod in."""
    if not is_ready(node) or of(node, "spec", "unschedulable", default=False):
        return False
    taints = [
        taint for taint in of(node, "spec", "taints", default=[]) if taint["effect"] != "PreferNoSchedule"
    ]
    return not any(taint["key"].startswith(_KUBERNETES) or not tolerates(pod, taint) for taint in taints)


def wished(node: Object, pod: Object) -> bool:
    """Whether a node is one of those that the pod's nodeSelector and required affinity mean."""
    labels = of(node, "metadata", "labels", default={})
    if not of(pod, "spec", "nodeSelector", default={}).items() <= labels.items():
        return False
    required = of(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or meant(required, node)


def meant(required: Object, node: Object) -> bool:
    """Whether a node is one of those that a selector of nodes means: a pod's, or that of a volume."""
    labels = of(node, "metadata", "labels", default={})
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


def host_ports(pod: Object) -> set[tuple[str, int, str]]:
    """The ports of its node that a pod takes for itself, and of which of its addresses; empty: of each."""
    return {
        (port.get("protocol", "TCP"), int(port["hostPort"]), _address(port.get("hostIP")))
        for kind in ("containers", "initContainers")
        for container in of(pod, "spec", kind, default=[])
        if kind == "containers" or container.get("restartPolicy") == "Always"
        for port in container.get("ports") or []
        if port.get("hostPort")
    }


def _address(given: str | None) -> str:
    return "" if given in (None, "0.0.0.0", "::") else given  # noqa: S104 - read, and not bound to


def _collide(some: set[tuple[str, int, str]], others: set[tuple[str, int, str]]) -> bool:
    return any(
        one[:2] == other[:2] and (one[2] == other[2] or "" in (one[2], other[2]))
        for one in some
        for other in others
    )


def _terms(pod: Object, kind: str) -> list[Object]:
    """What a pod says of the pods that it must, or must not, be beside."""
    path = ("spec", "affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution")
    found: list[Object] = of(pod, *path, default=[])
    return found


def _means(term: Object, whose: Object, other: Object) -> bool:
    """Whether a term of one pod means another; of other namespaces no labels are known here."""
    namespaces = [*(term.get("namespaces") or [])]
    if not namespaces and term.get("namespaceSelector") is None:
        namespaces = [whose["metadata"].get("namespace")]
    within = other["metadata"].get("namespace") in namespaces or term.get("namespaceSelector") == {}
    return within and selects(term.get("labelSelector"), of(other, "metadata", "labels", default={}))


class Apart:
    """What a pod must be beside or must not: by its affinity, by others' anti-affinity, and by ports."""

    def __init__(self, pod: Object, nodes: list[Object], pods: Iterable[Object]) -> None:
        """Take the pod, all nodes, and the pods that stay."""
        self._labels = {
            str(node["metadata"]["name"]): of(node, "metadata", "labels", default={}) for node in nodes
        }
        self._pod = pod
        self._ports = host_ports(pod)
        self._near, self._far = (_terms(pod, kind) for kind in ("podAffinity", "podAntiAffinity"))
        self._pods: list[tuple[str, Object]] = []
        # Where others forbid it, by which label.
        self._shut: set[tuple[str, str]] = set()
        for other in pods:
            self.add(str(of(other, "spec", "nodeName", default="")), other)

    def add(self, node: str, pod: Object) -> None:
        """One pod more on this node."""
        self._pods.append((node, pod))
        for term in _terms(pod, "podAntiAffinity"):
            place = self._labels.get(node, {}).get(term["topologyKey"])
            if place is not None and _means(term, pod, self._pod):
                self._shut.add((term["topologyKey"], place))

    def allows(self, node: str) -> bool:
        """Whether the pod may be put on this node."""
        if any(where == node and _collide(self._ports, host_ports(other)) for where, other in self._pods):
            return False
        if any(self._labels[node].get(key) == place for key, place in self._shut):
            return False
        return not any(self._beside(term, node) for term in self._far) and all(
            self._beside(term, node) or self._first(term, node) for term in self._near
        )

    def _beside(self, term: Object, node: str) -> bool:
        """Whether a pod that a term means is where this node is."""
        key = term["topologyKey"]
        here = self._labels[node].get(key)
        return here is not None and any(
            self._labels.get(where, {}).get(key) == here and _means(term, self._pod, other)
            for where, other in self._pods
        )

    def _first(self, term: Object, node: str) -> bool:
        """Whether the pod is the first of those that are to be beside each other."""
        return (
            term["topologyKey"] in self._labels[node]
            and _means(term, self._pod, self._pod)
            and not any(_means(term, self._pod, other) for _, other in self._pods)
        )
