#!/usr/bin/python
"""Sets how fast a cluster notices a dead node, in an order in which no healthy node looks dead."""

from __future__ import annotations

DOCUMENTATION = r"""
module: failure_detection
short_description: How fast a cluster notices a dead node
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Looks at what the running kubelets and the running controller manager are set to, and changes what
    differs from O(settings). It works on a cluster that kubeadm has made, whose nodes are containers with the
    nodes' names.
  - To become faster, the kubelets come first, one node after the other, and then the controller manager; to
    become slower, the other way round. So a sign of life is never waited for less long than it may take.
  - Nodes that join later take their settings from the ConfigMap C(kubelet-config), which is set as well.
  - The API server is not restarted, and no pod but the controller manager's.
extends_documentation_fragment: failover_lab.lab.reaching
options:
  state:
    description: V(set) makes the cluster as O(settings) says. V(read) only tells what is in force.
    type: str
    choices: [set, read]
    default: set
  settings:
    description: What to set. Without it, Kubernetes' own.
    type: dict
    suboptions:
      lease_s:
        description: For how long a kubelet's lease is good, in seconds. It renews it after a quarter of that.
        type: int
        required: true
      status_frequency_s:
        description: How often a kubelet looks at its node's status, in seconds.
        type: int
        required: true
      report_frequency_s:
        description: How often a kubelet sends a status that has not changed, in seconds.
        type: int
        required: true
      monitor_period_s:
        description: How often the controller manager looks at the nodes' signs of life, in seconds.
        type: int
        required: true
      grace_s:
        description: Without a sign of life for how long a node counts as dead, in seconds.
        type: int
        required: true
  timeout_s:
    description: How long each single change may take to be in force, in seconds.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
    description: Nothing is changed, and what would be is told.
  diff_mode:
    support: full
    description: The settings in force before and after.
"""

EXAMPLES = r"""
- name: A dead node is noticed after five seconds
  failover_lab.lab.failure_detection:
    context: failover-lab
    settings:
      lease_s: 4
      status_frequency_s: 4
      report_frequency_s: 300
      monitor_period_s: 1
      grace_s: 5

- name: As Kubernetes does by itself
  failover_lab.lab.failure_detection:
    context: failover-lab
"""

RETURN = r"""
in_force:
  description:
    - What is in force, in seconds. Where kubelets differ, the slowest one's. In check mode, what would be.
  type: dict
  returned: success
  contains:
    lease_s: {type: float, description: A kubelet's lease; it is renewed after a quarter of that.}
    status_frequency_s: {type: float, description: How often a kubelet looks at its node's status.}
    grace_s: {type: float, description: Without a sign of life for how long a node counts as dead.}
    monitor_period_s: {type: float, description: How often the controller manager looks.}
steps:
  description: What was changed, or in check mode would be, in this order.
  type: list
  elements: str
  returned: success
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from failover_lab.kube import reaching
from failover_lab.kube.cluster import Cluster, guarded, is_ready, of, until
from failover_lab.kube.detection import PROGRAM, Controller, Detection, Kubelet, is_running

try:
    from kubernetes.client import ApiException
except ImportError:
    # The work is not begun without it.
    ApiException = Exception

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.kube.cluster import Object

JOINING = ("kubelet-config", "kubelet")
KUBELET_FILE = "/var/lib/kubelet/config.yaml"
MANIFEST = f"/etc/kubernetes/manifests/{PROGRAM}.yaml"
# On the same disk, or the rename would not be atomic; not within the folder of manifests, where the kubelet
# would take it for another pod.
KUBELET_NEW = f"{KUBELET_FILE}.failover-lab"
MANIFEST_NEW = f"/etc/kubernetes/{PROGRAM}.yaml.failover-lab"
# Whoever is killed in mid-write leaves the old file as it was.
REPLACE = """
umask 077
cat > "$2"
[ "$(sha256sum < "$2")" = "$3  -" ] || { rm -f "$2"; exit 1; }
chmod --reference="$1" "$2"
mv "$2" "$1"
"""


class Trouble(Exception):  # noqa: N818 - an outcome that the module reports, no error of the program
    """It did not work; the message says what is missing."""


@dataclass(frozen=True)
class Found:
    """What is in force."""

    kubelets: dict[str, Kubelet]
    controllers: dict[str, Controller]
    own: Controller
    joining: str

    @property
    def slowest(self) -> Detection:
        """For predictions: the worst of each."""
        return Detection(
            max(self.kubelets.values(), key=lambda kubelet: kubelet.lease_s),
            max(self.controllers.values(), key=lambda controller: controller.grace_s),
        )


class Nodes(Cluster):
    """The part of the API that tells about signs of life."""

    def kubelet(self, node: str) -> Kubelet | None:
        """A running kubelet's configuration, from itself; None if it does not answer."""
        try:
            return Kubelet.of(self._get(f"/api/v1/nodes/{node}/proxy/configz")["kubeletconfig"])
        except ApiException as error:
            if error.status >= 500:
                return None
            raise

    def lease(self, node: str) -> Object:
        """What the kubelet has last signed; empty if nothing."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}"
        signed: Object = of(self._found(path) or {}, "spec", default={})
        return signed

    def controllers(self) -> list[Object]:
        """The controller managers' pods."""
        path = "/api/v1/namespaces/kube-system/pods"
        items: list[Object] = self._get(path, labelSelector=f"component={PROGRAM}")["items"]
        return items

    def pods_on(self, node: str) -> dict[str, bool]:
        """The pods on a node that are not about to go, by UID: whether each is ready."""
        items = self._get("/api/v1/pods", fieldSelector=f"spec.nodeName={node}")["items"]
        staying = [pod for pod in items if not of(pod, "metadata", "deletionTimestamp")]
        return {pod["metadata"]["uid"]: is_ready(pod) for pod in staying}

    def taken_in(self) -> dict[str, str]:
        """Which node a controller manager has begun to watch, by the event's UID."""
        path = "/api/v1/namespaces/default/events"
        items = self._get(path, fieldSelector="reason=RegisteredNode")["items"]
        return {item["metadata"]["uid"]: item["involvedObject"]["name"] for item in items}

    def joining(self) -> str:
        """The configuration that the next node to join will get; empty if the cluster is not kubeadm's."""
        return self.config_map(*JOINING)

    def set_joining(self, text: str) -> None:
        """Change it."""
        self.set_config_map(*JOINING, text)


def own_words(pod: Object) -> list[str]:
    """The command line of a controller manager's pod."""
    container = pod["spec"]["containers"][0]
    return [*container.get("command", []), *container.get("args", [])]


def look(cluster: Nodes) -> Found:
    """What is in force.

    Raises:
        Trouble: the cluster is not one that the module can judge.
    """
    joining, pods = cluster.joining(), cluster.controllers()
    if not joining or not pods:
        raise Trouble(
            "This cluster was not made by kubeadm: how fast it notices a dead node is for its maker to set. "
            "Leave cluster_failure_detection out."
        )
    own = Controller.own(cluster.version())
    kubelets = {}
    for node in cluster.nodes():
        name = node["metadata"]["name"]
        kubelet = cluster.kubelet(name)
        if kubelet is None:
            raise Trouble(f"The kubelet of {name} does not answer: see whether the node runs.")
        kubelets[name] = kubelet
    return Found(
        kubelets,
        {pod["spec"]["nodeName"]: Controller.of(own_words(pod), own) for pod in pods},
        own,
        joining,
    )


@dataclass(frozen=True)
class Step:
    """One change: what is set, and how."""

    what: str
    do: Callable[[], None]


class Change:
    """What has to be done, and doing it."""

    def __init__(self, module: AnsibleModule, cluster: Nodes, wanted: Detection | None) -> None:
        """Look; nothing is changed yet.

        Args:
            module: for its arguments, and to run commands.
            cluster: to ask.
            wanted: None for Kubernetes' own.
        """
        self.module = module
        self.cluster = cluster
        self.found = look(cluster)
        self.wanted = wanted or Detection(Kubelet(), self.found.own)

    def plan(self) -> list[Step]:
        """The steps in their order; none if all is as wanted."""
        wanted, found = self.wanted, self.found
        kubelets = []
        joining = wanted.kubelet.written_in(found.joining)
        if joining != found.joining:
            kubelets.append(Step("nodes that join", partial(self.cluster.set_joining, joining)))
        for node, kubelet in sorted(found.kubelets.items()):
            if kubelet != wanted.kubelet:
                kubelets.append(Step(f"the kubelet of {node}", partial(self.set_kubelet, node)))
        controllers = [
            Step(f"the controller manager of {node}", partial(self.set_controller, node))
            for node, controller in sorted(found.controllers.items())
            if controller != wanted.controller
        ]
        faster = wanted.controller.grace_s < found.slowest.controller.grace_s
        return kubelets + controllers if faster else controllers + kubelets

    def inside(self, node: str, script: str, *arguments: str, given: str = "") -> str:
        """Run a script within a node; what it prints.

        Raises:
            Trouble: it failed.
        """
        command = ["docker", "exec", "--interactive", node, "sh", "-ec", script, "sh", *arguments]
        status, out, error = self.module.run_command(command, data=given, binary_data=True)
        if status != 0:
            raise Trouble(f"{node} could not be changed: {error.strip() or f'status {status}'}")
        return str(out)

    def replace(self, node: str, path: str, new: str, text: str, *, after: str = "") -> None:
        """Put a new text in a file's place, all at once."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.inside(node, REPLACE + after, path, new, digest, given=text)

    def wait(self, what: str, missing: Callable[[], str], hint: str) -> None:
        """Until nothing is missing.

        Raises:
            Trouble: that takes too long.
        """
        timeout_s = self.module.params["timeout_s"]
        if lack := until(missing, timeout_s):
            raise Trouble(f"After {timeout_s} s {what}: {lack}. {hint}")

    def set_kubelet(self, node: str) -> None:
        """Change a kubelet's file, restart it, and wait until it signs anew and its pods are as before."""
        wanted, cluster = self.wanted.kubelet, self.cluster
        before, pods = cluster.lease(node), cluster.pods_on(node)
        text = wanted.written_in(self.inside(node, f"cat {KUBELET_FILE}"))
        self.replace(node, KUBELET_FILE, KUBELET_NEW, text, after="systemctl restart kubelet\n")

        def missing() -> str:
            lease = cluster.lease(node)
            if lease.get("leaseDurationSeconds") != wanted.lease_s or lease.get("renewTime") == before.get(
                "renewTime"
            ):
                return f"its lease is not renewed with {wanted.lease_s:g} s"
            if not any(is_ready(n) for n in cluster.nodes() if n["metadata"]["name"] == node):
                return "the node is not ready"
            if cluster.kubelet(node) != wanted:
                return "it still runs with the old configuration, or does not answer"
            lost = sum(pods.get(uid, False) and not ready for uid, ready in cluster.pods_on(node).items())
            return f"{lost} of its pods are no longer ready" if lost else ""

        log = f"docker exec {node} journalctl -u kubelet"
        self.wait(f"the kubelet of {node} is not as set", missing, f"See `{log}`.")

    def set_controller(self, node: str) -> None:
        """Change a controller manager's manifest, and wait until the new one has taken in every node."""
        wanted, cluster = self.wanted.controller, self.cluster
        before = set(cluster.taken_in())
        old = self.inside(node, f"cat {MANIFEST}")
        try:
            text = wanted.written_in(old, self.found.own)
        except ValueError as error:
            raise Trouble(f"{MANIFEST} in {node} is not as kubeadm writes it: {error}") from error
        # An interrupted run may have written it already: then nothing starts anew.
        written = text != old
        if written:
            self.replace(node, MANIFEST, MANIFEST_NEW, text)

        def missing() -> str:
            pods = [pod for pod in cluster.controllers() if pod["spec"]["nodeName"] == node]
            if not any(is_running(pod) for pod in pods):
                return "it does not run"
            if any(Controller.of(own_words(pod), self.found.own) != wanted for pod in pods):
                return "it still runs with the old flags"
            taken = {name for uid, name in cluster.taken_in().items() if uid not in before}
            names = {n["metadata"]["name"] for n in cluster.nodes()} - taken if written else ()
            return f"it does not watch {', '.join(sorted(names))} yet" if names else ""

        log = f"kubectl --context {self.module.params['context']} -n kube-system logs {PROGRAM}-{node}"
        self.wait(f"the controller manager of {node} is not as set", missing, f"See `{log}`.")


def wanted_of(settings: Object | None) -> Detection | None:
    """The argument, as it is worked with; None for Kubernetes' own.

    Raises:
        Trouble: healthy nodes would look dead.
    """
    if settings is None:
        return None
    grace_s, lease_s = settings["grace_s"], settings["lease_s"]
    if grace_s < lease_s:
        raise Trouble(
            f"grace_s {grace_s} is less than lease_s {lease_s}: a healthy node whose sign of life comes late "
            "would count as dead. Make lease_s smaller or grace_s greater."
        )
    return Detection(
        Kubelet(lease_s, settings["status_frequency_s"], settings["report_frequency_s"]),
        Controller(grace_s, settings["monitor_period_s"]),
    )


def diff_of(before: Detection, after: Detection) -> dict[str, str]:
    """Both, a line each setting."""

    def text(detection: Detection) -> str:
        return "".join(f"{key}: {value:g}\n" for key, value in sorted(detection.facts().items()))

    return {"before": text(before), "after": text(after)}


def work(module: AnsibleModule) -> Object:
    """Do as the arguments say; what the module returns, or under ``msg`` why it fails."""
    done: list[str] = []
    try:
        wanted = wanted_of(module.params["settings"])
        cluster = Nodes(module.params["context"], module.params["kubeconfig"])
        if module.params["state"] == "read":
            return {"in_force": look(cluster).slowest.facts(), "steps": [], "changed": False}
        change = Change(module, cluster, wanted)
        plan = change.plan()
        for step in plan:
            if not module.check_mode:
                step.do()
            done.append(step.what)
    except Trouble as trouble:
        so_far = f" Set before that: {', '.join(done)}." if done else ""
        return {"msg": f"{trouble}{so_far}"}
    after = change.wanted if plan else change.found.slowest
    return {
        "in_force": after.facts(),
        "steps": done,
        "changed": bool(plan),
        "diff": diff_of(change.found.slowest, after),
    }


def main() -> None:
    """Run the module."""
    seconds = {"type": "int", "required": True}
    names = ("lease_s", "status_frequency_s", "report_frequency_s", "monitor_period_s", "grace_s")
    module = AnsibleModule(
        argument_spec={
            **reaching.ARGUMENTS,
            "state": {"type": "str", "choices": ["set", "read"], "default": "set"},
            "settings": {"type": "dict", "options": dict.fromkeys(names, seconds)},
            "timeout_s": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    result = guarded(module, module.params["context"], lambda: work(module))
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
