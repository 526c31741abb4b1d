#!/usr/bin/python
"""What there is of a lab, in a few lines."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_status
short_description: Tell on one screen what a lab consists of, and what an interrupted run has left
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Lists nodes with the site's pods on each, the site's address and image, and what is left over. Changes
    nothing.
extends_documentation_fragment: failover_lab.lab.reaching
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
  journal:
    description: The journal of the run that is going on, if there is one.
    type: path
    required: true
  engine:
    description:
      - What the container engine says of the nodes. Each has C(name), C(id), C(state), and may have
        C(incoming), C(outgoing) (whether the network is cut off) and C(kubelet) (systemd's word). Empty where
        it was not asked.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode.
"""

EXAMPLES = r"""
- name: Look at the lab
  failover_lab.lab.lab_status:
    context: failover-lab
    namespace: site
    deployment: site
    service: site
    journal: ~/.local/state/failover-lab/failover-lab/journal.json
"""

RETURN = r"""
lines:
  description: The screen.
  type: list
  elements: str
  returned: success
leftovers:
  description: What an interrupted run has left, a sentence each.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from failover_lab.faults import rules
from failover_lab.faults.capacity import name_of
from failover_lab.kube import reaching
from failover_lab.kube.announcer import announcer
from failover_lab.kube.cluster import Cluster, Object, guarded, is_ready, of, url_of
from failover_lab.kube.reach import answers, hindrances, may_announce
from failover_lab.nodes import reported
from failover_lab.run import journal

ANSWER_S = 2.0


def node_line(node: Object, snapshot: rules.Snapshot | None, width: int, *, control_plane: bool) -> str:
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
    what = f"{found.get('kind', 'a fault')} of {found.get('node', 'a node')}"
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
        if mark := marks.get(rules.CORDONED_BY):
            result.append(f"{name} is still cordoned by the run {mark}")
        if mark := marks.get(rules.EXCLUDED_BY):
            result.append(f"{name} is still kept from announcing the address by the run {mark}")
        if rules.OUT_OF_SERVICE_BY in marks:
            result.append(f"{name} is still marked out of service")
        left = f", as the run {marks[rules.LEFT_BY]} was told to leave it" if rules.LEFT_BY in marks else ""
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


def look(wanted: Object) -> Object:
    """Put the screen together."""
    cluster = Cluster(wanted["context"], wanted["kubeconfig"])
    version, namespace = cluster.answers(), wanted["namespace"]
    nodes = cluster.nodes()
    deployment = cluster.deployment(namespace, wanted["deployment"])
    service = cluster.service(namespace, wanted["service"])
    pods = cluster.pods()
    snapshot = rules.Snapshot(nodes, pods, deployment, []) if deployment else None
    width = max(len(name_of(node)) for node in nodes)
    found = journal.read(Path(wanted["journal"]))
    leftovers = leftovers_of(nodes, found, reported.by_name(wanted["engine"]))
    lines = [f"{wanted['context']}: Kubernetes {version}, {len(nodes)} nodes"]
    controls = rules.control_planes(nodes, pods)
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


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **reaching.ARGUMENTS,
            "namespace": {"type": "str", "required": True},
            "deployment": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "journal": {"type": "path", "required": True},
            "engine": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **guarded(module, module.params["context"], lambda: look(module.params)))


if __name__ == "__main__":
    main()
