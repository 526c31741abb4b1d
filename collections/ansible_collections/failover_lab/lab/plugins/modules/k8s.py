"""Documentation of the action plugin ``failover_lab.lab.k8s``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s
short_description: Do what M(kubernetes.core.k8s) does, in bounded time, and name what bars the way
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - M(kubernetes.core.k8s), with an end to its requests and a sentence that names what bars the way.
extends_documentation_fragment: failover_lab.lab.shared.bounded
attributes:
  check_mode:
    support: full
    description: As M(kubernetes.core.k8s) has it.
"""

EXAMPLES = r"""
- name: A label for a node
  failover_lab.lab.k8s:
    context: failover-lab
    state: patched
    kind: Node
    name: failover-lab-m02
    definition: {metadata: {labels: {example.org/room: north}}}
"""

RETURN = r"""
msg:
  description: What failed, and what to do.
  type: str
  returned: on failure
"""
