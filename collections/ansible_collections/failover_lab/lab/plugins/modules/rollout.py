"""Waits until a Deployment is rolled out, or an application is whole; names what is missing if not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Wait until a Deployment is rolled out, or an application is whole
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Waits until every replica of a Deployment is of its newest template, ready and available, none of an older
    one is left, and the Service of type LoadBalancer has an address.
  - If that takes too long, or cannot happen any more, it fails with one message that names what is missing,
    with each pod's own reason, such as an image that cannot be pulled or a node that has no room.
  - With O(owners), waits instead until the pods behind the Services are ready, and as many as their owners
    want, whoever these are. Of an owner that does not say, there have to be as many as were counted.
  - With O(without_nodes), only pods on other nodes count. What the API says of those on a node that is lost
    is what was true before; and one that was told to stop there never ends.
extends_documentation_fragment:
  - failover_lab.lab.shared.reaching
  - failover_lab.lab.shared.application
  - failover_lab.lab.shared.waiting
  - failover_lab.lab.shared.watching
options:
  owners:
    description:
      - Of an application, as M(failover_lab.lab.fault_preflight) tells of them. Empty means those of the pods
        that are there. Without it, O(deployment) is waited for.
    type: list
    elements: dict
  asked_services:
    description: With O(owners), to which of the Services the address leads that users ask. By default to all.
    type: list
    elements: str
  rolled_out:
    description:
      - With O(owners), whether their pods have to be of their newest templates, too, and none of an older one
        may be left.
    type: bool
    default: false
  without_nodes:
    description: Nodes that are lost, on which no pod counts.
    type: list
    elements: str
    default: []
  patience_s:
    description:
      - After how many seconds a pod of the newest template that cannot be pulled, placed or started, that
        ends, or that refuses its health check, is taken for one that never will be ready. It is then told
        with the last lines of its log and with what is likely to help. With 0 it is waited for as for others.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Wait until the site serves
  failover_lab.lab.rollout:
    context: failover-lab
    namespace: site
    deployment: site
    service: site
"""

RETURN = r"""
address:
  description: The IP address or host name of the Service; empty if it has none (in check mode).
  type: str
  returned: success
url:
  description: The same as a URL, on the Service's first port; empty as well without an address.
  type: str
  returned: success
identity_path:
  description: The path at which the application says who answered; empty where it says so nowhere.
  type: str
  returned: success
hindrances:
  description: What keeps all or some users from the pods, as the Service and the nodes say, a sentence each.
  type: list
  elements: str
  returned: success
meets_all:
  description: >-
    Whether a client meets each pod in its turn, by the Service's traffic policy and affinity. Where it does
    not, with O(asked_services) none of C(pods) is C(asked).
  type: bool
  returned: success
pods:
  description:
    - The ready pods of the newest template, by name. Each has C(name), C(uid), C(node), and with
      O(asked_services) C(asked), whether users get answers from it.
  type: list
  elements: dict
  returned: success
nodes:
  description: The nodes that could take new pods, as far as readiness, cordons and taints tell.
  type: list
  elements: str
  returned: success
skew:
  description:
    - By how many pods the fullest of C(nodes) exceeds the emptiest; 0 if the nodes may not be listed.
  type: int
  returned: success
"""

from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module
from ansible_collections.failover_lab.lab.plugins.module_utils.arguments import APPLICATION

from failover_lab.kube import rollout


def main() -> None:
    """Run the module."""
    cluster_module.watch(
        {
            **APPLICATION,
            "owners": {"type": "list", "elements": "dict"},
            "asked_services": {"type": "list", "elements": "str"},
            "rolled_out": {"type": "bool", "default": False},
            "without_nodes": {"type": "list", "elements": "str", "default": []},
            "patience_s": {"type": "int", "default": 0},
        },
        rollout.watch,
    )


if __name__ == "__main__":
    main()
