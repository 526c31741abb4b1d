"""What is asked for, and the cluster as it is before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.faults import kinds, replaced
from failover_lab.kube.names import CONTROL_PLANE, OUT_OF_SERVICE
from failover_lab.kube.objects import Object, is_ready, name_of, of, stays_on_node

if TYPE_CHECKING:
    from failover_lab.faults.target import Target
    from failover_lab.kube.application import Application
    from failover_lab.nodes import reported


class Refusal(UserError):  # noqa: N818 - it is an answer, not a mishap
    """One sentence: why not, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        kind: of the fault.
        node: a name, ``auto``, ``announcer``, ``other``, ``primary``, ``leader``, or ``zone:NAME``.
        pods: of a kind that spares the node: ``one`` or ``all`` of the site's on it.
        force: what is a matter of taste does not count.
        may_lose: what may be lost for good: some of ``LOSSES``.
        recovery: who gives a lost node's work away.
        image: what a rollout gives the application; empty: its own, started anew.
    """

    kind: str = "drain"
    node: str = "auto"
    pods: str = "one"
    force: bool = False
    may_lose: tuple[str, ...] = ()
    recovery: str = "automatic"
    image: str = ""

    @property
    def fault(self) -> kinds.Kind:
        """The row of the kind."""
        return kinds.of(self.kind)


@dataclass
class Snapshot:
    """The objects that the rules look at, as the API gives them.

    Attributes:
        pods: every pod of the cluster.
        budgets: every disruption budget of the cluster.
        application: what users get answers from.
        announcer: the node that announces the address; None where nobody says.
        engine: what it says of each node, as `reported.by_name` gives it; empty where it was not asked.
        quotas: in the application's namespace.
        limit_ranges: the same.
        volumes: those that the application's pods claim.
        pinned: whether the address is that of ``announcer`` itself, and never moves.
        leader: the node whose controller manager leads; empty where nobody says.
        site_pods: the application's own, those on their way out left aside, by name.
    """

    nodes: list[Object]
    pods: list[Object]
    application: Application
    budgets: list[Object]
    announcer: str | None = None
    engine: dict[str, reported.Seen] = field(default_factory=dict)
    quotas: list[Object] = field(default_factory=list)
    limit_ranges: list[Object] = field(default_factory=list)
    volumes: list[Object] = field(default_factory=list)
    pinned: bool = False
    leader: str = ""
    site_pods: list[Object] = field(init=False)

    def __post_init__(self) -> None:
        """Find the application's pods among all."""
        self.site_pods = self.application.pods_among(self.pods)

    @property
    def controls(self) -> set[str]:
        """The names of the control planes."""
        return control_planes(self.nodes, self.pods)

    @property
    def own(self) -> bool:
        """Whether it is the lab's own site, which setup.yml can put right."""
        return self.application.own

    @property
    def called(self) -> str:
        """What a sentence calls the application."""
        return self.application.called

    @property
    def namespace(self) -> str:
        """The application's."""
        return self.application.namespace

    def moving(self, node: Target) -> list[Object]:
        """Every pod there, whoever's, that a drain evicts; those on their way already left aside."""
        return [
            pod
            for pod in self.pods
            if of(pod, "spec", "nodeName") in node
            and not of(pod, "metadata", "deletionTimestamp")
            and not stays_on_node(pod)
        ]

    def on(self, node: str) -> list[Object]:
        """The application's pods on this node."""
        return [pod for pod in self.site_pods if of(pod, "spec", "nodeName") == node]

    def there(self, node: Target) -> list[Object]:
        """The application's pods on what is to be broken."""
        return [pod for pod in self.site_pods if of(pod, "spec", "nodeName") in node]

    def struck(self, node: Target, wanted: Wanted) -> list[Object]:
        """The application's pods that a fault there would take; a drain leaves a DaemonSet's."""
        if wanted.fault.takes == "application":
            return self.site_pods
        pods = [pod for pod in self.there(node) if not (wanted.fault.evicts and stays_on_node(pod))]
        if not wanted.fault.spares_node or wanted.pods == "all":
            return pods
        # One that serves, if there is one: the loss of another would show nothing.
        return sorted(pods, key=lambda pod: not is_ready(pod))[:1]

    def displaced(self, node: Target, wanted: Wanted) -> list[Object]:
        """Those of them in whose place others come."""
        fault, recovery = wanted.fault, wanted.recovery
        if not fault.replaces_pods:
            return []
        return [pod for pod in self.struck(node, wanted) if not replaced.never(pod, fault, recovery)]


def control_planes(nodes: list[Object], pods: list[Object]) -> set[str]:
    """The names of the nodes that the control plane runs on; one that has joined anew may lack the label."""
    serving = {
        str(of(pod, "spec", "nodeName"))
        for pod in pods
        if pod["metadata"].get("namespace") == "kube-system"
        and of(pod, "metadata", "labels", "component") == "kube-apiserver"
    }
    return {
        name_of(node)
        for node in nodes
        if CONTROL_PLANE in of(node, "metadata", "labels", default={}) or name_of(node) in serving
    }


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
