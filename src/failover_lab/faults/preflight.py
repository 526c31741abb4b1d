"""Chooses the node to break, or says in one sentence why none can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab.faults import containers, kinds, rolling, rules
from failover_lab.kube import timings
from failover_lab.kube.announcer import announcer
from failover_lab.kube.objects import (
    address_of,
    identity_path,
    internal_address,
    is_schedulable,
    name_of,
    of,
    url_of,
)
from failover_lab.kube.reach import answers, hindrances, meets_all
from failover_lab.nodes import reported

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

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


def look(cluster: Cluster, asked: Object) -> Object:
    """Judge the cluster; the module's arguments say what is asked.

    Raises:
        rules.Refusal: the fault must not be.
        UserError: there is no such kind.
    """
    wanted = rules.Wanted(asked["kind"], asked["node"], asked["pods"], asked["force"])
    kinds.of(wanted.kind)
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
    restarted = containers.restarted(snapshot.struck(node, wanted), wanted.fault)
    chosen = next((item for item in snapshot.nodes if name_of(item) == node), {})
    return {
        "kind": wanted.kind,
        "evicts": wanted.fault.polite,
        "node": node,
        "node_uid": of(chosen, "metadata", "uid", default=""),
        "container": snapshot.engine[node].id if node in snapshot.engine else "",
        "internal_address": internal_address(chosen) if chosen else "",
        "cordoned": bool(of(chosen, "spec", "unschedulable", default=False)),
        "announcer": snapshot.announcer,
        "address": address_of(service),
        "url": url_of(service),
        "path": identity_path(deployment) or "/",
        "meets_all": meets_all(service),
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
        "struck": [row(pod) for pod in restarted],
        "containers": containers.told(restarted),
        "timings": timings.timings_of(
            snapshot.pods, snapshot.site_pods, cluster.lease(node) if node else None, version
        )
        | containers.timings_of(restarted)
        | {"waves": rolling.waves(deployment)},
        "overridden": overridden,
    }
