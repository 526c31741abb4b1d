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
    whatever carries the last ready replica. Never drained is a node with a pod that nothing would bring back,
    or that two disruption budgets select. Too few nodes, a disruption budget of any pod on the node, a quota
    that lets no replacement in, a volume that only this node reaches, no room elsewhere, and so many lost
    nodes that Kubernetes would stop replacing their pods, are refused unless O(force).
  - An address at which nobody takes a connection is refused as well.
extends_documentation_fragment: failover_lab.lab.reaching
options:
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
  kind:
    description: What is to be done to the node; a name of src/failover_lab/faults/kinds.yml.
    type: str
    default: drain
  node:
    description:
      - The node to break; V(auto) for the worker that carries most of the Deployment's pods, V(announcer) for
        the node that announces the Service's address, V(other) for a worker as in V(auto) that does not
        announce it.
    type: str
    default: auto
  pods:
    description:
      - Of a kind that spares the node, whether V(one) or V(all) of the Deployment's pods on it are meant.
    type: str
    choices: [one, all]
    default: one
  force:
    description: Break the node although something that is a matter of taste speaks against it.
    type: bool
    default: false
  engine:
    description:
      - What the container engine says of the nodes. Each has C(name), C(id), C(state), and may have
        C(incoming), C(outgoing) (whether the network is cut off) and C(kubelet) (systemd's word). Empty where
        it was not asked.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode.
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
  description: Whether that is done the polite way, by evictions, which should lose no request.
  type: bool
  returned: success
node:
  description: The node to break.
  type: str
  returned: success
node_uid:
  description: The UID of its object; a node that has joined anew has another one.
  type: str
  returned: success
container:
  description: The id of its container; empty where the engine was not asked.
  type: str
  returned: success
internal_address:
  description: The node's own address.
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
url:
  description: The same as a URL, on the Service's first port.
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
  description: How many pods the Deployment wants.
  type: int
  returned: success
autoscalers:
  description: Who changes C(replicas) as they see fit, by name.
  type: list
  elements: str
  returned: success
pods:
  description: The Deployment's pods, each with C(pod), C(uid) and C(node).
  type: list
  elements: dict
  returned: success
displaced:
  description: Those of C(pods) that the fault takes, so that others take their place.
  type: list
  elements: dict
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

from ansible.module_utils.basic import AnsibleModule

from failover_lab.errors import UserError
from failover_lab.faults import kinds, rules
from failover_lab.faults.capacity import name_of
from failover_lab.kube import reaching, timings
from failover_lab.kube.announcer import announcer, internal_address
from failover_lab.kube.cluster import Cluster, Object, address_of, guarded, is_schedulable, of, url_of
from failover_lab.kube.reach import answers, hindrances
from failover_lab.nodes import reported

# What minikube puts on each node.
MINIKUBE = "minikube.k8s.io/version"
# A moment's silence, as while the address moves, is no dead address.
ANSWER_S = 5.0


def row(pod: Object) -> Object:
    """A pod as this module tells of it."""
    return {"pod": name_of(pod), "uid": pod["metadata"]["uid"], "node": of(pod, "spec", "nodeName")}


def minikube_of(nodes: list[Object]) -> str | None:
    """The version of minikube that made them, or each of several."""
    return (
        ", ".join(sorted({of(node, "metadata", "labels", MINIKUBE, default="") for node in nodes} - {""}))
        or None
    )


def silent(context: str, service: Object, nodes: list[Object]) -> str:
    """That nobody answers at the address, and why not, as far as the cluster tells."""
    causes = hindrances(service, nodes)
    return (
        f"Nobody takes a connection at {url_of(service)}, so there is nothing to fail over"
        f"{': ' + '; '.join(causes) if causes else ''}. "
        f"`ansible-playbook status.yml -e lab_profile={context}` shows more, and setup.yml takes back what "
        "the lab itself sets; this machine needs a way to the address."
    )


def look(asked: Object) -> Object:
    """Judge the cluster.

    Raises:
        rules.Refusal: the fault must not be.
        UserError: there is no such kind.
    """
    wanted = rules.Wanted(asked["kind"], asked["node"], asked["pods"], asked["force"])
    kinds.of(wanted.kind)
    cluster = Cluster(asked["context"], asked["kubeconfig"])
    # First: one that never answers is known after one time-out.
    version = cluster.answers()
    namespace = asked["namespace"]
    deployment = cluster.deployment(namespace, asked["deployment"])
    service = cluster.service(namespace, asked["service"])
    if deployment is None or service is None or not address_of(service):
        raise rules.Refusal(
            f"There is no site with an address in {asked['context']}: run "
            f"`ansible-playbook setup.yml -e lab_profile={asked['context']}` first."
        )
    nodes = cluster.nodes()
    snapshot = rules.Snapshot(
        nodes=nodes,
        pods=cluster.pods(),
        deployment=deployment,
        budgets=cluster.budgets(),
        announcer=announcer(cluster, nodes, namespace, service),
        engine=reported.by_name(asked["engine"]),
        quotas=cluster.quotas(namespace),
        limit_ranges=cluster.limit_ranges(namespace),
    )
    snapshot.volumes = cluster.volumes(namespace, snapshot.site_pods)
    node, overridden = rules.judge(snapshot, wanted)
    if not answers(service, ANSWER_S):
        raise rules.Refusal(silent(asked["context"], service, nodes))
    struck = snapshot.struck(node, wanted) if wanted.fault.replaces_pods else []
    chosen = next(item for item in snapshot.nodes if name_of(item) == node)
    return {
        "kind": wanted.kind,
        "evicts": wanted.fault.evicts,
        "node": node,
        "node_uid": chosen["metadata"]["uid"],
        "container": snapshot.engine[node].id if node in snapshot.engine else "",
        "internal_address": internal_address(chosen),
        "cordoned": bool(of(chosen, "spec", "unschedulable", default=False)),
        "announcer": snapshot.announcer,
        "address": address_of(service),
        "url": url_of(service),
        "kubernetes": version,
        "minikube": minikube_of(snapshot.nodes),
        "nodes": [name_of(item) for item in snapshot.nodes],
        "eligible_nodes": [
            name_of(item)
            for item in snapshot.nodes
            if is_schedulable(item) and (name_of(item) != node or not wanted.fault.moves_pods)
        ],
        "replicas": deployment["spec"]["replicas"],
        "autoscalers": cluster.autoscalers(namespace, asked["deployment"]),
        "pods": [row(pod) for pod in snapshot.site_pods],
        "displaced": [row(pod) for pod in struck],
        "timings": timings.timings_of(snapshot.pods, snapshot.site_pods, cluster.lease(node), version),
        "overridden": overridden,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **reaching.ARGUMENTS,
            "namespace": {"type": "str", "required": True},
            "deployment": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "kind": {"type": "str", "default": "drain"},
            "node": {"type": "str", "default": "auto"},
            "pods": {"type": "str", "choices": ["one", "all"], "default": "one"},
            "force": {"type": "bool", "default": False},
            "engine": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        result = guarded(module, module.params["context"], lambda: look(module.params))
    except (rules.Refusal, UserError) as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
