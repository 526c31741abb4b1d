#!/usr/bin/python
"""Asks a cluster one cheap question, and names what keeps it from answering."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_answers
short_description: See within seconds that a cluster answers, or say what keeps it from it
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Asks the API server for its version, with the credentials of the context, and waits ten seconds for it.
    What the modules of kubernetes.core ask afterwards has no time-out of its own.
  - What is in the way is told by its name (a silence, a refused connection, a certificate, a credential
    plugin, a name that is unknown, a right that is missing), with a remedy.
extends_documentation_fragment: [failover_lab.lab.shared.reaching, failover_lab.lab.shared.reading]
"""

EXAMPLES = r"""
- name: It answers
  failover_lab.lab.cluster_answers:
    context: failover-lab
"""

RETURN = r"""
version:
  description: The version of Kubernetes.
  type: str
  returned: success
"""

from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module


def main() -> None:
    """Run the module."""
    cluster_module.run({}, lambda cluster, _module: {"version": cluster.answers()})


if __name__ == "__main__":
    main()
