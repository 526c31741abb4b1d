"""Is there room for pods that lose their node? The scheduler's arithmetic, on a snapshot."""

from __future__ import annotations

from fractions import Fraction

from ansible_collections.failover_lab.lab.plugins.module_utils.cluster import Object, is_schedulable, of
from ansible_collections.failover_lab.lab.plugins.module_utils.quantity import amount

HOSTNAME = "kubernetes.io/hostname"
ENDED = ("Succeeded", "Failed")


def name_of(thing: Object) -> str:
    """The name of any object."""
    return str(thing["metadata"]["name"])


def requests_of(pod: Object) -> dict[str, Fraction]:
    """What the scheduler sets aside for a pod: cores, bytes, and one place."""
    total = {"cpu": Fraction(0), "memory": Fraction(0), "pods": Fraction(1)}
    for container in of(pod, "spec", "containers", default=[]):
        for resource in ("cpu", "memory"):
            total[resource] += amount(of(container, "resources", "requests", resource, default="0"))
    return total


def free_on(node: Object, pods: list[Object]) -> dict[str, Fraction]:
    """What is left on a node: cores, bytes and places."""
    free = {
        resource: amount(of(node, "status", "allocatable", resource, default="0"))
        for resource in ("cpu", "memory", "pods")
    }
    for pod in pods:
        if of(pod, "spec", "nodeName") == name_of(node) and of(pod, "status", "phase") not in ENDED:
            for resource, wanted in requests_of(pod).items():
                free[resource] -= wanted
    return free


class Spread:
    """One rule of a pod's spec on how evenly its kind must be spread.

    Only rules that forbid count (``DoNotSchedule``). A node that takes no pods is a domain all the same
    unless the rule honours taints: an empty one, because of which nothing may be put elsewhere.
    """

    def __init__(self, rule: Object, nodes: list[Object]) -> None:
        """Take the rule, and the nodes as they are once the fault has struck."""
        self._key = str(rule["topologyKey"])
        self._skew = int(rule.get("maxSkew", 1))
        honoured = rule.get("nodeTaintsPolicy") == "Honor"
        self._domains = {name_of(node): self._domain(node) for node in nodes}
        self._counts = {self._domains[name_of(n)]: 0 for n in nodes if is_schedulable(n) or not honoured}

    def _domain(self, node: Object) -> str:
        return str(of(node, "metadata", "labels", self._key, default=name_of(node)))

    def add(self, node: str) -> None:
        """One pod more on this node."""
        if self._domains.get(node) in self._counts:
            self._counts[self._domains[node]] += 1

    def count(self, node: str) -> int:
        """How many pods there are where this node is."""
        return self._counts.get(self._domains[node], 0)

    def allows(self, node: str) -> bool:
        """Whether one pod more may be put on this node."""
        return self.count(node) + 1 - min(self._counts.values(), default=0) <= self._skew


def without_room(displaced: list[Object], nodes: list[Object], pods: list[Object]) -> list[str]:
    """The names of those displaced pods that no node could take.

    They are placed in turn, each where the fewest of them are, and among equals where most memory is left.

    Args:
        displaced: pods of one kind.
        nodes: all nodes, as they are once the fault has struck.
        pods: all that stay, of whatever kind.
    """
    free = {name_of(node): free_on(node, pods) for node in nodes if is_schedulable(node)}
    spreads = _spreads_of(displaced[0], nodes, pods) if displaced else []
    homeless = []
    for pod in displaced:
        wanted = requests_of(pod)
        fitting = [
            name
            for name, left in free.items()
            if all(left[key] >= wanted[key] for key in wanted) and all(rule.allows(name) for rule in spreads)
        ]
        if not fitting:
            homeless.append(name_of(pod))
            continue
        best = min(fitting, key=lambda name: (sum(s.count(name) for s in spreads), -free[name]["memory"]))
        for key, value in wanted.items():
            free[best][key] -= value
        for rule in spreads:
            rule.add(best)
    return homeless


def _spreads_of(pod: Object, nodes: list[Object], pods: list[Object]) -> list[Spread]:
    """The rules of a pod, with those of its kind counted that stay."""
    result = []
    for rule in of(pod, "spec", "topologySpreadConstraints", default=[]):
        if rule.get("whenUnsatisfiable", "DoNotSchedule") != "DoNotSchedule":
            continue
        spread = Spread(rule, nodes)
        labels = of(rule, "labelSelector", "matchLabels", default={})
        own = of(pod, "metadata", "labels", default={})
        labels = labels | {key: own[key] for key in rule.get("matchLabelKeys") or [] if key in own}
        for other in pods:
            if (
                other["metadata"]["namespace"] == pod["metadata"]["namespace"]
                and labels.items() <= of(other, "metadata", "labels", default={}).items()
                and not of(other, "metadata", "deletionTimestamp")
                and of(other, "status", "phase") not in ENDED
            ):
                spread.add(str(of(other, "spec", "nodeName", default="")))
        result.append(spread)
    return result
