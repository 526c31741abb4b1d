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
extends_documentation_fragment: failover_lab.lab.shared.reaching
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

from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module

from failover_lab.kube import failure_detection


def main() -> None:
    """Run the module."""
    seconds = {"type": "int", "required": True}
    names = ("lease_s", "status_frequency_s", "report_frequency_s", "monitor_period_s", "grace_s")
    cluster_module.run(
        {
            "state": {"type": "str", "choices": ["set", "read"], "default": "set"},
            "settings": {"type": "dict", "options": dict.fromkeys(names, seconds)},
            "timeout_s": {"type": "int", "default": 120},
        },
        lambda cluster, module: failure_detection.carry_out(
            cluster,
            module.params,
            lambda command, given: module.run_command(command, data=given, binary_data=True),
            check_mode=module.check_mode,
        ),
        failure_detection.Nodes,
    )


if __name__ == "__main__":
    main()
