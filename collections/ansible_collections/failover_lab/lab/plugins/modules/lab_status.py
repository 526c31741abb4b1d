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
  journal:
    description: The account of the run that is going on, if there is one.
    type: path
    required: true
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
    journal: ~/.local/state/failover-lab/failover-lab/run.json
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
from ansible_collections.failover_lab.lab.plugins.module_utils import drain_rules as rules
from ansible_collections.failover_lab.lab.plugins.module_utils import journal
from ansible_collections.failover_lab.lab.plugins.module_utils.cluster import (
    Cluster,
    Object,
    address_of,
    guarded,
    is_ready,
    of,
)


def node_line(node: Object, snapshot: rules.Snapshot | None, width: int) -> str:
    """A node, its state, and the site's pods on it."""
    states = ["Ready" if is_ready(node) else "not ready"]
    if of(node, "spec", "unschedulable", default=False):
        states.append("cordoned")
    if rules.is_control_plane(node):
        states.append("control plane")
    pods = [
        rules.name_of(pod) + ("" if is_ready(pod) else " (not ready)")
        for pod in (snapshot.on(rules.name_of(node)) if snapshot else [])
    ]
    return f"{rules.name_of(node):{width}}  {', '.join(states):22}  {' '.join(pods) or '-'}"


def about(found: Object) -> tuple[str, str]:
    """What the run of an account does, and since when."""
    what = f"{found.get('kind', 'a fault')} of {found.get('node', 'a node')}"
    return what, str(found.get("since", "an unknown time"))


def leftovers_of(nodes: list[Object], found: Object) -> list[str]:
    """What an interrupted run has left, a sentence each; nothing while the run is alive."""
    if journal.is_alive(found):
        return []
    result = [
        f"{rules.name_of(node)} is still cordoned by the run {mark}"
        for node in nodes
        if (mark := of(node, "metadata", "annotations", rules.CORDONED_BY))
    ]
    if found:
        what, since = about(found)
        result.append(f"a run was interrupted: {what} since {since}")
    return result


def look(wanted: Object) -> Object:
    """Put the screen together."""
    cluster = Cluster(wanted["context"], wanted["kubeconfig"])
    namespace = wanted["namespace"]
    nodes = cluster.nodes()
    deployment = cluster.deployment(namespace, wanted["deployment"])
    service = cluster.service(namespace, wanted["service"])
    snapshot = rules.Snapshot(nodes, cluster.pods(), deployment, []) if deployment else None
    width = max(len(rules.name_of(node)) for node in nodes)
    found = journal.read(Path(wanted["journal"]))
    leftovers = leftovers_of(nodes, found)
    lines = [f"{wanted['context']}: Kubernetes {cluster.version()}, {len(nodes)} nodes"]
    lines += [node_line(node, snapshot, width) for node in nodes]
    if deployment and service:
        ready = of(deployment, "status", "readyReplicas", default=0)
        address = address_of(service)
        announcer = cluster.announcer(namespace, wanted["service"])
        lines += [
            f"site     {ready} of {deployment['spec']['replicas']} pods ready",
            f"address  {f'http://{address}' if address else 'none given'}"
            + (f", announced by {announcer}" if announcer else ""),
            f"image    {deployment['spec']['template']['spec']['containers'][0]['image']}",
        ]
    else:
        lines.append("site     not set up: run `ansible-playbook setup.yml`")
    if journal.is_alive(found):
        what, since = about(found)
        lines.append(f"running  {what}, process {found.get('pid')}, since {since}")
    lines += [f"left     {sentence}" for sentence in leftovers]
    if leftovers:
        lines.append("remedy   ansible-playbook recover.yml")
    return {"lines": lines, "leftovers": leftovers}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "context": {"type": "str", "required": True},
            "kubeconfig": {"type": "path"},
            "namespace": {"type": "str", "required": True},
            "deployment": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "journal": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **guarded(module, module.params["context"], lambda: look(module.params)))


if __name__ == "__main__":
    main()
