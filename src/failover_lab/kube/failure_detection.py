"""Sets how fast a cluster notices a dead node, in an order in which no healthy node looks dead."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.client import items
from failover_lab.kube.cluster import Cluster
from failover_lab.kube.detection import PROGRAM, Controller, Detection, Kubelet, command_of
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.objects import is_leaving, is_ready, is_running, name_of, of
from failover_lab.waiting import until

if TYPE_CHECKING:
    from failover_lab.kube.objects import Object

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


# Runs a command with a text on its standard input; its status, and both of its outputs.
Run = Callable[[list[str], str], tuple[int, str, str]]


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
        except RefusedError as refusal:
            if refusal.status >= 500:
                return None
            raise

    def signed(self, node: str) -> Object:
        """What the kubelet has last signed; empty if nothing."""
        found: Object = of(self.lease(node) or {}, "spec", default={})
        return found

    def controllers(self) -> list[Object]:
        """The controller managers' pods."""
        path = "/api/v1/namespaces/kube-system/pods"
        return items(self._get(path, labelSelector=f"component={PROGRAM}"))

    def pods_on(self, node: str) -> dict[str, bool]:
        """The pods on a node that are not about to go, by UID: whether each is ready."""
        pods = items(self._get("/api/v1/pods", fieldSelector=f"spec.nodeName={node}"))
        return {pod["metadata"]["uid"]: is_ready(pod) for pod in pods if not is_leaving(pod)}

    def taken_in(self) -> dict[str, str]:
        """Which node a controller manager has begun to watch, by the event's UID."""
        path = "/api/v1/namespaces/default/events"
        events = items(self._get(path, fieldSelector="reason=RegisteredNode"))
        return {event["metadata"]["uid"]: event["involvedObject"]["name"] for event in events}

    def joining(self) -> str:
        """The configuration that the next node to join will get; empty if the cluster is not kubeadm's."""
        return self.config_map(*JOINING)

    def set_joining(self, text: str) -> None:
        """Change it."""
        self.set_config_map(*JOINING, text)


def look(cluster: Nodes) -> Found:
    """What is in force.

    Raises:
        UserError: the cluster is not one that the module can judge.
    """
    joining, pods = cluster.joining(), cluster.controllers()
    if not joining or not pods:
        raise UserError(
            "This cluster was not made by kubeadm: how fast it notices a dead node is for its maker to set. "
            "Leave cluster_failure_detection out."
        )
    own = Controller.own(cluster.version())
    kubelets = {}
    for node in cluster.nodes():
        name = name_of(node)
        kubelet = cluster.kubelet(name)
        if kubelet is None:
            raise UserError(f"The kubelet of {name} does not answer: see whether the node runs.")
        kubelets[name] = kubelet
    return Found(
        kubelets,
        {pod["spec"]["nodeName"]: Controller.of(command_of(pod), own) for pod in pods},
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

    def __init__(
        self, cluster: Nodes, wanted: Detection | None, run: Run, *, context: str, timeout_s: float
    ) -> None:
        """Look; nothing is changed yet.

        Args:
            cluster: to ask.
            wanted: None for Kubernetes' own.
            run: runs a command.
            context: of the cluster, for messages.
            timeout_s: how long each single change may take to be in force.
        """
        self.cluster = cluster
        self.run = run
        self.context = context
        self.timeout_s = timeout_s
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
            UserError: it failed.
        """
        command = ["docker", "exec", "--interactive", node, "sh", "-ec", script, "sh", *arguments]
        status, out, error = self.run(command, given)
        if status != 0:
            raise UserError(f"{node} could not be changed: {error.strip() or f'status {status}'}")
        return out

    def replace(self, node: str, path: str, new: str, text: str, *, after: str = "") -> None:
        """Put a new text in a file's place, all at once."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.inside(node, REPLACE + after, path, new, digest, given=text)

    def wait(self, what: str, missing: Callable[[], str], hint: str) -> None:
        """Until nothing is missing.

        Raises:
            UserError: that takes too long.
        """
        if lack := until(missing, self.timeout_s):
            raise UserError(f"After {self.timeout_s} s {what}: {lack}. {hint}")

    def set_kubelet(self, node: str) -> None:
        """Change a kubelet's file, restart it, and wait until it signs anew and its pods are as before."""
        wanted, cluster = self.wanted.kubelet, self.cluster
        before, pods = cluster.signed(node), cluster.pods_on(node)
        text = wanted.written_in(self.inside(node, f"cat {KUBELET_FILE}"))
        self.replace(node, KUBELET_FILE, KUBELET_NEW, text, after="systemctl restart kubelet\n")

        def missing() -> str:
            lease = cluster.signed(node)
            if lease.get("leaseDurationSeconds") != wanted.lease_s or lease.get("renewTime") == before.get(
                "renewTime"
            ):
                return f"its lease is not renewed with {wanted.lease_s:g} s"
            if not any(is_ready(n) for n in cluster.nodes() if name_of(n) == node):
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
        # Of several, the one that leads watches the nodes; when it ends, another leads.
        leads = cluster.leaders()[PROGRAM].node in {"", node}
        old = self.inside(node, f"cat {MANIFEST}")
        try:
            text = wanted.written_in(old, self.found.own)
        except ValueError as error:
            raise UserError(f"{MANIFEST} in {node} is not as kubeadm writes it: {error}") from error
        # An interrupted run may have written it already: then nothing starts anew.
        written = text != old
        if written:
            self.replace(node, MANIFEST, MANIFEST_NEW, text)

        def missing() -> str:
            pods = [pod for pod in cluster.controllers() if pod["spec"]["nodeName"] == node]
            if not any(is_running(pod) for pod in pods):
                return "it does not run"
            if any(Controller.of(command_of(pod), self.found.own) != wanted for pod in pods):
                return "it still runs with the old flags"
            taken = {name for uid, name in cluster.taken_in().items() if uid not in before}
            names = set(map(name_of, cluster.nodes())) - taken if written and leads else ()
            return f"it does not watch {', '.join(sorted(names))} yet" if names else ""

        log = f"kubectl --context {self.context} -n kube-system logs {PROGRAM}-{node}"
        self.wait(f"the controller manager of {node} is not as set", missing, f"See `{log}`.")


def wanted_of(settings: Object | None) -> Detection | None:
    """The argument, as it is worked with; None for Kubernetes' own.

    Raises:
        UserError: healthy nodes would look dead.
    """
    if settings is None:
        return None
    grace_s, lease_s = settings["grace_s"], settings["lease_s"]
    if grace_s < lease_s:
        raise UserError(
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


def carry_out(cluster: Nodes, asked: Object, run: Run, *, check_mode: bool) -> Object:
    """Do as the module's arguments say; gives back what it returns.

    Raises:
        UserError: it cannot be, or did not work; the message says what was set before.
    """
    wanted = wanted_of(asked["settings"])
    if asked["state"] == "read":
        return {"in_force": look(cluster).slowest.facts(), "steps": []}
    change = Change(cluster, wanted, run, context=asked["context"], timeout_s=asked["timeout_s"])
    plan, done = change.plan(), list[str]()
    for step in plan:
        try:
            if not check_mode:
                step.do()
        except UserError as trouble:
            so_far = f" Set before that: {', '.join(done)}." if done else ""
            raise UserError(f"{trouble}{so_far}") from trouble
        done.append(step.what)
    after = change.wanted if plan else change.found.slowest
    return {
        "in_force": after.facts(),
        "steps": done,
        "changed": bool(plan),
        "diff": diff_of(change.found.slowest, after),
    }
