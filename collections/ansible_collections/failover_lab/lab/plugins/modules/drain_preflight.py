#!/usr/bin/python
"""Chooses the node to drain, or says in one sentence why none can be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drain_preflight
short_description: Choose the node to drain and tell what runs there, or refuse
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Looks at nodes, pods and disruption budgets, and refuses a drain that could not succeed, with one sentence
    that names the remedy. Changes nothing.
options:
  context:
    description: The kubectl context of the cluster.
    type: str
    required: true
  kubeconfig:
    description: The kubeconfig that holds O(context). By default the usual one.
    type: path
  namespace:
    description: Where the Deployment and the Service are.
    type: str
    required: true
  deployment:
    description: The name of the Deployment.
    type: str
    required: true
  service:
    description: The name of the Service.
    type: str
    required: true
  node:
    description: The node to drain, or V(auto) for the worker that carries most of the Deployment's pods.
    type: str
    default: auto
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode.
"""

EXAMPLES = r"""
- name: Choose the node to drain
  failover_lab.lab.drain_preflight:
    context: failover-lab
    namespace: site
    deployment: site
    service: site
"""

RETURN = r"""
node:
  description: The node to drain.
  type: str
  returned: success
cordoned:
  description: Whether it is cordoned already.
  type: bool
  returned: success
announcer:
  description: The node that announces the Service's address, as MetalLB says; none if it does not say.
  type: str
  returned: success
address:
  description: The Service's address.
  type: str
  returned: success
kubernetes:
  description: The version of the API server.
  type: str
  returned: success
nodes:
  description: All nodes, by name.
  type: list
  elements: str
  returned: success
eligible_nodes:
  description: The nodes that take pods once O(node) is drained.
  type: list
  elements: str
  returned: success
replicas:
  description: How many pods the Deployment wants.
  type: int
  returned: success
pods:
  description: The Deployment's pods, each with C(pod), C(uid) and C(node).
  type: list
  elements: dict
  returned: success
displaced:
  description: Those of C(pods) that are on C(node).
  type: list
  elements: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.failover_lab.lab.plugins.module_utils import drain_rules as rules
from ansible_collections.failover_lab.lab.plugins.module_utils.cluster import (
    Cluster,
    Object,
    address_of,
    guarded,
    is_schedulable,
    of,
)


def row(pod: Object) -> Object:
    """A pod as this module tells of it."""
    return {"pod": rules.name_of(pod), "uid": pod["metadata"]["uid"], "node": of(pod, "spec", "nodeName")}


def look(wanted: Object) -> Object:
    """Judge the cluster.

    Raises:
        rules.Refusal: the drain could not succeed.
    """
    cluster = Cluster(wanted["context"], wanted["kubeconfig"])
    namespace = wanted["namespace"]
    deployment = cluster.deployment(namespace, wanted["deployment"])
    service = cluster.service(namespace, wanted["service"])
    if deployment is None or service is None or not address_of(service):
        raise rules.Refusal(
            f"There is no site with an address in {wanted['context']}: run "
            f"`ansible-playbook setup.yml -e lab_profile={wanted['context']}` first."
        )
    snapshot = rules.Snapshot(
        nodes=cluster.nodes(),
        pods=cluster.pods(),
        deployment=deployment,
        budgets=cluster.budgets(namespace),
    )
    node = rules.judge(snapshot, wanted["node"])
    chosen = next(item for item in snapshot.nodes if rules.name_of(item) == node)
    return {
        "node": node,
        "cordoned": bool(of(chosen, "spec", "unschedulable", default=False)),
        "announcer": cluster.announcer(namespace, wanted["service"]),
        "address": address_of(service),
        "kubernetes": cluster.version(),
        "nodes": [rules.name_of(item) for item in snapshot.nodes],
        "eligible_nodes": [
            rules.name_of(item)
            for item in snapshot.nodes
            if is_schedulable(item) and rules.name_of(item) != node
        ],
        "replicas": deployment["spec"]["replicas"],
        "pods": [row(pod) for pod in snapshot.site_pods],
        "displaced": [row(pod) for pod in snapshot.on(node)],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "context": {"type": "str", "required": True},
            "kubeconfig": {"type": "path"},
            "namespace": {"type": "str", "required": True},
            "deployment": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "node": {"type": "str", "default": "auto"},
        },
        supports_check_mode=True,
    )
    try:
        result = guarded(module, module.params["context"], lambda: look(module.params))
    except rules.Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
