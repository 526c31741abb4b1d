"""Which node, or which nodes of a zone, or why none may be taken."""

from __future__ import annotations

from failover_lab.faults import kinds
from failover_lab.faults.snapshot import Refusal, Snapshot, Wanted, faults_of
from failover_lab.faults.target import PREFIX, Target
from failover_lab.kube import zones
from failover_lab.kube.names import PRIMARY, ZONE
from failover_lab.kube.objects import Object, is_ready, is_schedulable, name_of, of


def choose(snapshot: Snapshot, wanted: Wanted) -> Target:
    """What to break.

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
        return Target((name_of(_any_worker(snapshot, wanted)),))
    if wanted.node.startswith(PREFIX):
        return _zone(wanted.node.removeprefix(PREFIX), snapshot, wanted)
    by_name = {name_of(node): node for node in snapshot.nodes}
    name = {"announcer": snapshot.announcer, "primary": _primary(snapshot), "leader": snapshot.leader}.get(
        wanted.node, wanted.node
    )
    if not name:
        raise Refusal(
            f"Nobody says which node is the {wanted.node}: choose one by its name, of "
            f"{', '.join(sorted(by_name))}."
        )
    if name not in by_name:
        raise Refusal(
            f"There is no node {name}: fault_node is one of {', '.join(sorted(by_name))}, "
            "or auto, announcer, other, primary, leader, or zone:NAME."
        )
    target = Target((name,))
    _check(target, snapshot, wanted)
    return target


def _zone(zone: str, snapshot: Snapshot, wanted: Wanted) -> Target:
    """All nodes of a zone.

    Raises:
        Refusal: there is no such zone, or it may not be taken so.
    """
    there = sorted({zones.zone_of(node) for node in snapshot.nodes} - {""})
    if not there:
        raise Refusal(
            f"No node is in any zone (its label {ZONE}), so fault_node={PREFIX}{zone} means none: "
            + (
                "`ansible-playbook setup.yml -e cluster_zones=3` gives each its zone, or choose a node "
                "by its name."
                if snapshot.own
                else "choose a node by its name."
            )
        )
    if zone not in there:
        raise Refusal(f"There is no zone {zone}: choose one of {', '.join(PREFIX + one for one in there)}.")
    if not wanted.fault.takes_node:
        raise Refusal(
            f"fault_node={PREFIX}{zone} does not go with fault_kind={wanted.kind}, which takes one node's "
            f"pods: choose a node by its name, or fault_kind={kinds.first(lambda kind: kind.takes_node)}."
        )
    inside = sorted(name_of(node) for node in snapshot.nodes if zones.zone_of(node) == zone)
    target = Target(tuple(inside), zone)
    _check(target, snapshot, wanted)
    return target


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
            else f"choose fault_kind={sparing()}, or add a worker (`ansible-playbook setup.yml -e "
            f"cluster_nodes={len(names) + 1}`, where the lab made the cluster)"
        )
        return f"Every node is a control plane, and fault_node={wanted.node} takes none of them: {helps}."
    which = " that does not announce the address" if wanted.node == "other" else ""
    return f"No schedulable worker{which} carries a pod of {snapshot.called}: {spread_anew(snapshot)}."


def sparing() -> str:
    """A kind that may be chosen where no node can be spared."""
    return kinds.first(lambda kind: kind.spares_node)


def _may_be_named(name: str, snapshot: Snapshot, wanted: Wanted) -> bool:
    try:
        _check(Target((name,)), snapshot, wanted)
    except Refusal:
        return False
    return True


def spread_anew(snapshot: Snapshot) -> str:
    """What helps where the pods are not where they should be."""
    if not snapshot.own:
        return "have its pods placed on more workers (topologySpreadConstraints), which the lab does not do"
    names = {name_of(node) for node in snapshot.nodes}
    takers = {name_of(node) for node in snapshot.nodes if is_schedulable(node)}
    # Where all are control planes, they bear the site.
    if len(takers) > 1 and (takers - snapshot.controls or names <= snapshot.controls):
        return "run `ansible-playbook setup.yml`, which spreads the pods anew"
    cordoned = [name_of(node) for node in snapshot.nodes if of(node, "spec", "unschedulable", default=False)]
    if cordoned:
        return (
            f"uncordon {', '.join(cordoned)} (`ansible-playbook recover.yml` undoes what the lab did), then "
            "run `ansible-playbook setup.yml`, which spreads the pods anew"
        )
    return add_a_node(len(names) + 1)


def add_a_node(count: int) -> str:
    """What is typed to have so many nodes."""
    return (
        f"add a node (`ansible-playbook setup.yml -e cluster_nodes={count}`, where the lab made the cluster)"
    )


def _check(target: Target, snapshot: Snapshot, wanted: Wanted) -> None:
    """What holds for what was named; nothing overrides it.

    Raises:
        Refusal: it may not be broken.
    """
    for node in snapshot.nodes:
        if name_of(node) in target and (faults := faults_of(node, snapshot)):
            raise Refusal(
                f"{name_of(node)} is faulted already ({', '.join(faults)}): "
                "run `ansible-playbook recover.yml` first, or choose another node."
            )
    if not wanted.fault.spares_node and snapshot.controls & {*target.nodes}:
        _check_controls(target, snapshot, wanted)
    if not snapshot.there(target):
        carriers = sorted({of(pod, "spec", "nodeName", default="") for pod in snapshot.site_pods})
        raise Refusal(
            f"{target} carries no pod of {snapshot.called}, so nothing would fail over: "
            f"choose one of {', '.join(carriers)}, or {spread_anew(snapshot)}."
        )


def _check_controls(target: Target, snapshot: Snapshot, wanted: Wanted) -> None:
    """See that a control plane is left that can bring up replacements.

    Raises:
        Refusal: none would be.
    """
    controls, workers = len(snapshot.controls), len(snapshot.nodes) > len(snapshot.controls)
    instead = (
        "Choose a worker, or fault_node=auto."
        if workers
        else f"Choose fault_kind={sparing()}, or add a node."
    )
    inside = snapshot.controls & {*target.nodes}
    announces = ", and it announces the address" if wanted.node == "announcer" else ""
    if controls == 1:
        has = f"{target} has" if target.zone else f"{target} is"
        raise Refusal(
            f"{has} the only control plane{announces}: nothing could bring up replacements without it. "
            f"{instead}"
        )
    lost = [
        name_of(other)
        for other in snapshot.nodes
        if name_of(other) in snapshot.controls - inside
        and (not is_ready(other) or faults_of(other, snapshot))
    ]
    if wanted.fault.takes_node and 2 * (controls - len(inside) - len(lost)) <= controls:
        already = (
            f", of which {' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} lost already"
            if lost
            else ""
        )
        what = f"{target} has {len(inside)}" if target.zone else f"{target} is one"
        raise Refusal(
            f"{what} of {controls} control planes{already}{announces}: those that are left would be no "
            f"majority. {instead}"
        )
