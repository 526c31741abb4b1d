#!/usr/bin/python
"""Waits until a cluster can carry work; names what is missing if not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_ready
short_description: Wait until every node is ready and the cluster's own workloads run
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Waits until so many nodes are ready, and each of O(workloads) has all its pods ready.
  - If that takes too long it fails with one message that names what is missing.
extends_documentation_fragment: [failover_lab.lab.reaching, failover_lab.lab.waiting]
options:
  nodes:
    description: How many nodes there have to be.
    type: int
    default: 1
  workloads:
    description:
      - Deployments and DaemonSets that have to be ready, such as C(kube-system/deployments/coredns).
    type: list
    elements: str
    default: []
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
- name: Every node, and the cluster's own names
  failover_lab.lab.cluster_ready:
    context: failover-lab
    nodes: 3
    workloads: [kube-system/deployments/coredns]
"""

RETURN = r"""
nodes:
  description: The names of the ready nodes.
  type: list
  elements: str
  returned: success
missing:
  description: What is missing (in check mode); empty if nothing is.
  type: list
  elements: str
  returned: success
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.failover_lab.lab.plugins.module_utils import waiting

from failover_lab.kube import reaching
from failover_lab.kube.cluster import Cluster, Object, guarded, is_ready, of

POLL_S = 0.5
# By which words a workload tells how many pods it has ready, and how many it wants.
COUNTS = {
    "deployments": ("availableReplicas", "replicas"),
    "daemonsets": ("numberReady", "desiredNumberScheduled"),
}


def missing_nodes(nodes: list[Object], wanted: int) -> list[str]:
    """Which nodes are missing, each with the kubelet's own words."""
    missing = []
    for node in nodes:
        if not is_ready(node):
            said = [
                c.get("message") for c in of(node, "status", "conditions", default=[]) if c["type"] == "Ready"
            ]
            why = f": {said[0]}" if said and said[0] else ""
            missing.append(f"node {node['metadata']['name']} is not ready{why}")
    if len(nodes) < wanted:
        missing.append(f"{len(nodes)} of {wanted} nodes have joined")
    return missing


def missing_in_workload(title: str, workload: Object | None) -> str | None:
    """What keeps a Deployment or DaemonSet from being ready; None if nothing does.

    Args:
        title: namespace, kind and name.
        workload: the object, if it exists.
    """
    if workload is None:
        return f"{title} does not exist"
    status = of(workload, "status", default={})
    ready_key, wanted_key = COUNTS[title.split("/")[1]]
    ready, wanted = status.get(ready_key, 0), status.get(wanted_key, 0)
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"] or wanted == 0:
        return f"the controller has not seen {title} yet"
    return f"{title} has {ready} of {wanted} pods ready" if ready < wanted else None


def look(cluster: Cluster, wanted: Object) -> tuple[list[str], list[str]]:
    """The names of the ready nodes, and what is missing."""
    nodes = cluster.nodes()
    missing = missing_nodes(nodes, wanted["nodes"])
    for title in wanted["workloads"]:
        if lack := missing_in_workload(title, cluster.workload(*title.split("/"))):
            missing.append(lack)
    return [node["metadata"]["name"] for node in nodes if is_ready(node)], missing


def watch(wanted: Object, *, check_mode: bool) -> Object:
    """Wait as the arguments say.

    Returns:
        What the module returns; under ``msg``, why it fails.
    """
    cluster = Cluster(wanted["context"], wanted["kubeconfig"])
    deadline = time.monotonic() + wanted["timeout_s"]
    while True:
        names, missing = look(cluster, wanted)
        if not missing or check_mode:
            return {"nodes": names, "missing": missing}
        if time.monotonic() >= deadline:
            return {"msg": f"After {wanted['timeout_s']} s in {wanted['context']}: {'; '.join(missing)}"}
        time.sleep(POLL_S)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **reaching.ARGUMENTS,
            "nodes": {"type": "int", "default": 1},
            "workloads": {"type": "list", "elements": "str", "default": []},
            "timeout_s": {"type": "int", "default": 180},
            **waiting.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    wanted = module.params
    for title in wanted["workloads"]:
        if len(parts := title.split("/")) != 3 or parts[1] not in COUNTS:
            module.fail_json(
                msg=f"{title!r} is none of NAMESPACE/deployments/NAME and NAMESPACE/daemonsets/NAME."
            )
    result = guarded(module, wanted["context"], lambda: watch(wanted, check_mode=module.check_mode))
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
