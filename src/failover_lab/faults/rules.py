"""May this node be broken? Judged from a snapshot of the cluster, before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.faults import evictions, kinds, quota, replaced, rolling
from failover_lab.faults.capacity import without_room
from failover_lab.faults.placement import meant
from failover_lab.kube import zones
from failover_lab.kube.application import alike, is_ours
from failover_lab.kube.names import CONTROL_PLANE, OUT_OF_SERVICE, PRIMARY
from failover_lab.kube.objects import (
    ENDED,
    Object,
    claims_of,
    is_orphan,
    is_ready,
    is_schedulable,
    keeps_data,
    name_of,
    of,
    stays_on_node,
    title,
)
from failover_lab.kube.reach import may_announce

if TYPE_CHECKING:
    from failover_lab.kube.application import Application
    from failover_lab.nodes import reported


class Refusal(UserError):  # noqa: N818 - it is an answer, not a mishap
    """One sentence: why not, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        kind: of the fault.
        node: a name, ``auto``, ``announcer``, ``other``, ``primary`` or ``leader``.
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

    def moving(self, node: str) -> list[Object]:
        """Every pod on this node, whoever's, that a drain evicts; those on their way already left aside."""
        return [
            pod
            for pod in self.pods
            if of(pod, "spec", "nodeName") == node
            and not of(pod, "metadata", "deletionTimestamp")
            and not stays_on_node(pod)
        ]

    def on(self, node: str) -> list[Object]:
        """The application's pods on this node."""
        return [pod for pod in self.site_pods if of(pod, "spec", "nodeName") == node]

    def struck(self, node: str, wanted: Wanted) -> list[Object]:
        """The application's pods that a fault of this node would take; a drain leaves a DaemonSet's."""
        if wanted.fault.takes == "application":
            return self.site_pods
        pods = [pod for pod in self.on(node) if not (wanted.fault.evicts and stays_on_node(pod))]
        if not wanted.fault.spares_node or wanted.pods == "all":
            return pods
        # One that serves, if there is one: the loss of another would show nothing.
        return sorted(pods, key=lambda pod: not is_ready(pod))[:1]

    def displaced(self, node: str, wanted: Wanted) -> list[Object]:
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


def choose(snapshot: Snapshot, wanted: Wanted) -> Object:
    """The node to break.

    Raises:
        Refusal: there is no such node, or none that may be broken.
    """
    if wanted.node in ("announcer", "other") and snapshot.announcer is None:
        raise Refusal(
            f"Nobody says which node announces the address, so fault_node={wanted.node} cannot be told: "
            + ("wait until the site is whole (`ansible-playbook status.yml`), or " if snapshot.own else "")
            + "choose a node by its name."
        )
    if wanted.node in ("auto", "other"):
        return _any_worker(snapshot, wanted)
    by_name = {name_of(node): node for node in snapshot.nodes}
    name = {"announcer": snapshot.announcer, "primary": _primary(snapshot), "leader": snapshot.leader}.get(
        wanted.node, wanted.node
    )
    if not name:
        raise Refusal(
            f"Nobody says which node is the {wanted.node}: choose one by its name, of "
            f"{', '.join(sorted(by_name))}."
        )
    if name.startswith("zone:"):
        inside = sorted(one for one in by_name if zones.zone_of(by_name[one]) == name.removeprefix("zone:"))
        raise Refusal(
            f"fault_node={name} would take several nodes at once, which no kind can do yet: choose one of "
            f"{', '.join(inside) or ', '.join(sorted(by_name))}."
        )
    if name not in by_name:
        raise Refusal(
            f"There is no node {name}: fault_node is one of {', '.join(sorted(by_name))}, "
            "or auto, announcer, other, primary, leader."
        )
    _check(by_name[name], snapshot, wanted)
    return by_name[name]


def _primary(snapshot: Snapshot) -> str:
    """The node that minikube began the cluster with; empty: it was not minikube."""
    marked = (n for n in snapshot.nodes if of(n, "metadata", "labels", PRIMARY) == "true")
    return next(map(name_of, marked), "")


def _any_worker(snapshot: Snapshot, wanted: Wanted) -> Object:
    controls = snapshot.controls
    sound = [
        node
        for node in snapshot.nodes
        if is_schedulable(node) and snapshot.on(name_of(node)) and not faults_of(node, snapshot)
    ]
    candidates = [
        node
        for node in sound
        if name_of(node) not in controls
        and not (wanted.node == "other" and name_of(node) == snapshot.announcer)
    ]
    if wanted.fault.spares_node and controls >= {name_of(node) for node in snapshot.nodes}:
        # Its node lives on, whatever runs there.
        candidates = [node for node in sound if wanted.node == "auto" or name_of(node) != snapshot.announcer]
    if not candidates:
        raise Refusal(_no_worker(snapshot, wanted))
    return min(candidates, key=lambda node: (-len(snapshot.on(name_of(node))), name_of(node)))


def _no_worker(snapshot: Snapshot, wanted: Wanted) -> str:
    """Why there is no node to choose, and what helps."""
    names = {name_of(node) for node in snapshot.nodes}
    if names <= snapshot.controls:
        may = [name for name in sorted(names) if _may_be_named(name, snapshot, wanted)]
        helps = (
            f"choose one by its name (fault_node={may[0]})"
            if may
            else f"choose fault_kind={_sparing()}, or add a worker (`ansible-playbook setup.yml -e "
            f"cluster_nodes={len(names) + 1}`, where the lab made the cluster)"
        )
        return f"Every node is a control plane, and fault_node={wanted.node} takes none of them: {helps}."
    which = " that does not announce the address" if wanted.node == "other" else ""
    return f"No schedulable worker{which} carries a pod of {snapshot.called}: {_spread_anew(snapshot)}."


def _sparing() -> str:
    """A kind that may be chosen where no node can be spared."""
    return kinds.first(lambda kind: kind.spares_node)


def _may_be_named(name: str, snapshot: Snapshot, wanted: Wanted) -> bool:
    node = next(item for item in snapshot.nodes if name_of(item) == name)
    try:
        _check(node, snapshot, wanted)
    except Refusal:
        return False
    return True


def _spread_anew(snapshot: Snapshot) -> str:
    """What helps where the pods are not where they should be."""
    if not snapshot.own:
        return "have its pods placed on more workers (topologySpreadConstraints), which the lab does not do"
    names = {name_of(node) for node in snapshot.nodes}
    workers = [
        node for node in snapshot.nodes if is_schedulable(node) and name_of(node) not in snapshot.controls
    ]
    if workers and len([node for node in snapshot.nodes if is_schedulable(node)]) > 1:
        return "run `ansible-playbook setup.yml`, which spreads the pods anew"
    cordoned = [name_of(node) for node in snapshot.nodes if of(node, "spec", "unschedulable", default=False)]
    if cordoned:
        return (
            f"uncordon {', '.join(cordoned)} (`ansible-playbook recover.yml` undoes what the lab did), then "
            "run `ansible-playbook setup.yml`, which spreads the pods anew"
        )
    return _add_a_node(len(names) + 1)


def _add_a_node(count: int) -> str:
    return (
        f"add a node (`ansible-playbook setup.yml -e cluster_nodes={count}`, where the lab made the cluster)"
    )


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
    controls = len(snapshot.controls)
    workers = len(snapshot.nodes) > controls
    instead = (
        "Choose a worker, or fault_node=auto."
        if workers
        else f"Choose fault_kind={_sparing()}, or add a node."
    )
    if not wanted.fault.spares_node and name in snapshot.controls:
        announces = ", and it announces the address" if wanted.node == "announcer" else ""
        if controls == 1:
            raise Refusal(
                f"{name} is the only control plane{announces}: nothing could bring up replacements without "
                f"it. {instead}"
            )
        lost = [
            name_of(other)
            for other in snapshot.nodes
            if name_of(other) in snapshot.controls - {name}
            and (not is_ready(other) or faults_of(other, snapshot))
        ]
        if wanted.fault.takes_node and 2 * (controls - 1 - len(lost)) <= controls:
            already = (
                f", of which {' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} lost already"
                if lost
                else ""
            )
            raise Refusal(
                f"{name} is one of {controls} control planes{already}{announces}: those that are left would "
                f"be no majority. {instead}"
            )
    if not snapshot.on(name):
        carriers = sorted({of(pod, "spec", "nodeName", default="") for pod in snapshot.site_pods})
        raise Refusal(
            f"{name} carries no pod of {snapshot.called}, so nothing would fail over: "
            f"choose one of {', '.join(carriers)}, or {_spread_anew(snapshot)}."
        )


def last_replica(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why the fault would leave nobody who serves; nothing overrides it.

    Of an application as it is, that is what somebody wants to see: ``outage`` tells of it.
    """
    ready = [pod for pod in snapshot.site_pods if is_ready(pod)]
    if not snapshot.own:
        return None if ready else _none_ready(snapshot)
    if wanted.fault.takes == "application":
        return None
    if len(ready) < 2:
        return (
            f"Only {len(ready)} of the site's pods is ready: with fewer than two, a {wanted.kind} is an "
            "outage. Set site_replicas to 2 or more and run `ansible-playbook setup.yml`."
        )
    struck = {name_of(pod) for pod in snapshot.struck(node, wanted)}
    if not wanted.fault.evicts and struck >= {name_of(pod) for pod in ready}:
        return (
            f"All {len(ready)} ready pods of the site are on {node}: a {wanted.kind} is an outage. "
            + ("Leave out fault_pods=all, or " if wanted.fault.spares_node else "First ")
            + f"{_spread_anew(snapshot)}."
        )
    return None


def _none_ready(snapshot: Snapshot) -> str:
    services = ", ".join(map(name_of, snapshot.application.services))
    return (
        f"None of {len(snapshot.site_pods)} pods behind the Service {services} in namespace "
        f"{snapshot.namespace} is ready, so there is nothing to fail over: bring the application up first."
    )


def outage(snapshot: Snapshot, node: str, wanted: Wanted) -> str:
    """Why a loss of service is to be expected, whatever happens then; empty: it is not."""
    if wanted.fault.takes == "share":
        return ""
    if wanted.fault.takes == "application":
        return rolling.outage(snapshot.application)
    ready = [name_of(pod) for pod in snapshot.site_pods if is_ready(pod)]
    struck = {name_of(pod) for pod in snapshot.struck(node, wanted)}
    if not ready or not struck >= {*ready} or (wanted.fault.evicts and len(ready) > 1):
        return ""
    who = f"{ready[0]} alone is ready" if len(ready) == 1 else f"all {len(ready)} ready pods are on {node}"
    next_one = "another" if wanted.fault.replaces_pods else "it" if len(ready) == 1 else "one of them"
    again = "" if wanted.fault.replaces_pods else " again"
    return (
        f"{who}, and this {wanted.kind} takes {'it' if len(ready) == 1 else 'them'}: until {next_one} is "
        f"ready{again} nobody serves, {rolling.NOT_JUDGED}"
    )


def too_few_nodes(snapshot: Snapshot, _node: str, wanted: Wanted) -> str | None:
    """Why there is nowhere to go."""
    schedulable = [node for node in snapshot.nodes if is_schedulable(node)]
    if not wanted.fault.moves_pods or len(schedulable) >= 2:
        return None
    remedies = []
    closed = [
        name_of(node)
        for node in snapshot.nodes
        if of(node, "spec", "unschedulable", default=False) or not is_ready(node)
    ]
    if closed:
        remedies.append(
            f"bring back {', '.join(closed)} (`ansible-playbook recover.yml` undoes what the lab did; a "
            "cordon of somebody else's, `kubectl uncordon`)"
        )
    tainted = [
        name_of(node) for node in snapshot.nodes if node not in schedulable and name_of(node) not in closed
    ]
    if tainted:
        remedies.append(f"take the taints off {', '.join(tainted)}")
    remedies += [
        _add_a_node(max(3, len(snapshot.nodes) + 1)),
        f"choose fault_kind={_sparing()}, which needs one",
    ]
    takes = "takes" if len(schedulable) == 1 else "take"
    return (
        f"Only {len(schedulable)} of {len(snapshot.nodes)} nodes {takes} pods: a {wanted.kind} needs two. "
        f"One of these helps: {'; '.join(remedies)}."
    )


def nothing_brings_it_back(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why a pod would end for good: anybody's that a drain evicts, or one of the application."""
    if not wanted.fault.replaces_pods:
        # Its containers start again where they are.
        return None
    pods = snapshot.moving(node) if wanted.fault.evicts else snapshot.struck(node, wanted)
    if orphans := [title(pod) for pod in pods if is_orphan(pod)]:
        has = "has" if len(orphans) == 1 else "have"
        return (
            f"{', '.join(orphans)} on {node} {has} no controller: nothing would bring "
            f"{'it' if len(orphans) == 1 else 'them'} back. Delete {'it' if len(orphans) == 1 else 'them'}, "
            "give it a Deployment, or choose another node; fault_may_lose=orphans lets "
            f"{'it' if len(orphans) == 1 else 'them'} go for good."
        )
    return None


def data_would_go(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why a drain would destroy what somebody else's pods keep; the application's own is at stake anyway."""
    if not wanted.fault.evicts:
        return None
    pods = [
        title(pod)
        for pod in snapshot.moving(node)
        if keeps_data(pod)
        and not snapshot.application.selects(pod)
        and not is_ours(pod)
        and of(pod, "status", "phase") not in ENDED
    ]
    if not pods:
        return None
    keep, have = ("keeps", "has") if len(pods) == 1 else ("keep", "have")
    return (
        f"{', '.join(pods)} on {node} {keep} data in an emptyDir, and {have} no part in this: an eviction "
        "deletes it. Choose a node without such a pod; fault_may_lose=emptydir lets it go."
    )


def held_by_its_node(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why nobody would take the place of a StatefulSet's pods while their node is lost."""
    if not wanted.fault.loses_node:
        return None
    held = [
        name_of(pod)
        for pod in snapshot.struck(node, wanted)
        if replaced.is_held(pod, wanted.fault, wanted.recovery)
    ]
    if not held:
        return None
    others = [who for who in wanted.fault.recoveries if who != wanted.recovery]
    return (
        f"{', '.join(held)} on {node} belong to a StatefulSet, of which there are never two of one name: "
        f"nobody takes their place before {node} is back, or is known to be dead. Choose "
        f"fault_recovery={others[0]}; fault_force=true goes on, and waits for no replacement of theirs."
    )


def two_budgets(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why a pod can never be evicted: the API server answers with an error where two budgets select it."""
    if not wanted.fault.evicts:
        return None
    for pod in snapshot.moving(node):
        if len(found := evictions.budgets_of(pod, snapshot.budgets)) > 1:
            return (
                f"{title(pod)} on {node} is selected by {len(found)} disruption budgets, "
                f"{' and '.join(title(budget) for budget in found)}: the API server evicts no pod "
                "that has more than one. Remove one, or narrow its selector."
            )
    return None


def budget_forbids(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why a pod may not be evicted. Only a drain asks; whoever dies does not."""
    if not wanted.fault.evicts:
        return None
    held: dict[str, tuple[Object, list[str]]] = {}
    for pod in snapshot.moving(node):
        for budget in evictions.budgets_of(pod, snapshot.budgets):
            if not evictions.allows(budget, pod):
                held.setdefault(title(budget), (budget, []))[1].append(name_of(pod))
    if not held:
        return None
    namespaces = sorted({budget["metadata"]["namespace"] for budget, _ in held.values()})
    whole = (
        f"{snapshot.called} is"
        if namespaces == [snapshot.namespace]
        else f"what is in {', '.join(namespaces)} is"
    )
    told = "; the ".join(
        f"disruption budget {name_of(budget)} allows no eviction now ({evictions.why_not(budget)}), so "
        f"{', '.join(pods)} in the namespace {budget['metadata']['namespace']} would stay on {node}"
        for budget, pods in held.values()
    )
    never = all(evictions.never_allows(budget) for budget, _ in held.values())
    wait = "" if never else f"wait until {whole} whole, "
    return f"The {told}: {wait}loosen it, or choose a node without such a pod."


def quota_forbids(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why a replacement would be refused, so that fewer pods serve and the budget lets no other go."""
    if wanted.fault.takes == "application":
        # What goes and what comes is its own strategy's affair.
        return None
    for pods in alike(snapshot.displaced(node, wanted)):
        # A drain evicts one after the other, as the budget lets it.
        count = 1 if wanted.fault.evicts else len(pods)
        if objection := quota.objection(snapshot.quotas, snapshot.limit_ranges, pods[0], count):
            return objection
    return None


def volume_stays(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why no replacement could start elsewhere: what its volume is on is the node itself."""
    if not wanted.fault.moves_pods:
        return None
    others = [item for item in snapshot.nodes if name_of(item) != node and is_schedulable(item)]
    struck = claims_of(snapshot.displaced(node, wanted))
    for volume in snapshot.volumes:
        # The pods of the lab's site share theirs; each of a StatefulSet has its own.
        if not snapshot.own and of(volume, "spec", "claimRef", "name") not in struck:
            continue
        required = of(volume, "spec", "nodeAffinity", "required")
        if required is not None and not any(meant(required, item) for item in others):
            claim = of(volume, "spec", "claimRef", "name", default="")
            return (
                f"{snapshot.called.capitalize()}'s pods use the volume {name_of(volume)} (claim {claim}), "
                "which none of the nodes "
                f"that would be left can reach: no replacement could start. Choose fault_kind={_sparing()}, "
                "another node, or a volume that more than one node can reach."
            )
    return None


def no_room(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why those that lose their place would find no other."""
    struck = snapshot.struck(node, wanted) if wanted.fault.replaces_pods else []
    lost = node if wanted.fault.moves_pods else None
    nodes = [gone(item) if name_of(item) == lost else item for item in snapshot.nodes]
    taken = {item["metadata"]["uid"] for item in struck}
    staying = [pod for pod in snapshot.pods if pod["metadata"]["uid"] not in taken]
    # A DaemonSet's is told its node, and has its place there.
    kinds_of_pods = alike(pod for pod in snapshot.displaced(node, wanted) if not stays_on_node(pod))
    homeless = [name for pods in kinds_of_pods for name in without_room(pods, nodes, staying)]
    if not homeless:
        return None
    others = [name_of(item) for item in nodes if is_schedulable(item)]
    return f"There is no room for {', '.join(homeless)} on {', '.join(others) or 'any other node'}: " + (
        "add a node, or lower site_replicas or site_resources."
        if snapshot.own
        else "add a node, or make room."
    )


def gone(node: Object) -> Object:
    """A node as the scheduler sees it once it is lost or cordoned."""
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
    spec = of(node, "spec", default={})
    return node | {"spec": spec | {"taints": [*of(spec, "taints", default=[]), taint]}}


def evictions_would_stop(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why the orchestrator would bring up no replacements: with so many nodes lost, it trusts nobody."""
    if not wanted.fault.loses_node:
        return None
    lost = [name_of(item) for item in snapshot.nodes if not is_ready(item) or name_of(item) == node]
    chosen = next(item for item in snapshot.nodes if name_of(item) == node)
    if zones.rates(snapshot.nodes, lost)[zones.zone_of(chosen)]:
        return None
    return (
        f"With {node}, {len(lost)} of {len(snapshot.nodes)} nodes would be lost ({', '.join(lost)}): "
        f"from {zones.PARTIAL_AT:.0%} on, Kubernetes stops replacing what they carried. "
        "Run `ansible-playbook recover.yml`, which brings back what the lab has broken."
    )


def nobody_else_announces(snapshot: Snapshot, node: str, wanted: Wanted) -> str | None:
    """Why users would have no address before the node is back, whoever replaces its pods."""
    if not wanted.fault.silent or snapshot.announcer != node:
        return None
    if snapshot.pinned:
        return (
            f"The address that is asked is {node}'s own, and moves nowhere: a {wanted.kind} is an outage "
            "until it is back. Give a witness_url that leads to any node, or set fault_force=true."
        )
    if any(may_announce(item) for item in snapshot.nodes if name_of(item) != node):
        return None
    return (
        f"{node} announces the address, and no other node may: a {wanted.kind} is an outage until it is "
        "back. Add a node (`ansible-playbook setup.yml -e cluster_nodes=3`), or set fault_force=true."
    )


Rule = Callable[[Snapshot, str, Wanted], str | None]
# Each gives one sentence, or None. Those of the second kind are a matter of taste: the fault would work, and
# only show something else than a failover.
_NEVER: tuple[Rule, ...] = (rolling.cannot, last_replica, two_budgets)
#: What may be lost for good, by the word that allows it.
LOSSES: dict[str, Rule] = {"orphans": nothing_brings_it_back, "emptydir": data_would_go}
_TASTE: tuple[Rule, ...] = (
    too_few_nodes,
    budget_forbids,
    quota_forbids,
    volume_stays,
    no_room,
    evictions_would_stop,
    nobody_else_announces,
    held_by_its_node,
    rolling.had_better_not,
)


def judge(snapshot: Snapshot, wanted: Wanted) -> tuple[str, list[str]]:
    """The name of the node to break, and the objections that were overridden.

    Raises:
        Refusal: the fault must not be, or would not show what it is for.
    """
    if not wanted.force and (objection := too_few_nodes(snapshot, "", wanted)):
        raise Refusal(objection)
    # A rollout takes none.
    node = "" if wanted.fault.takes == "application" else name_of(choose(snapshot, wanted))
    lost = [rule for name, rule in LOSSES.items() if name in wanted.may_lose]
    for sentence in _objections(
        (*_NEVER, *(rule for rule in LOSSES.values() if rule not in lost)), snapshot, node, wanted
    ):
        raise Refusal(sentence)
    objections = list(_objections(_TASTE, snapshot, node, wanted))
    if objections and not wanted.force:
        raise Refusal(objections[0])
    return node, [*_objections(lost, snapshot, node, wanted), *objections]


def _objections(rules: Sequence[Rule], snapshot: Snapshot, node: str, wanted: Wanted) -> Iterator[str]:
    for rule in rules:
        if sentence := rule(snapshot, node, wanted):
            yield sentence
