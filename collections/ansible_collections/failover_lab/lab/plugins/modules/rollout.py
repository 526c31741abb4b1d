"""Waits until a Deployment is rolled out and its Service has an address; names what is missing if not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Wait until a Deployment is rolled out and its Service has an address
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Waits until every replica of a Deployment is of its newest template, ready and available, none of an older
    one is left, and the Service of type LoadBalancer has an address.
  - If that takes too long, or cannot happen any more, it fails with one message that names what is missing,
    with each pod's own reason, such as an image that cannot be pulled or a node that has no room.
  - With O(without_node), only pods on other nodes count. What the API says of those on a node that is lost is
    what was true before; and one that was told to stop there never ends.
extends_documentation_fragment: [failover_lab.lab.reaching, failover_lab.lab.waiting]
options:
  namespace:
    description: Where the Deployment and the Service are.
    type: str
    required: true
  deployment:
    description: The name of the Deployment.
    type: str
    required: true
  service:
    description: The name of the Service.
    type: str
    required: true
  without_node:
    description: A node that is lost, on which no pod counts.
    type: str
    default: ""
  timeout_s:
    description: How long to wait, in seconds.
    type: int
    default: 180
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode. In check mode it neither waits nor fails.
"""

EXAMPLES = r"""
- name: Wait until the site serves
  failover_lab.lab.rollout:
    context: failover-lab
    namespace: site
    deployment: site
    service: site
"""

RETURN = r"""
address:
  description: The IP address or host name of the Service; empty if it has none (in check mode).
  type: str
  returned: success
url:
  description: The same as a URL, on the Service's first port; empty as well without an address.
  type: str
  returned: success
hindrances:
  description: What keeps all or some users from the pods, as the Service and the nodes say, a sentence each.
  type: list
  elements: str
  returned: success
pods:
  description: The ready pods of the newest template, by name. Each has C(name), C(uid) and C(node).
  type: list
  elements: dict
  returned: success
nodes:
  description: The nodes that could take new pods, as far as readiness, cordons and taints tell.
  type: list
  elements: str
  returned: success
skew:
  description:
    - By how many pods the fullest of C(nodes) exceeds the emptiest; 0 if the nodes may not be listed.
  type: int
  returned: success
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.failover_lab.lab.plugins.module_utils import waiting

from failover_lab.kube import reaching
from failover_lab.kube.cluster import (
    Cluster,
    Object,
    address_of,
    guarded,
    is_ready,
    is_schedulable,
    of,
    url_of,
)
from failover_lab.kube.reach import hindrances

# Waiting does not help against these.
HOPELESS = {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
POLL_S = 0.5


def missing_in_deployment(deployment: Object) -> str | None:
    """What keeps the Deployment from being rolled out; None if nothing does."""
    if of(deployment, "status", "observedGeneration", default=0) < deployment["metadata"]["generation"]:
        return "the controller has not seen it yet"
    wanted = of(deployment, "spec", "replicas", default=1)
    counts = {
        what: of(deployment, "status", key, default=0)
        for what, key in (
            ("of the newest template", "updatedReplicas"),
            ("ready", "readyReplicas"),
            ("available", "availableReplicas"),
        )
    }
    for what, count in counts.items():
        if count < wanted:
            return f"{count} of {wanted} pods {what}"
    extra = of(deployment, "status", "replicas", default=0) - wanted
    return f"{extra} pods too many" if extra > 0 else None


def missing_elsewhere(deployment: Object, pods: list[Object], node: str) -> str | None:
    """What the pods on other nodes lack; None if nothing. The Deployment's own counts include this node's."""
    wanted = of(deployment, "spec", "replicas", default=1)
    ready = sum(is_ready(pod) and of(pod, "spec", "nodeName") != node for pod in pods)
    if ready >= wanted:
        return None
    bound = [pod["metadata"]["name"] for pod in pods if is_ready(pod) and of(pod, "spec", "nodeName") == node]
    still = f"; {', '.join(bound)} on it still count as ready" if bound else ""
    return f"{ready} of {wanted} pods ready on other nodes than {node}{still}"


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
    for condition in of(pod, "status", "conditions", default=[]):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason', 'not scheduled')}: {condition.get('message', '')}".rstrip(": ")
    for event in reversed(events):
        if of(event, "involvedObject", "uid") == pod["metadata"]["uid"]:
            return f"{event.get('reason')}: {event.get('message')}"
    return str(of(pod, "status", "phase", default="no status yet"))


def hopeless(pods: list[Object]) -> bool:
    """Whether a pod is in a state that time does not heal."""
    return any(
        of(status, "state", "waiting", "reason") in HOPELESS
        for pod in pods
        for status in of(pod, "status", "containerStatuses", default=[])
    )


def explain(pods: list[Object], events: list[Object]) -> list[str]:
    """Why pods are not ready, a line for each reason; those about to go are passed over."""
    concerned: dict[str, list[str]] = {}
    for pod in pods:
        if not is_ready(pod) and not of(pod, "metadata", "deletionTimestamp"):
            concerned.setdefault(reason_of(pod, events), []).append(pod["metadata"]["name"] + on_node(pod))
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


class Absent(Exception):  # noqa: N818 - it is an answer, not a mishap
    """One sentence: what there is not, and what to do."""


def eligible(nodes: list[Object]) -> list[str]:
    """The names of the nodes on which a pod without special tolerations could be placed."""
    return sorted(node["metadata"]["name"] for node in nodes if is_schedulable(node))


def look(cluster: Cluster, wanted: Object) -> tuple[Object, str | None]:
    """The state now, and what is missing (None if nothing is).

    Args:
        cluster: where to look.
        wanted: the module's arguments.

    Raises:
        Absent: there is no such Deployment or Service.
    """
    namespace = wanted["namespace"]
    deployment = cluster.deployment(namespace, wanted["deployment"])
    if deployment is None:
        raise Absent(absent("Deployment", wanted["deployment"], wanted))
    service = cluster.service(namespace, wanted["service"])
    if service is None:
        raise Absent(absent("Service", wanted["service"], wanted))
    pods = cluster.pods_of(deployment)
    address = address_of(service)
    state = {"pods": pods, "address": address, "url": url_of(service), "service": service}
    if wanted["without_node"]:
        lack = missing_elsewhere(deployment, pods, wanted["without_node"])
        state["pods"] = [pod for pod in pods if of(pod, "spec", "nodeName") != wanted["without_node"]]
    else:
        lack = missing_in_deployment(deployment) or missing_in_pods(deployment, pods)
    if lack:
        return state, f"Deployment {wanted['deployment']} is not rolled out: {lack}"
    if not address:
        why = hindrances(service, [])[:1] or ["is a load balancer installed, and is its pool not used up?"]
        return state, f"Service {wanted['service']} was given no address: {why[0]}"
    return state, None


def absent(kind: str, name: str, wanted: Object) -> str:
    """What there is not, in a sentence."""
    context = wanted["context"]
    return (
        f"There is no {kind} {name} in namespace {wanted['namespace']} of {context}: "
        f"run `ansible-playbook setup.yml -e lab_profile={context}` first."
    )


def wait(cluster: Cluster, wanted: Object, timeout_s: float) -> tuple[Object, str | None]:
    """Look until nothing is missing, time is up, or waiting does not help; the last state and its lack."""
    deadline = time.monotonic() + timeout_s
    while True:
        state, lack = look(cluster, wanted)
        if lack is None or time.monotonic() >= deadline or hopeless(state["pods"]):
            return state, lack
        time.sleep(POLL_S)


def result_of(cluster: Cluster, state: Object) -> Object:
    """What the module returns of a state."""
    ready = [pod for pod in state["pods"] if is_ready(pod)]
    found = cluster.nodes_if_allowed()
    nodes = eligible(found)
    return {
        "address": state["address"],
        "url": state["url"],
        "hindrances": hindrances(state["service"], found),
        "pods": [
            {
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
                "node": of(pod, "spec", "nodeName", default=""),
            }
            for pod in ready
        ],
        "nodes": nodes,
        "skew": skew_of(ready, nodes),
    }


def watch(wanted: Object, *, check_mode: bool) -> Object:
    """Wait as the arguments say.

    Returns:
        What the module returns; under ``msg`` alone, why it fails.
    """
    cluster = Cluster(wanted["context"], wanted["kubeconfig"])
    try:
        state, lack = wait(cluster, wanted, 0 if check_mode else wanted["timeout_s"])
    except Absent as absence:
        if check_mode:
            return {"address": "", "url": "", "hindrances": [], "pods": [], "nodes": [], "skew": 0}
        return {"msg": str(absence)}
    if lack is None or check_mode:
        return result_of(cluster, state)
    where = f"namespace {wanted['namespace']} of {wanted['context']}"
    reasons = explain(state["pods"], cluster.warnings(wanted["namespace"]))
    return {"msg": "; ".join([f"After {wanted['timeout_s']} s in {where}: {lack}", *reasons])}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **reaching.ARGUMENTS,
            "namespace": {"type": "str", "required": True},
            "deployment": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "without_node": {"type": "str", "default": ""},
            "timeout_s": {"type": "int", "default": 180},
            **waiting.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    wanted = module.params
    result = guarded(module, wanted["context"], lambda: watch(wanted, check_mode=module.check_mode))
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
