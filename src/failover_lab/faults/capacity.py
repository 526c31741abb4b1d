"""Is there room for pods that lose their node? The scheduler's arithmetic, on a snapshot."""

from __future__ import annotations

from failover_lab.faults import claims
from failover_lab.faults.placement import Apart, admits, takes, wished
from failover_lab.kube.objects import ENDED, Object, is_leaving, name_of, of
from failover_lab.kube.quantity import amount
from failover_lab.kube.selectors import selects

HOSTNAME = "kubernetes.io/hostname"


def requests_of(pod: Object) -> claims.Amounts:
    """What the scheduler sets aside for a new pod: cores, bytes, whatever else it asks for, and one place."""
    return {"cpu": 0.0, "memory": 0.0, "pods": 1.0} | claims.requested(pod)


def free_on(node: Object, pods: list[Object]) -> claims.Amounts:
    """What is left on a node: cores, bytes, places, and whatever else it has."""
    allocatable = of(node, "status", "allocatable", default={})
    free: claims.Amounts = {name: amount(value) for name, value in allocatable.items()}
    for pod in pods:
        if of(pod, "spec", "nodeName") == name_of(node) and of(pod, "status", "phase") not in ENDED:
            for resource, wanted in ({"pods": 1.0} | claims.taken(pod)).items():
                free[resource] = free.get(resource, 0) - wanted
    return free


class Spread:
    """One rule of a pod's spec on how evenly its kind must be spread.

    Only rules that forbid count (``DoNotSchedule``). A node that takes no pods is a domain all the same
    unless the rule honours taints: an empty one, because of which nothing may be put elsewhere. One that the
    pod itself does not want is none unless the rule says so, and one without the label is no place.
    """

    def __init__(self, rule: Object, nodes: list[Object], pod: Object) -> None:
        """Take the rule, the nodes as they are once the fault has struck, and the pod whose rule it is."""
        self._key = str(rule["topologyKey"])
        self._skew = int(rule.get("maxSkew", 1))
        self._fewest = int(rule.get("minDomains") or 1)
        choosy = rule.get("nodeAffinityPolicy", "Honor") == "Honor"
        honoured = rule.get("nodeTaintsPolicy") == "Honor"
        self._domains = {
            name_of(node): domain
            for node in nodes
            if (domain := self._domain(node))
            and (not choosy or wished(node, pod))
            and (not honoured or admits(node, pod))
        }
        self._counts = dict.fromkeys(self._domains.values(), 0)

    def _domain(self, node: Object) -> str:
        # Each kubelet gives its node this label.
        usual = name_of(node) if self._key == HOSTNAME else ""
        return str(of(node, "metadata", "labels", self._key, default=usual))

    def add(self, node: str) -> None:
        """One pod more on this node."""
        if node in self._domains:
            self._counts[self._domains[node]] += 1

    def count(self, node: str) -> int:
        """How many pods there are where this node is."""
        return self._counts[self._domains[node]]

    def allows(self, node: str) -> bool:
        """Whether one pod more may be put on this node."""
        if node not in self._domains:
            return False
        least = min(self._counts.values()) if len(self._counts) >= self._fewest else 0
        return self.count(node) + 1 - least <= self._skew


def without_room(displaced: list[Object], nodes: list[Object], pods: list[Object]) -> list[str]:
    """The names of those displaced pods that no node could take.

    They are placed in turn, each where the fewest of them are, and among equals where most memory is left.

    Args:
        displaced: pods of one kind.
        nodes: all nodes, as they are once the fault has struck.
        pods: all that stay, of whatever kind.
    """
    if not displaced:
        return []
    # One kind, so one spec.
    pattern = displaced[0]
    free = {name_of(node): free_on(node, pods) for node in nodes if takes(node, pattern)}
    spreads = _spreads_of(pattern, nodes, pods)
    staying = [pod for pod in pods if of(pod, "status", "phase") not in ENDED]
    apart = Apart(pattern, nodes, staying)
    homeless = []
    for pod in displaced:
        wanted = requests_of(pod)
        fitting = [
            name
            for name, left in free.items()
            if all(left.get(key, 0) >= value for key, value in wanted.items() if value)
            and all(rule.allows(name) for rule in spreads)
            and apart.allows(name)
        ]
        if not fitting:
            homeless.append(name_of(pod))
            continue
        best = min(
            fitting, key=lambda name: (sum(s.count(name) for s in spreads), -free[name].get("memory", 0))
        )
        for key, value in wanted.items():
            free[best][key] = free[best].get(key, 0) - value
        for rule in spreads:
            rule.add(best)
        apart.add(best, pod)
    return homeless


def _spreads_of(pod: Object, nodes: list[Object], pods: list[Object]) -> list[Spread]:
    """The rules of a pod, with those of its kind counted that stay."""
    result = []
    for rule in of(pod, "spec", "topologySpreadConstraints", default=[]):
        if rule.get("whenUnsatisfiable", "DoNotSchedule") != "DoNotSchedule":
            continue
        spread = Spread(rule, nodes, pod)
        own = of(pod, "metadata", "labels", default={})
        alike = {key: own[key] for key in rule.get("matchLabelKeys") or [] if key in own}
        for other in pods:
            if (
                other["metadata"]["namespace"] == pod["metadata"]["namespace"]
                and selects(rule.get("labelSelector"), theirs := of(other, "metadata", "labels", default={}))
                and alike.items() <= theirs.items()
                and not is_leaving(other)
                and of(other, "status", "phase") not in ENDED
            ):
                spread.add(str(of(other, "spec", "nodeName", default="")))
        result.append(spread)
    return result
