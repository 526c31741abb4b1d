"""Waits until a Deployment is rolled out and its Service has an address; names what is missing if not."""

from __future__ import annotations

import json
import time
import traceback
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import kubernetes
    import urllib3
except ImportError:
    kubernetes = None
    MISSING = traceback.format_exc()

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
options:
  context:
    description: The kubectl context of the cluster.
    type: str
    required: true
  kubeconfig:
    description: The kubeconfig that holds O(context). By default the usual one.
    type: path
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

# Waiting does not help against these.
HOPELESS = {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
POLL_S = 0.5
REQUEST_TIMEOUT_S = 10

Object = dict[str, Any]


def of(parent: Object, *path: str, default: Any = None) -> Any:  # noqa: ANN401 - objects of the API have any shape
    """The value at this path; the default where any part of it is missing or null."""
    value: Any = parent
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return default if value is None else value


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


def missing_in_pods(deployment: Object, pods: list[Object]) -> str | None:
    """What the list of pods lacks; None if nothing. It may lag behind the Deployment's own counts."""
    wanted = of(deployment, "spec", "replicas", default=1)
    ready = sum(map(is_ready, pods))
    return None if ready == wanted else f"{ready} of {wanted} pods listed as ready"


def address_of(service: Object) -> str:
    """The address that the load balancer has given; empty if none."""
    for ingress in of(service, "status", "loadBalancer", "ingress", default=[]):
        if address := ingress.get("ip") or ingress.get("hostname"):
            return str(address)
    return ""


def is_ready(thing: Object) -> bool:
    """Whether a pod or node is ready and not about to go."""
    return not of(thing, "metadata", "deletionTimestamp") and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in of(thing, "status", "conditions", default=[])
    )


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
    return lines


def on_node(pod: Object) -> str:
    """Where a pod is, as part of a sentence."""
    node = of(pod, "spec", "nodeName")
    return f" on {node}" if node else ""


def eligible(nodes: list[Object]) -> list[str]:
    """The names of the nodes on which a pod without special tolerations could be placed."""
    return sorted(
        node["metadata"]["name"]
        for node in nodes
        if is_ready(node)
        and not of(node, "spec", "unschedulable", default=False)
        and not any(taint["effect"] != "PreferNoSchedule" for taint in of(node, "spec", "taints", default=[]))
    )


def skew_of(pods: list[Object], nodes: list[str]) -> int:
    """By how many pods the fullest of these nodes exceeds the emptiest."""
    counts = [sum(of(pod, "spec", "nodeName") == node for pod in pods) for node in nodes]
    return max(counts) - min(counts) if counts else 0


class Cluster:
    """What this module reads of a cluster, as plain objects of the API."""

    def __init__(self, context: str, kubeconfig: str | None, namespace: str) -> None:
        """Open the context; nothing is asked yet.

        Raises:
            kubernetes.config.ConfigException: there is no such context or file.
        """
        client = kubernetes.config.new_client_from_config(config_file=kubeconfig, context=context)
        self._core = kubernetes.client.CoreV1Api(client)
        self._apps = kubernetes.client.AppsV1Api(client)
        self._namespace = namespace

    @staticmethod
    def _plain(call: Callable[..., Any], *names: str, **query: str) -> Object:
        """The answer to one call as the API server wrote it; the client's models would only cost time."""
        answer = call(*names, **query, _preload_content=False, _request_timeout=REQUEST_TIMEOUT_S)
        plain: Object = json.loads(answer.data)
        return plain

    def deployment(self, name: str) -> Object:
        """One Deployment.

        Raises:
            kubernetes.client.ApiException: the API server said no, here and in the methods below.
            urllib3.exceptions.HTTPError: it did not answer.
        """
        return self._plain(self._apps.read_namespaced_deployment, name, self._namespace)

    def service(self, name: str) -> Object:
        """One Service."""
        return self._plain(self._core.read_namespaced_service, name, self._namespace)

    def pods(self, deployment: Object) -> list[Object]:
        """The Deployment's pods, by name."""
        labels = ",".join(f"{k}={v}" for k, v in deployment["spec"]["selector"]["matchLabels"].items())
        answer = self._plain(self._core.list_namespaced_pod, self._namespace, label_selector=labels)
        return sorted(answer["items"], key=lambda pod: str(pod["metadata"]["name"]))

    def warnings(self) -> list[Object]:
        """The namespace's warnings, oldest first."""
        answer = self._plain(self._core.list_namespaced_event, self._namespace, field_selector="type=Warning")
        return sorted(answer["items"], key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))

    def nodes(self) -> list[str]:
        """The eligible nodes; none if this user may not list nodes."""
        try:
            return eligible(self._plain(self._core.list_node)["items"])
        except kubernetes.client.ApiException as error:
            if error.status == 403:
                return []
            raise


def look(cluster: Cluster, deployment_name: str, service_name: str) -> tuple[Object, str | None]:
    """The state now, and what is missing (None if nothing is)."""
    deployment = cluster.deployment(deployment_name)
    pods = cluster.pods(deployment)
    address = address_of(cluster.service(service_name))
    state = {"deployment": deployment, "pods": pods, "address": address}
    lack = missing_in_deployment(deployment) or missing_in_pods(deployment, pods)
    if lack:
        return state, f"Deployment {deployment_name} is not rolled out: {lack}"
    if not address:
        why = "is a load balancer installed, and is its pool not used up?"
        return state, f"Service {service_name} was given no address: {why}"
    return state, None


def wait(cluster: Cluster, deployment: str, service: str, timeout_s: float) -> tuple[Object, str | None]:
    """Look until nothing is missing, time is up, or waiting does not help; the last state and its lack."""
    deadline = time.monotonic() + timeout_s
    while True:
        state, lack = look(cluster, deployment, service)
        if lack is None or time.monotonic() >= deadline or hopeless(state["pods"]):
            return state, lack
        time.sleep(POLL_S)


def result_of(cluster: Cluster, state: Object) -> Object:
    """What the module returns of a state."""
    ready = [pod for pod in state["pods"] if is_ready(pod)]
    nodes = cluster.nodes()
    return {
        "changed": False,
        "address": state["address"],
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


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "context": {"type": "str", "required": True},
            "kubeconfig": {"type": "path"},
            "namespace": {"type": "str", "required": True},
            "deployment": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "timeout_s": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    if kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=MISSING)
    wanted = module.params
    where = f"namespace {wanted['namespace']} of {wanted['context']}"
    try:
        cluster = Cluster(wanted["context"], wanted["kubeconfig"], wanted["namespace"])
        timeout_s = 0 if module.check_mode else wanted["timeout_s"]
        state, lack = wait(cluster, wanted["deployment"], wanted["service"], timeout_s)
        if lack is None or module.check_mode:
            module.exit_json(**result_of(cluster, state))
        reasons = explain(state["pods"], cluster.warnings())
    except kubernetes.config.ConfigException as error:
        module.fail_json(msg=f"The context {wanted['context']} cannot be used: {error}. Run setup.yml first.")
    except kubernetes.client.ApiException as error:
        if error.status == 404 and module.check_mode:
            module.exit_json(changed=False, address="", pods=[], nodes=[], skew=0)
        module.fail_json(msg=f"The cluster refused in {where}: {error.status} {error.reason}: {error.body}")
    except urllib3.exceptions.HTTPError as error:
        module.fail_json(msg=f"The cluster {wanted['context']} does not answer: {error}. Is it running?")
    module.fail_json(msg="; ".join([f"After {wanted['timeout_s']} s in {where}: {lack}", *reasons]))


if __name__ == "__main__":
    main()
