"""What there is of a lab, in a few lines, and what an interrupted run has left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab.faults.snapshot import Snapshot, control_planes
from failover_lab.kube.announcer import announcer
from failover_lab.kube.application import Application
from failover_lab.kube.names import CORDONED_BY, EXCLUDED_BY, LEFT_BY, OUT_OF_SERVICE_BY
from failover_lab.kube.objects import is_ready, name_of, of, url_of
from failover_lab.kube.reach import answers, hindrances, may_announce
from failover_lab.nodes import reported
from failover_lab.run import journal

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

ANSWER_S = 2.0


def node_line(node: Object, snapshot: Snapshot | None, width: int, *, control_plane: bool) -> str:
    """A node, its state, and the site's pods on it."""
    states = ["Ready" if is_ready(node) else "not ready"]
    if of(node, "spec", "unschedulable", default=False):
        states.append("cordoned")
    if control_plane:
        states.append("control plane")
    pods = [
        name_of(pod) + ("" if is_ready(pod) else " (not ready)")
        for pod in (snapshot.on(name_of(node)) if snapshot else [])
    ]
    return f"{name_of(node):{width}}  {', '.join(states):22}  {' '.join(pods) or '-'}"


def about(found: Object) -> tuple[str, str]:
    """What the run of a journal does, and since when."""
    what = f"{found.get('kind', 'a fault')} of {found.get('node', 'a node') or 'the application'}"
    return what, str(found.get("since", "an unknown time"))


def _unknown(seen: reported.Seen) -> str:
    return (
        "its container runs, and was deleted from it, or has yet to join"
        if seen.state == "running"
        else "; ".join(seen.faults)
    )


def leftovers_of(nodes: list[Object], found: Object, containers: dict[str, reported.Seen]) -> list[str]:
    """What an interrupted run has left, a sentence each; nothing while the run is alive."""
    if journal.is_alive(found):
        return []
    result = []
    for node in nodes:
        name = name_of(node)
        marks = of(node, "metadata", "annotations", default={})
        if mark := marks.get(CORDONED_BY):
            result.append(f"{name} is still cordoned by the run {mark}")
        if mark := marks.get(EXCLUDED_BY):
            result.append(f"{name} is still kept from announcing the address by the run {mark}")
        if OUT_OF_SERVICE_BY in marks:
            result.append(f"{name} is still marked out of service")
        left = f", as the run {marks[LEFT_BY]} was told to leave it" if LEFT_BY in marks else ""
        seen = containers.get(name)
        result += [f"{name}: {fault}{left}" for fault in (seen.faults if seen else ())]
    known = {name_of(node) for node in nodes}
    result += [
        f"{name} is no node of the cluster: {_unknown(containers[name])}"
        for name in sorted({*containers} - known)
    ]
    if found:
        what, since = about(found)
        steps = found.get("steps") or [{}]
        last = f", last to {steps[-1]['step']}" if "step" in steps[-1] else ""
        result.append(f"a run was interrupted: {what} since {since}{last}")
    return result


def running_line(found: Object) -> str:
    """What the run that is going on does, and for whom it waits."""
    what, since = about(found)
    line = f"running  {what}, process {found.get('pid')}, since {since}"
    if found.get("awaits") == "operator":
        line += ": it waits for you to run `ansible-playbook recover.yml`"
    return line


def address_line(service: Object, nodes: list[Object], announcing: str | None) -> str:
    """Where users find the site, whether somebody is there, and who announces it."""
    url = url_of(service)
    if not url:
        return "none given"
    parts = [url]
    if not answers(service, ANSWER_S):
        parts.append("where nobody takes a connection")
    by_name = {name_of(node): node for node in nodes}
    if announcing is None:
        parts.append("announced by nobody that is known")
    elif announcing in by_name and not may_announce(by_name[announcing]):
        # A neighbour's answer is remembered for up to a minute.
        parts.append(f"last announced by {announcing}, which may not any more")
    else:
        parts.append(f"announced by {announcing}")
    return ", ".join(parts)


def look(cluster: Cluster, wanted: Object) -> Object:
    """Put the screen together; the module's arguments say what is wanted."""
    version, namespace = cluster.answers(), wanted["namespace"]
    nodes = cluster.nodes()
    deployment = cluster.deployment(namespace, wanted["deployment"])
    service = cluster.service(namespace, wanted["service"])
    pods = cluster.pods()
    snapshot = Snapshot(nodes, pods, Application.of_deployment(deployment), []) if deployment else None
    width = max(len(name_of(node)) for node in nodes)
    found = journal.read(Path(wanted["journal"]))
    leftovers = leftovers_of(nodes, found, reported.by_name(wanted["engine"]))
    lines = [f"{wanted['context']}: Kubernetes {version}, {len(nodes)} nodes"]
    controls = control_planes(nodes, pods)
    lines += [node_line(node, snapshot, width, control_plane=name_of(node) in controls) for node in nodes]
    if deployment and service:
        ready = of(deployment, "status", "readyReplicas", default=0)
        announcing = announcer(cluster, nodes, namespace, service)
        scalers = cluster.autoscalers(namespace, wanted["deployment"])
        scaled = f", as many as the HorizontalPodAutoscaler {', '.join(scalers)} wants" if scalers else ""
        lines += [
            f"site     {ready} of {deployment['spec']['replicas']} pods ready" + scaled,
            f"address  {address_line(service, nodes, announcing)}",
            *(f"         {sentence}" for sentence in hindrances(service, nodes)),
            f"image    {deployment['spec']['template']['spec']['containers'][0]['image']}",
        ]
    else:
        lines.append("site     not set up: run `ansible-playbook setup.yml`")
    if journal.is_alive(found):
        lines.append(running_line(found))
    lines += [f"left     {sentence}" for sentence in leftovers]
    if leftovers:
        lines.append("remedy   ansible-playbook recover.yml")
    return {"lines": lines, "leftovers": leftovers}
