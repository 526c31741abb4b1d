"""Is a Deployment rolled out, and has its Service an address; or is an application whole? If not: why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube import application
from failover_lab.kube.application import Absent, Owner
from failover_lab.kube.failing import Starts
from failover_lab.kube.objects import (
    address_of,
    condition_of,
    identity_path,
    is_leaving,
    is_ready,
    is_schedulable,
    name_of,
    of,
    url_of,
)
from failover_lab.kube.reach import hindrances, meets_all
from failover_lab.waiting import until

if TYPE_CHECKING:
    from collections.abc import Collection

    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

POLL_S = 0.5


_COUNTED = ("of the newest template", "ready", "available")
_COUNTS = ("updatedReplicas", "readyReplicas", "availableReplicas")
# It has a word of its own for each.
_COUNTS_OF_DAEMONS = ("updatedNumberScheduled", "numberReady", "numberAvailable")


def missing_in_deployment(deployment: Object) -> str | None:
    """What keeps the Deployment from being rolled out; None if nothing does."""
    return missing_in(Owner("Deployment", str(of(deployment, "metadata", "name", default="")), deployment))


def missing_in(owner: Owner) -> str | None:
    """What keeps an owner's pods from being rolled out, by its own account; None if nothing does."""
    found = owner.found or {}
    if of(found, "status", "observedGeneration", default=0) < found["metadata"]["generation"]:
        return "the controller has not seen it yet"
    keys = _COUNTS_OF_DAEMONS if owner.kind == "DaemonSet" else _COUNTS
    for what, key in zip(_COUNTED, keys, strict=True):
        count = of(found, "status", key, default=0)
        if count < owner.wanted:
            return f"{count} of {owner.wanted} pods {what}"
    extra = of(found, "status", "replicas", default=0) - owner.wanted
    return f"{extra} pods too many" if extra > 0 else None


def missing_elsewhere(deployment: Object, pods: list[Object], lost: Collection[str]) -> str | None:
    """What the pods on other nodes lack; None if nothing. The Deployment's own counts include those there."""
    wanted = of(deployment, "spec", "replicas", default=1)
    ready = sum(is_ready(pod) and of(pod, "spec", "nodeName") not in lost for pod in pods)
    if ready >= wanted:
        return None
    bound = [name_of(pod) for pod in pods if is_ready(pod) and of(pod, "spec", "nodeName") in lost]
    there = "it" if len(lost) == 1 else "them"
    still = f"; {', '.join(bound)} on {there} still count as ready" if bound else ""
    return f"{ready} of {wanted} pods ready on other nodes than {', '.join(lost)}{still}"


def missing_in_pods(deployment: Object, pods: list[Object]) -> str | None:
    """What the list of pods lacks; None if nothing. It may lag behind the Deployment's own counts."""
    wanted = of(deployment, "spec", "replicas", default=1)
    ready = sum(map(is_ready, pods))
    return None if ready == wanted else f"{ready} of {wanted} pods listed as ready"


def reason_of(pod: Object, events: list[Object]) -> str:
    """Why a pod is not ready, in its own words.

    Args:
        pod: the pod.
        events: the namespace's warnings, oldest first; those of other pods are passed over.
    """
    for status in of(pod, "status", "containerStatuses", default=[]):
        waiting = of(status, "state", "waiting", default={})
        ended = of(status, "lastState", "terminated") or of(status, "state", "terminated")
        if ended and waiting.get("reason") in (None, "CrashLoopBackOff"):
            said = f": {ended['message']}" if ended.get("message") else ""
            return f"container ended with status {ended.get('exitCode')} ({ended.get('reason')}){said}"
        if waiting.get("reason") and waiting["reason"] not in ("ContainerCreating", "PodInitializing"):
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason', 'not scheduled')}: {scheduled.get('message', '')}".rstrip(": ")
    for event in reversed(events):
        if of(event, "involvedObject", "uid") == pod["metadata"]["uid"]:
            return f"{event.get('reason')}: {event.get('message')}"
    return str(of(pod, "status", "phase", default="no status yet"))


def explain(pods: list[Object], events: list[Object]) -> list[str]:
    """Why pods are not ready, a line for each reason; those about to go are passed over."""
    concerned: dict[str, list[str]] = {}
    for pod in pods:
        if not is_ready(pod) and not is_leaving(pod):
            concerned.setdefault(reason_of(pod, events), []).append(name_of(pod) + on_node(pod))
    lines = [f"{', '.join(names)}: {reason}" for reason, names in concerned.items()]
    refused = [event for event in events if event.get("reason") == "FailedCreate"]
    if refused:
        lines.append(f"pods are refused: {refused[-1].get('message')}")
    of_service = [event for event in events if of(event, "involvedObject", "kind") == "Service"]
    if of_service:
        last = of_service[-1]
        lines.append(
            f"Service {of(last, 'involvedObject', 'name')}: {last.get('reason')}: {last.get('message')}"
        )
    return lines


def on_node(pod: Object) -> str:
    """Where a pod is, as part of a sentence."""
    node = of(pod, "spec", "nodeName")
    return f" on {node}" if node else ""


def skew_of(pods: list[Object], nodes: list[str]) -> int:
    """By how many pods the fullest of these nodes exceeds the emptiest."""
    counts = [sum(of(pod, "spec", "nodeName") == node for pod in pods) for node in nodes]
    return max(counts) - min(counts) if counts else 0


def eligible(nodes: list[Object]) -> list[str]:
    """The names of the nodes on which a pod without special tolerations could be placed."""
    return sorted(name_of(node) for node in nodes if is_schedulable(node))


def look(cluster: Cluster, wanted: Object) -> tuple[Object, str | None]:
    """The state now, and what is missing (None if nothing is).

    Args:
        cluster: where to look.
        wanted: the module's arguments.

    Raises:
        Absent: there is no such Deployment or Service.
    """
    if wanted.get("owners") is not None:
        return look_at_application(cluster, wanted)
    namespace = wanted["namespace"]
    deployment = cluster.deployment(namespace, wanted["deployment"])
    if deployment is None:
        raise Absent(absent("Deployment", wanted["deployment"], wanted))
    name = application.names_of(wanted["service"])[0]
    service = cluster.service(namespace, name)
    if service is None:
        raise Absent(absent("Service", name, wanted))
    pods = cluster.pods_of(deployment)
    address = address_of(service)
    state = {
        "pods": pods,
        "address": address,
        "url": url_of(service),
        "identity_path": identity_path(deployment),
        "service": service,
    }
    if lost := wanted["without_nodes"]:
        lack = missing_elsewhere(deployment, pods, lost)
        state["pods"] = [pod for pod in pods if of(pod, "spec", "nodeName") not in lost]
    else:
        lack = missing_in_deployment(deployment) or missing_in_pods(deployment, pods)
    if lack:
        return state, f"Deployment {wanted['deployment']} is not rolled out: {lack}"
    if not address:
        why = hindrances(service, [])[:1] or ["is a load balancer installed, and is its pool not used up?"]
        return state, f"Service {name} was given no address: {why[0]}"
    return state, None


def look_at_application(cluster: Cluster, wanted: Object) -> tuple[Object, str | None]:
    """The same of the pods behind Services, whoever owns them.

    Raises:
        Absent: there is no such Service.
    """
    app, pods = application.read(cluster, wanted, wanted["owners"])
    lost = wanted["without_nodes"]
    service = next(filter(address_of, app.services), app.services[0])
    state = {
        "pods": [pod for pod in pods if of(pod, "spec", "nodeName") not in lost],
        "address": address_of(service),
        "url": url_of(service),
        "identity_path": app.identity_path,
        "service": service,
    }
    if (asked := wanted.get("asked_services")) is not None:
        state["asked"] = {name_of(pod) for pod in app.heard(pods, asked)}
    lack = app.missing(pods, lost) or (_not_rolled_out(app, pods) if wanted.get("rolled_out") else None)
    names = ", ".join(map(name_of, app.services))
    return state, f"The application behind the Service {names} is not whole: {lack}" if lack else None


def _not_rolled_out(app: application.Application, pods: list[Object]) -> str | None:
    """What one of the owners lacks by its own account; the list of pods may lag behind that."""
    for owner in app.owners:
        if owner.found is None:
            continue
        ready = sum(owner.owns(pod) and is_ready(pod) for pod in pods)
        lack = missing_in(owner) or (
            None if ready == owner.wanted else f"{ready} of {owner.wanted} pods listed as ready"
        )
        if lack:
            return f"{owner.title} is not rolled out ({lack})"
    return None


def absent(kind: str, name: str, wanted: Object) -> str:
    """What there is not, in a sentence."""
    context = wanted["context"]
    return (
        f"There is no {kind} {name} in namespace {wanted['namespace']} of {context}: "
        f"run `ansible-playbook setup.yml -e lab_profile={context}` first."
    )


def wait(
    cluster: Cluster, wanted: Object, timeout_s: float, starts: Starts | None = None
) -> tuple[Object, str | None]:
    """Look until nothing is missing, time is up, or waiting does not help; the last state and its lack.

    Args:
        cluster: where to look.
        wanted: the module's arguments.
        timeout_s: how long.
        starts: knows when it is no use to wait; by default, where time never heals it.
    """
    starts = starts or Starts(cluster, wanted["namespace"], patience_s=0)
    return until(
        lambda: look(cluster, wanted),
        timeout_s,
        every_s=POLL_S,
        over=lambda found: found[1] is None or starts.hopeless(found[0]["pods"]),
    )


def result_of(cluster: Cluster, state: Object) -> Object:
    """What the module returns of a state."""
    ready = [pod for pod in state["pods"] if is_ready(pod)]
    found = cluster.nodes_if_allowed()
    nodes = eligible(found)
    return {
        "address": state["address"],
        "url": state["url"],
        "identity_path": state["identity_path"],
        "hindrances": hindrances(state["service"], found),
        "meets_all": meets_all(state["service"]),
        "pods": [
            {
                "name": name_of(pod),
                "uid": pod["metadata"]["uid"],
                "node": of(pod, "spec", "nodeName", default=""),
            }
            | ({"asked": name_of(pod) in state["asked"]} if "asked" in state else {})
            for pod in ready
        ],
        "nodes": nodes,
        "skew": skew_of(ready, nodes),
    }


def watch(cluster: Cluster, wanted: Object, *, check_mode: bool) -> Object:
    """Wait as the arguments say; gives back what the module returns.

    Raises:
        UserError: it takes too long, or cannot be.
    """
    starts = Starts(cluster, wanted["namespace"], 0 if check_mode else wanted["patience_s"])
    try:
        state, lack = wait(cluster, wanted, 0 if check_mode else wanted["timeout_s"], starts)
    except Absent:
        if check_mode:
            return {
                "address": "",
                "url": "",
                "identity_path": "",
                "hindrances": [],
                "meets_all": True,
                "pods": [],
                "nodes": [],
                "skew": 0,
            }
        raise
    if lack is None or check_mode:
        return result_of(cluster, state)
    where = f"namespace {wanted['namespace']} of {wanted['context']}"
    if starts.told:
        raise UserError(f"In {where}: {lack}. {starts.told}")
    reasons = explain(state["pods"], cluster.warnings(wanted["namespace"]))
    raise UserError("; ".join([f"After {wanted['timeout_s']} s in {where}: {lack}", *reasons]))
