#!/usr/bin/python
"""Waits until nodes that were lost carry work again; names what is missing if not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nodes_back
short_description: Wait until nodes that were lost carry work again
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Waits until each node's kubelet has renewed its lease since an instant, the node is ready, and the pods
    that belong to it (its DaemonSets') are ready. What the API says of a node that was lost may be what was
    true before; and a pod that is put on a node whose routes are not there yet gets no answer out.
  - If that takes too long it fails with one message that names what is missing.
extends_documentation_fragment:
  - failover_lab.lab.shared.reaching
  - failover_lab.lab.shared.waiting
  - failover_lab.lab.shared.watching
options:
  nodes:
    description: The nodes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The node's name.
        type: str
        required: true
      since:
        description: The instant since which its kubelet must have renewed its lease (ISO 8601).
        type: str
        required: true
      restarted:
        description: Whether the node's pods were ended as well, and so must have been started since then.
        type: bool
        default: false
"""

EXAMPLES = r"""
- name: The node that was started again
  failover_lab.lab.nodes_back:
    context: failover-lab
    nodes:
      - name: failover-lab-m02
        since: "2026-11-23T19:00:00Z"
        restarted: true
"""

RETURN = r"""
missing:
  description: What is missing (in check mode); empty if nothing is.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module

from failover_lab.kube import nodes_back


def main() -> None:
    """Run the module."""
    cluster_module.watch(
        {
            "nodes": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "since": {"type": "str", "required": True},
                    "restarted": {"type": "bool", "default": False},
                },
            },
        },
        nodes_back.watch,
    )


if __name__ == "__main__":
    main()
