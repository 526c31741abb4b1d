"""May this node be drained? Judged from a snapshot of the cluster, before anything is touched."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.failover_lab.lab.plugins.module_utils.cluster import (
    Object,
    is_ready,
    is_schedulable,
    of,
)

# Written onto a node in the same request that cordons it: who did it, so that only this is ever undone.
CORDONED_BY = "failover-lab/cordoned-by"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_ENDED = ("Succeeded", "Failed")


class Refusal(Exception):  # noqa: N818 - it is an answer, not a mishap
    """One sentence: why not, and what to do."""


@dataclass
class Snapshot:
    """The objects that the rules look at, as the API gives them."""

    nodes: list[Object]
    pods: list[Object]
    """Every pod of the cluster."""
    deployment: Object
    budgets: list[Object]
    """The disruption budgets in the Deployment's namespace."""
    site_pods: list[Object] = field(init=False)
    """The Deployment's own, those on their way out left aside, by name."""

    def __post_init__(self) -> None:
        """Find the site's pods among all."""
        labels = self.deployment["spec"]["selector"]["matchLabels"]
        namespace = self.deployment["metadata"]["namespace"]
        self.site_pods = sorted(
            (
                pod
                for pod in self.pods
                if pod["metadata"]["namespace"] == namespace
                and labels.items() <= of(pod, "metadata", "labels", default={}).items()
                and not of(pod, "metadata", "deletionTimestamp")
                and of(pod, "status", "phase") not in _ENDED
            ),
            key=lambda pod: str(pod["metadata"]["name"]),
        )

    def on(self, node: str) -> list[Object]:
        """The site's pods on this node."""
        return [pod for pod in self.site_pods if of(pod, "spec", "nodeName") == node]


def name_of(thing: Object) -> str:
    """The name of any object."""
    return str(thing["metadata"]["name"])


def is_control_plane(node: Object) -> bool:
    """Whether the control plane runs here."""
    return CONTROL_PLANE in of(node, "metadata", "labels", default={})


def amount(quantity: Any) -> float:  # noqa: ANN401 - strings and numbers both occur
    """A quantity of the API as a number: cores, bytes or pieces.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"([0-9.]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?", str(quantity))
    if not match:
        raise ValueError(f"{quantity!r} is no quantity")
    return float(match[1]) * _UNITS[match[2] or ""]


def requests_of(pod: Object) -> dict[str, float]:
    """What the scheduler sets aside for a pod: cores, bytes, and one place."""
    total = {"cpu": 0.0, "memory": 0.0, "pods": 1.0}
    for container in of(pod, "spec", "containers", default=[]):
        for resource in ("cpu", "memory"):
            total[resource] += amount(of(container, "resources", "requests", resource, default="0"))
    return total


def free_on(node: Object, pods: list[Object]) -> dict[str, float]:
    """What is left on a node: cores, bytes and places."""
    free = {
        resource: amount(of(node, "status", "allocatable", resource, default="0"))
        for resource in ("cpu", "memory", "pods")
    }
    for pod in pods:
        if of(pod, "spec", "nodeName") == name_of(node) and of(pod, "status", "phase") not in _ENDED:
            for resource, wanted in requests_of(pod).items():
                free[resource] -= wanted
    return free


def without_room(displaced: list[Object], others: list[Object], pods: list[Object]) -> list[str]:
    """The names of those displaced pods that no other node could take.

    They are placed in turn, each where most memory is left.
    """
    free = {name_of(node): free_on(node, pods) for node in others}
    homeless = []
    for pod in displaced:
        wanted = requests_of(pod)
        fitting = [name for name, left in free.items() if all(left[key] >= wanted[key] for key in wanted)]
        if not fitting:
            homeless.append(name_of(pod))
            continue
        roomiest = max(fitting, key=lambda name: free[name]["memory"])
        for key, value in wanted.items():
            free[roomiest][key] -= value
    return homeless


def choose(snapshot: Snapshot, wanted: str) -> Object:
    """The node to drain: the one named, or the worker that carries most of the site.

    Raises:
        Refusal: there is no such node, or none that may be drained.
    """
    by_name = {name_of(node): node for node in snapshot.nodes}
    if wanted != "auto":
        if wanted not in by_name:
            raise Refusal(
                f"There is no node {wanted}: fault_node is one of {', '.join(sorted(by_name))}, or auto."
            )
        node = by_name[wanted]
        if is_control_plane(node) and sum(map(is_control_plane, snapshot.nodes)) == 1:
            raise Refusal(
                f"{wanted} is the only control plane: nothing could bring up replacements without it. "
                "Choose a worker, or fault_node=auto."
            )
        if not snapshot.on(wanted):
            carriers = sorted({of(pod, "spec", "nodeName", default="") for pod in snapshot.site_pods})
            raise Refusal(
                f"{wanted} carries no pod of the site, so nothing would fail over: "
                f"choose one of {', '.join(carriers)}, "
                "or run `ansible-playbook setup.yml`, which spreads the pods anew."
            )
        return node
    candidates = [
        node
        for node in snapshot.nodes
        if not is_control_plane(node) and is_schedulable(node) and snapshot.on(name_of(node))
    ]
    if not candidates:
        raise Refusal(
            "No schedulable worker carries a pod of the site: "
            "run `ansible-playbook setup.yml`, which spreads the pods anew."
        )
    return min(candidates, key=lambda node: (-len(snapshot.on(name_of(node))), name_of(node)))


def judge(snapshot: Snapshot, wanted: str) -> str:
    """The name of the node to drain.

    Args:
        snapshot: the cluster as it is.
        wanted: a node's name, or ``auto``.

    Raises:
        Refusal: the drain could not succeed.
    """
    schedulable = [node for node in snapshot.nodes if is_schedulable(node)]
    if len(schedulable) < 2:
        raise Refusal(
            f"Only {len(schedulable)} of {len(snapshot.nodes)} nodes takes pods: a drain needs two. "
            "Uncordon one (`ansible-playbook recover.yml` undoes what the lab did), "
            "or add one (`ansible-playbook setup.yml -e cluster_nodes=3`)."
        )
    node = choose(snapshot, wanted)
    ready = [pod for pod in snapshot.site_pods if is_ready(pod)]
    if len(ready) < 2:
        raise Refusal(
            f"Only {len(ready)} of the site's pods is ready: with fewer than two, a drain is an outage. "
            "Set site_replicas to 2 or more and run `ansible-playbook setup.yml`."
        )
    for budget in snapshot.budgets:
        selector = of(budget, "spec", "selector", "matchLabels", default={})
        own = of(snapshot.deployment, "spec", "template", "metadata", "labels", default={})
        if selector.items() <= own.items() and of(budget, "status", "disruptionsAllowed", default=0) < 1:
            raise Refusal(
                f"The disruption budget {name_of(budget)} allows no eviction now "
                f"({of(budget, 'status', 'currentHealthy', default=0)} healthy of "
                f"{of(budget, 'status', 'desiredHealthy', default=0)} that must be): "
                "wait until the site is whole, or loosen it."
            )
    others = [other for other in schedulable if name_of(other) != name_of(node)]
    homeless = without_room(snapshot.on(name_of(node)), others, snapshot.pods)
    if homeless:
        raise Refusal(
            f"There is no room for {', '.join(homeless)} on "
            f"{', '.join(map(name_of, others)) or 'any other node'}: "
            "add a node, or lower site_replicas or site_resources."
        )
    return name_of(node)
