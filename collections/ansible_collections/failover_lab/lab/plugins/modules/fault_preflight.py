#!/usr/bin/python
"""Chooses the node to break, or says in one sentence why none can be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fault_preflight
short_description: Choose the node to break and tell what runs there, or refuse
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Looks at nodes, pods and disruption budgets, and refuses a fault that could not be got over, with one
    sentence that names the remedy. Changes nothing.
  - Never broken is the only control plane, a node that is faulted already, one without pods of the site, and
    whatever carries the last ready replica of the lab's own site. Never drained is a node with a pod that two
    disruption budgets select; nor, unless O(may_lose), one with a pod that nothing would bring back, or with
    somebody else's data in an emptyDir. Too few nodes, a disruption budget of any pod on the node, a quota
    that lets no replacement in, a volume that only this node reaches, no room elsewhere, and so many lost
    nodes that Kubernetes would stop replacing their pods, are refused unless O(force).
  - The application is the pods behind the Services, whoever owns them. What cannot be shown of it is told.
  - An address at which nobody takes a connection is refused as well.
extends_documentation_fragment:
  - failover_lab.lab.shared.reaching
  - failover_lab.lab.shared.application
  - failover_lab.lab.shared.engine
  - failover_lab.lab.shared.reading
options:
  kind:
    description: What is to be done to the node; a name of src/failover_lab/faults/kinds.yml.
    type: str
    default: drain
  image:
    description: What a rollout is to give the application; empty means its own, started anew.
    type: str
    default: ""
  node:
    description:
      - The node to break; V(auto) for the worker that carries most of the application's pods, V(announcer)
        for the node that announces the Service's address, V(other) for a worker as in V(auto) that does not
        announce it.
    type: str
    default: auto
  pods:
    description:
      - Of a kind that spares the node, whether V(one) or V(all) of the application's pods on it are meant.
    type: str
    choices: [one, all]
    default: one
  force:
    description: Break the node although something that is a matter of taste speaks against it.
    type: bool
    default: false
  may_lose:
    description:
      - What may be lost for good. V(orphans) are pods that nothing would bring back, V(emptydir) is data that
        somebody else's pods on the drained node keep in an emptyDir.
    type: list
    elements: str
    choices: [orphans, emptydir]
    default: []
  recovery:
    description: Who gives a lost node's work away.
    type: str
    choices: [automatic, watchdog, manual]
    default: automatic
  url:
    description: Where users ask. Empty means the address that a load balancer gave the Service.
    type: str
    default: ""
  resolve:
    description: Which addresses that URL's host has, as HOST:PORT:ADDRESS.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Choose the node to drain
  failover_lab.lab.fault_preflight:
    context: failover-lab
    namespace: site
    deployment: site
    service: site
"""

RETURN = r"""
kind:
  description: What is to be done to the node.
  type: str
  returned: success
evicts:
  description: Whether everybody is told in time, by evictions or a rollout, so that nothing should be lost.
  type: bool
  returned: success
node:
  description: The node to break, or C(zone:NAME); empty where the application is taken, wherever it is.
  type: str
  returned: success
target:
  description: The same as sentences have it, with the nodes of a zone.
  type: str
  returned: success
targets:
  description: The names of all that are to be broken.
  type: list
  elements: str
  returned: success
node_uid:
  description: The UID of its object, or of the first's; a node that has joined anew has another one.
  type: str
  returned: success
identities:
  description: For each of them the id of its container; empty where the engine was not asked.
  type: list
  elements: str
  returned: success
addresses:
  description: Their own addresses.
  type: list
  elements: str
  returned: success
fits:
  description: Of a whole zone, who has to fit where, and how evictions are held back; a sentence each.
  type: list
  elements: str
  returned: success
announcer:
  description: The node that announces the Service's address, as MetalLB says; none if it does not say.
  type: str
  returned: success
address:
  description: The Service's address.
  type: str
  returned: success
path:
  description: The path to ask for - where the application says who answered, or C(/) where it does not.
  type: str
  returned: success
url:
  description: The same as a URL, on the Service's first port; or the one that was given.
  type: str
  returned: success
kubernetes:
  description: The version of the API server.
  type: str
  returned: success
minikube:
  description: The version of minikube that made the nodes, as they are labelled; none if they are not.
  type: str
  returned: success
nodes:
  description: All nodes, by name.
  type: list
  elements: str
  returned: success
eligible_nodes:
  description: The nodes that take pods once the fault has struck.
  type: list
  elements: str
  returned: success
replicas:
  description: How many pods are wanted in all, those left aside that nothing would bring back.
  type: int
  returned: success
namespace:
  description: The application's.
  type: str
  returned: success
services:
  description: Its Services, by name.
  type: list
  elements: str
  returned: success
own:
  description: Whether it is the lab's own site.
  type: bool
  returned: success
owners:
  description:
    - Who keeps its pods, each with C(kind), C(name), C(replicas) (how many) and C(stranded) (those that
      the fault takes, and whose place nobody takes before the node is back).
  type: list
  elements: dict
  returned: success
max_skew:
  description: How unevenly the pods may be spread afterwards; none if they do not ask for an even spread.
  type: int
  returned: success
outage:
  description: Why a loss of service is expected, in a sentence; empty if it is not.
  type: str
  returned: success
unproven:
  description: What this run cannot show, a sentence each.
  type: list
  elements: str
  returned: success
autoscalers:
  description: Who changes C(replicas) as they see fit, by name.
  type: list
  elements: str
  returned: success
pods:
  description: The application's pods, each with C(pod), C(uid) and C(node).
  type: list
  elements: dict
  returned: success
displaced:
  description: Those of C(pods) that the fault takes, so that others take their place.
  type: list
  elements: dict
  returned: success
asked_services:
  description: To which of C(services) the address leads; none where that is not known.
  type: list
  elements: str
  returned: success
unasked:
  description: The application's pods of which no answer is to be expected there.
  type: list
  elements: str
  returned: success
others:
  description: Pods that are not the application's, and that a drain evicts as well; namespace and name.
  type: list
  elements: str
  returned: success
struck:
  description: Those of C(pods) whose containers start again where they are.
  type: list
  elements: dict
  returned: success
containers:
  description:
    - Of each of them the UID and the ids of its containers, the application's first, as C(UID=ID+ID).
  type: list
  elements: str
  returned: success
meets_all:
  description:
    - Whether a client meets each pod in its turn, by the traffic policies and affinities of
      C(asked_services). Where it does not, all pods are C(unasked).
  type: bool
  returned: success
timings:
  description:
    - How fast the cluster notices and replaces, in seconds, as it is set. C(grace_s), C(monitor_period_s),
      C(lease_s), C(toleration_s) (none means for ever), and C(pod_start_s), the shortest time from creation
      to readiness among the present pods (none if no pod tells).
  type: dict
  returned: success
overridden:
  description: What spoke against it, a sentence each, and does not count because of O(force).
  type: list
  elements: str
  returned: success
"""

from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module
from ansible_collections.failover_lab.lab.plugins.module_utils.arguments import APPLICATION, ENGINE

from failover_lab.faults import preflight


def main() -> None:
    """Run the module."""
    cluster_module.run(
        {
            **APPLICATION,
            **ENGINE,
            "kind": {"type": "str", "default": "drain"},
            "image": {"type": "str", "default": ""},
            "node": {"type": "str", "default": "auto"},
            "pods": {"type": "str", "choices": ["one", "all"], "default": "one"},
            "force": {"type": "bool", "default": False},
            "may_lose": {
                "type": "list",
                "elements": "str",
                "choices": ["orphans", "emptydir"],
                "default": [],
            },
            "recovery": {
                "type": "str",
                "choices": ["automatic", "watchdog", "manual"],
                "default": "automatic",
            },
            "url": {"type": "str", "default": ""},
            "resolve": {"type": "list", "elements": "str", "default": []},
        },
        lambda cluster, module: preflight.look(cluster, module.params),
    )


if __name__ == "__main__":
    main()
