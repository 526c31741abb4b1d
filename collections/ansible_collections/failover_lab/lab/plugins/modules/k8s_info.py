"""Documentation of the action plugin ``failover_lab.lab.k8s_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_info
short_description: Do what M(kubernetes.core.k8s_info) does, in bounded time, and name what bars the way
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Takes what M(kubernetes.core.k8s_info) takes, and hands it on. The requests of that one know no time-out.
    Here it is ended after O(requests_s), and what it waits for by itself (C(wait), C(wait_timeout)) is added.
  - Where it fails, M(failover_lab.lab.cluster_answers) is asked why; what that finds is the message.
options:
  requests_s:
    description: How long all requests together may take, in seconds.
    type: float
    default: 60.0
  provider:
    description: As M(failover_lab.lab.cluster_answers) takes it.
    type: str
    choices: [minikube, existing]
    default: minikube
attributes:
  check_mode:
    support: full
    description: As M(kubernetes.core.k8s_info) has it.
"""

EXAMPLES = r"""
- name: All nodes
  failover_lab.lab.k8s_info:
    context: failover-lab
    kind: Node
"""

RETURN = r"""
msg:
  description: What failed, and what to do.
  type: str
  returned: on failure
"""
