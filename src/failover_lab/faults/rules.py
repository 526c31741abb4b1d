"""May this be broken? Judged from a snapshot of the cluster, before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from failover_lab.faults import evictions, quota, replaced, rolling
from failover_lab.faults.capacity import without_room
from failover_lab.faults.choice import add_a_node, choose, sparing, spread_anew
from failover_lab.faults.placement import meant
from failover_lab.faults.snapshot import Refusal, Snapshot, Wanted
from failover_lab.faults.target import Target
from failover_lab.kube import zones
from failover_lab.kube.application import alike, is_ours
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


def last_replica(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
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
            + f"{spread_anew(snapshot)}."
        )
    return None


def _none_ready(snapshot: Snapshot) -> str:
    services = ", ".join(map(name_of, snapshot.application.services))
    return (
        f"None of {len(snapshot.site_pods)} pods behind the Service {services} in namespace "
        f"{snapshot.namespace} is ready, so there is nothing to fail over: bring the application up first."
    )


def outage(snapshot: Snapshot, node: Target, wanted: Wanted) -> str:
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


def too_few_nodes(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
    """Why there is nowhere to go."""
    schedulable = [item for item in snapshot.nodes if is_schedulable(item)]
    left = [item for item in schedulable if name_of(item) not in node]
    if not wanted.fault.moves_pods or (left and len(schedulable) >= 2):
        return None
    if node.zone and schedulable:
        return (
            f"{node} has all {len(schedulable)} nodes that take pods: nobody could take their place. Choose "
            f"a node by its name, or {add_a_node(len(snapshot.nodes) + 1)}."
        )
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
        add_a_node(max(3, len(snapshot.nodes) + 1)),
        f"choose fault_kind={sparing()}, which needs one",
    ]
    takes = "takes" if len(schedulable) == 1 else "take"
    return (
        f"Only {len(schedulable)} of {len(snapshot.nodes)} nodes {takes} pods: a {wanted.kind} needs two. "
        f"One of these helps: {'; '.join(remedies)}."
    )


def nothing_brings_it_back(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
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


def data_would_go(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
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


def held_by_its_node(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
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


def two_budgets(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
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


def budget_forbids(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
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


def quota_forbids(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
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


def volume_stays(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
    """Why no replacement could start elsewhere: what its volume is on is the node itself."""
    if not wanted.fault.moves_pods:
        return None
    others = [item for item in snapshot.nodes if name_of(item) not in node and is_schedulable(item)]
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
                f"that would be left can reach: no replacement could start. Choose fault_kind={sparing()}, "
                "another node, or a volume that more than one node can reach."
            )
    return None


def no_room(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
    """Why those that lose their place would find no other."""
    struck = snapshot.struck(node, wanted) if wanted.fault.replaces_pods else []
    lost = node if wanted.fault.moves_pods else Target()
    nodes = [gone(item) if name_of(item) in lost else item for item in snapshot.nodes]
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


def evictions_would_stop(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
    """Why the orchestrator would bring up no replacements: with so many nodes lost, it trusts nobody."""
    if not wanted.fault.loses_node:
        return None
    lost = [name_of(item) for item in snapshot.nodes if not is_ready(item) or name_of(item) in node]
    chosen = next(item for item in snapshot.nodes if name_of(item) in node)
    if zones.rates(snapshot.nodes, lost)[zones.zone_of(chosen)]:
        return None
    return (
        f"With {node}, {len(lost)} of {len(snapshot.nodes)} nodes would be lost ({', '.join(lost)}): "
        f"from {zones.PARTIAL_AT:.0%} on, Kubernetes stops replacing what they carried. "
        "Run `ansible-playbook recover.yml`, which brings back what the lab has broken."
    )


def nobody_else_announces(snapshot: Snapshot, node: Target, wanted: Wanted) -> str | None:
    """Why users would have no address before the node is back, whoever replaces its pods."""
    if not wanted.fault.silent or snapshot.announcer not in node:
        return None
    if snapshot.pinned:
        return (
            f"The address that is asked is {snapshot.announcer}'s own, and moves nowhere: a {wanted.kind} is "
            "an outage until it is back. Give a witness_url that leads to any node, or set fault_force=true."
        )
    if any(may_announce(item) for item in snapshot.nodes if name_of(item) not in node):
        return None
    return (
        f"{snapshot.announcer} announces the address, and no other node may: a {wanted.kind} is an outage "
        "until it is back. Add a node (`ansible-playbook setup.yml -e cluster_nodes=3`), or set "
        "fault_force=true."
    )


Rule = Callable[[Snapshot, Target, Wanted], str | None]
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


def judge(snapshot: Snapshot, wanted: Wanted) -> tuple[Target, list[str]]:
    """What to break, and the objections that were overridden.

    Raises:
        Refusal: the fault must not be, or would not show what it is for.
    """
    if not wanted.force and (objection := too_few_nodes(snapshot, Target(), wanted)):
        raise Refusal(objection)
    # A rollout takes none.
    node = Target() if wanted.fault.takes == "application" else choose(snapshot, wanted)
    lost = [rule for name, rule in LOSSES.items() if name in wanted.may_lose]
    for sentence in _objections(
        (*_NEVER, *(rule for rule in LOSSES.values() if rule not in lost)), snapshot, node, wanted
    ):
        raise Refusal(sentence)
    objections = list(_objections(_TASTE, snapshot, node, wanted))
    if objections and not wanted.force:
        raise Refusal(objections[0])
    return node, [*_objections(lost, snapshot, node, wanted), *objections]


def _objections(rules: Sequence[Rule], snapshot: Snapshot, node: Target, wanted: Wanted) -> Iterator[str]:
    for rule in rules:
        if sentence := rule(snapshot, node, wanted):
            yield sentence
