#!/usr/bin/python
"""Waits until a namespace that is going away is gone; tells what holds it if not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: namespace_gone
short_description: Wait until a namespace that is going away is gone
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Waits until there is no such namespace. If that takes too long it fails with one message, in which the
    namespace's own conditions say what holds it, such as a finalizer.
  - A namespace that nobody has deleted is an error at once.
extends_documentation_fragment:
  - failover_lab.lab.shared.reaching
  - failover_lab.lab.shared.waiting
  - failover_lab.lab.shared.watching
options:
  namespace:
    description: The name of the namespace.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Wait until an earlier site is gone
  failover_lab.lab.namespace_gone:
    context: failover-lab
    namespace: site
"""

RETURN = r"""
gone:
  description: Whether there is no such namespace; false in check mode alone.
  type: bool
  returned: success
"""

from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module

from failover_lab.kube import namespace_gone


def main() -> None:
    """Run the module."""
    cluster_module.watch({"namespace": {"type": "str", "required": True}}, namespace_gone.watch)


if __name__ == "__main__":
    main()
