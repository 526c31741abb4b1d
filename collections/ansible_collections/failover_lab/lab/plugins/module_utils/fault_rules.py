"""May this node be broken? Judged from a snapshot of the cluster, before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.failover_lab.lab.plugins.module_utils.cluster import (
    Object,
    is_ready,
    is_schedulable,
    of,
)
from ansible_collections.failover_lab.lab.plugins.module_utils.room import ENDED, name_of, without_room

if TYPE_CHECKING:
    from ansible_collections.failover_lab.lab.plugins.module_utils import engine

# Written onto a node in the same request that cordons it: who did it, so that only this is ever undone.
CORDONED_BY = "failover-lab/cordoned-by"
# The same, for a node that a run has left dead because it was told to.
LEFT_BY = "failover-lab/left-by"
# The same, for a node that was started and may not announce the address yet.
EXCLUDED_BY = "failover-lab/excluded-by"
# The package's own, for a node that a watchdog or an operator has given up.
OUT_OF_SERVICE_BY = "failover-lab/out-of-service-by"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
# With this label, which kubeadm gives to control planes, no node announces an address.
EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
# Kinds that take the whole node from the cluster, without a word.
SUDDEN = ("kill", "freeze", "partition", "kubelet")
# Kinds after which nothing of the node answers; without a kubelet, all else goes on.
_SILENT = ("kill", "freeze", "partition")
# From then on the node controller stops evicting (its flag --unhealthy-zone-threshold, and not below three
# nodes).
_STOPS_AT_SHARE = 0.55
_STOPS_AT_NODES = 3


class Refusal(Exception):  # noqa: N818 - it is an answer, not a mishap
    """One sentence: why not, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        kind: of the fault.
        node: a name, ``auto``, ``announcer`` or ``other``.
        pods: of kind ``pod``: ``one`` or ``all`` of the site's on the node.
        force: what is a matter of taste does not count.
    """

    kind: str = "drain"
    node: str = "auto"
    pods: str = "one"
    force: bool = False


@dataclass
class Snapshot:
    """The objects that the rules look at, as the API gives them.

    Attributes:
        pods: every pod of the cluster.
        budgets: the disruption budgets in the Deployment's namespace.
        announcer: the node that announces the address; None where nobody says.
        engine: what the engine says of each node, as `engine.by_name` gives it; empty where it was not asked.
        site_pods: the Deployment's own, those on their way out left aside, by name.
    """

    nodes: list[Object]
    pods: list[Object]
    deployment: Object
    budgets: list[Object]
    announcer: str | None = None
    engine: dict[str, engine.Seen] = field(default_factory=dict)
    site_pods: list[Object] = field(init=False)

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
                and of(pod, "status", "phase") not in ENDED
            ),
            key=lambda pod: str(pod["metadata"]["name"]),
        )

    def on(self, node: str) -> list[Object]:
        """The site's pods on this node."""
        return [pod for pod in self.site_pods if of(pod, "spec", "nodeName") == node]

    def struck(self, node: str, wanted: Wanted) -> list[Object]:
        """The site's pods that a fault of this node would take."""
        pods = self.on(node)
        if wanted.kind != "pod" or wanted.pods == "all":
            return pods
        # One that serves, if there is one: the loss of another would show nothing.
        return sorted(pods, key=lambda pod: not is_ready(pod))[:1]


def is_control_plane(node: Object) -> bool:
    """Whether the control plane runs here."""
    return CONTROL_PLANE in of(node, "metadata", "labels", default={})


def faults_of(node: Object, snapshot: Snapshot) -> list[str]:
    """What is wrong with a node already, in words; a cordon is no fault."""
    seen = snapshot.engine.get(name_of(node))
    if snapshot.engine and seen is None:
        return ["it has no container"]
    faults = list(seen.faults) if seen else []
    if any(taint["key"] == OUT_OF_SERVICE for taint in of(node, "spec", "taints", default=[])):
        faults.append("it is marked out of service")
    if not faults and not is_ready(node):
        faults.append("it is not ready")
    return faults


def choose(snapshot: Snapshot, wanted: Wanted) -> Object:
    """The node to break.

    Raises:
        Refusal: there is no such node, or none that may be broken.
    """
    if wanted.node in ("announcer", "other") and snapshot.announcer is None:
        raise Refusal(
            f"Nobody says which node announces the address, so fault_node={wanted.node} cannot be told: "
            "wait until the site is whole (`ansible-playbook status.yml`), or choose a node by its name."
        )
    if wanted.node in ("auto", "other"):
        return _any_worker(snapshot, wanted)
    by_name = {name_of(node): node for node in snapshot.nodes}
    name = str(snapshot.announcer) if wanted.node == "announcer" else wanted.node
    if name not in by_name:
        raise Refusal(
            f"There is no node {name}: fault_node is one of {', '.join(sorted(by_name))}, "
            "or auto, announcer, other."
        )
    _check(by_name[name], snapshot, wanted)
    return by_name[name]


def _any_worker(snapshot: Snapshot, wanted: Wanted) -> Object:
    candidates = [
        node
        for node in snapshot.nodes
        if not is_control_plane(node)
        and is_schedulable(node)
        and snapshot.on(name_of(node))
        and not faults_of(node, snapshot)
        and not (wanted.node == "other" and name_of(node) == snapshot.announcer)
    ]
    if not candidates:
        which = " that does not announce the address" if wanted.node == "other" else ""
        raise Refusal(
            f"No schedulable worker{which} carries a pod of the site: "
            "run `ansible-playbook setup.yml`, which spreads the pods anew."
        )
    return min(candidates, key=lambda node: (-len(snapshot.on(name_of(node))), name_of(node)))


def _check(node: Object, snapshot: Snapshot, wanted: Wanted) -> None:
    """What holds for a node that was named; nothing overrides it.

    Raises:
        Refusal: it may not be broken.
    """
    name = name_of(node)
    faults = faults_of(node, snapshot)
    if faults:
        raise Refusal(
            f"{name} is faulted already ({', '.join(faults)}): "
            "run `ansible-playbook recover.yml` first, or choose another node."
        )
    controls = sum(map(is_control_plane, snapshot.nodes))
    if wanted.kind != "pod" and is_control_plane(node):
        announces = ", and it announces the address" if wanted.node == "announcer" else ""
        if controls == 1:
            raise Refusal(
                f"{name} is the only control plane{announces}: nothing could bring up replacements without "
                "it. Choose a worker, or fault_node=auto."
            )
        if wanted.kind in SUDDEN and 2 * (controls - 1) <= controls:
            raise Refusal(
                f"{name} is one of {controls} control planes{announces}: those that are left would be no "
                "majority. Choose a worker, or fault_node=auto."
            )
    if not snapshot.on(name):
        carriers = sorted({of(pod, "spec", "nodeName", default="") for pod in snapshot.site_pods})
        raise Refusal(
            f"{name} carries no pod of the site, so nothing would fail over: "
            f"choose one of {', '.join(carriers)}, "
            "or run `ansible-playbook setup.yml`, which spreads the pods anew."
        )


def last_replica(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why the fault would leave nobody who serves; nothing overrides it."""
    ready = [pod for pod in snapshot.site_pods if is_ready(pod)]
    if len(ready) < 2:
        return (
            f"Only {len(ready)} of the site's pods is ready: with fewer than two, a {wanted.kind} is an "
            "outage. Set site_replicas to 2 or more and run `ansible-playbook setup.yml`."
        )
    struck = {name_of(pod) for pod in snapshot.struck(node, wanted)}
    if wanted.kind != "drain" and struck >= {name_of(pod) for pod in ready}:
        return (
            f"All {len(ready)} ready pods of the site are on {node}: a {wanted.kind} is an outage. "
            "Run `ansible-playbook setup.yml`, which spreads the pods anew."
        )
    return None


def too_few_nodes(snapshot: Snapshot, _node: str, wanted: Wanted) -> str | None:
    """Why there is nowhere to go."""
    schedulable = [node for node in snapshot.nodes if is_schedulable(node)]
    if wanted.kind == "pod" or len(schedulable) >= 2:
        return None
    return (
        f"Only {len(schedulable)} of {len(snapshot.nodes)} nodes takes pods: a {wanted.kind} needs two. "
        "Uncordon one (`ansible-playbook recover.yml` undoes what the lab did), "
        "or add one (`ansible-playbook setup.yml -e cluster_nodes=3`)."
    )


def budget_forbids(snapshot: Snapshot, _node: str, wanted: Wanted) -> str | None:
    """Why no pod may be evicted. Only a drain asks; whoever dies does not."""
    if wanted.kind != "drain":
        return None
    for budget in snapshot.budgets:
        selector = of(budget, "spec", "selector", "matchLabels", default={})
        own = of(snapshot.deployment, "spec", "template", "metadata", "labels", default={})
        if selector.items() <= own.items() and of(budget, "status", "disruptionsAllowed", default=0) < 1:
            return (
                f"The disruption budget {name_of(budget)} allows no eviction now "
                f"({of(budget, 'status', 'currentHealthy', default=0)} healthy of "
                f"{of(budget, 'status', 'desiredHealthy', default=0)} that must be): "
                "wait until the site is whole, or loosen it."
            )
    return None


def no_room(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why those that lose their place would find no other."""
    struck = snapshot.struck(node, wanted)
    lost = None if wanted.kind == "pod" else node
    nodes = [gone(item) if name_of(item) == lost else item for item in snapshot.nodes]
    taken = {item["metadata"]["uid"] for item in struck}
    staying = [pod for pod in snapshot.pods if pod["metadata"]["uid"] not in taken]
    homeless = without_room(struck, nodes, staying)
    if not homeless:
        return None
    others = [name_of(item) for item in nodes if is_schedulable(item)]
    return (
        f"There is no room for {', '.join(homeless)} on {', '.join(others) or 'any other node'}: "
        "add a node, or lower site_replicas or site_resources."
    )


def gone(node: Object) -> Object:
    """A node as the scheduler sees it once it is lost or cordoned."""
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
    spec = of(node, "spec", default={})
    return node | {"spec": spec | {"taints": [*of(spec, "taints", default=[]), taint]}}


def evictions_would_stop(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why the orchestrator would bring up no replacements: with so many nodes lost, it trusts nobody."""
    if wanted.kind not in SUDDEN:
        return None
    lost = [name_of(item) for item in snapshot.nodes if not is_ready(item) or name_of(item) == node]
    share = len(lost) / len(snapshot.nodes)
    if len(lost) < len(snapshot.nodes) and (len(lost) < _STOPS_AT_NODES or share < _STOPS_AT_SHARE):
        return None
    return (
        f"With {node}, {len(lost)} of {len(snapshot.nodes)} nodes would be lost ({', '.join(lost)}): "
        f"from {_STOPS_AT_SHARE:.0%} on, Kubernetes stops replacing what they carried. "
        "Run `ansible-playbook recover.yml`, which brings back what the lab has broken."
    )


def nobody_else_announces(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why users would have no address before the node is back, whoever replaces its pods."""
    if wanted.kind not in _SILENT or snapshot.announcer != node:
        return None
    others = [item for item in snapshot.nodes if is_ready(item) and name_of(item) != node]
    if any(EXCLUDE not in of(item, "metadata", "labels", default={}) for item in others):
        return None
    return (
        f"{node} announces the address, and no other node may: a {wanted.kind} is an outage until it is "
        "back. Add a node (`ansible-playbook setup.yml -e cluster_nodes=3`), or set fault_force=true."
    )


Rule = Callable[[Snapshot, str, Wanted], str | None]
# Each gives one sentence, or None. Those of the second kind are a matter of taste: the fault would work, and
# only show something else than a failover.
_NEVER: tuple[Rule, ...] = (last_replica,)
_TASTE: tuple[Rule, ...] = (
    too_few_nodes,
    budget_forbids,
    no_room,
    evictions_would_stop,
    nobody_else_announces,
)


def judge(snapshot: Snapshot, wanted: Wanted) -> tuple[str, list[str]]:
    """The name of the node to break, and the objections that were overridden.

    Raises:
        Refusal: the fault must not be, or would not show what it is for.
    """
    if not wanted.force and (objection := too_few_nodes(snapshot, "", wanted)):
        raise Refusal(objection)
    node = name_of(choose(snapshot, wanted))
    for sentence in _objections(_NEVER, snapshot, node, wanted):
        raise Refusal(sentence)
    objections = list(_objections(_TASTE, snapshot, node, wanted))
    if objections and not wanted.force:
        raise Refusal(objections[0])
    return node, objections


def _objections(rules: tuple[Rule, ...], snapshot: Snapshot, node: str, wanted: Wanted) -> Iterator[str]:
    for rule in rules:
        if sentence := rule(snapshot, node, wanted):
            yield sentence
