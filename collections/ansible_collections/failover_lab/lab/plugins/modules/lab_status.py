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
extends_documentation_fragment:
  - failover_lab.lab.shared.reaching
  - failover_lab.lab.shared.site
  - failover_lab.lab.shared.engine
  - failover_lab.lab.shared.reading
options:
  journal:
    description: The journal of the run that is going on, if there is one.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Look at the lab
  failover_lab.lab.lab_status:
    context: failover-lab
    namespace: site
    deployment: site
    service: site
    journal: ~/.local/state/failover-lab/failover-lab/journal.json
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

from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module
from ansible_collections.failover_lab.lab.plugins.module_utils.arguments import ENGINE, SITE

from failover_lab.faults import status


def main() -> None:
    """Run the module."""
    cluster_module.run(
        {
            **SITE,
            **ENGINE,
            "journal": {"type": "path", "required": True},
        },
        lambda cluster, module: status.look(cluster, module.params),
    )


if __name__ == "__main__":
    main()
