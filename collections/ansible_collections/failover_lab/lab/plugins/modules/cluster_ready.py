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
extends_documentation_fragment:
  - failover_lab.lab.shared.reaching
  - failover_lab.lab.shared.waiting
  - failover_lab.lab.shared.watching
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

from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module

from failover_lab.kube import cluster_ready


def main() -> None:
    """Run the module."""
    cluster_module.watch(
        {
            "nodes": {"type": "int", "default": 1},
            "workloads": {"type": "list", "elements": "str", "default": []},
        },
        cluster_ready.watch,
    )


if __name__ == "__main__":
    main()
