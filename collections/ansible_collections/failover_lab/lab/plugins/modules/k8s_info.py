"""Documentation of the action plugin ``failover_lab.lab.k8s_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_info
short_description: Do what M(kubernetes.core.k8s_info) does, in bounded time, and name what bars the way
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - M(kubernetes.core.k8s_info), with an end to its requests and a sentence that names what bars the way.
extends_documentation_fragment: failover_lab.lab.shared.bounded
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
