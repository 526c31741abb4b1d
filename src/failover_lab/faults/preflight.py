"""Chooses the node to break, or says in one sentence why none can be."""

from __future__ import annotations

import argparse
import ipaddress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.errors import UserError
from failover_lab.faults import containers, granted, kinds, replaced, rolling, rules
from failover_lab.faults.capacity import HOSTNAME
from failover_lab.faults.placement import takes
from failover_lab.faults.snapshot import Refusal, Snapshot, Wanted
from failover_lab.kube import application, speakers, timings, zones
from failover_lab.kube.announcer import announcer
from failover_lab.kube.leaders import MANAGER, takeovers_of
from failover_lab.kube.objects import (
    address_of,
    internal_address,
    is_daemons,
    is_orphan,
    is_schedulable,
    name_of,
    of,
    port_of,
    title,
    url_of,
)
from failover_lab.kube.reach import answers_at, hindrances
from failover_lab.nodes import reported
from failover_lab.probe import options

if TYPE_CHECKING:
    from failover_lab.faults.target import Target
    from failover_lab.kube.application import Application
    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

# What minikube puts on each node.
MINIKUBE = "minikube.k8s.io/version"
# Who gives a lost node's work away instead of Kubernetes.
_BY = {"watchdog": "watchdog", "manual": "operator"}
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


def silent(context: str, service: Object, nodes: list[Object], url: str = "", *, own: bool = True) -> str:
    """That nobody answers at the address, and why not, as far as the cluster tells."""
    causes = hindrances(service, nodes)
    remedy = (
        f"`ansible-playbook status.yml -e lab_profile={context}` shows more, and setup.yml takes back what "
        "the lab itself sets; this machine needs a way to the address."
        if own
        else "This machine needs a way to the address; witness_url names another one."
    )
    return (
        f"Nobody takes a connection at {url or url_of(service)}, so there is nothing to fail over"
        f"{': ' + '; '.join(causes) if causes else ''}. {remedy}"
    )


@dataclass(frozen=True)
class Door:
    """Where users come in.

    Attributes:
        url: as it was given, or that of the Service.
        path: to ask for beside it.
        service: that stands for the address: the first that has one, or the first.
        there: host and port of each address that is asked.
        leads_to: the Services to which it leads, by name; none where that is not known.
    """

    url: str
    path: str
    service: Object
    there: tuple[tuple[str, int], ...]
    leads_to: tuple[str, ...]

    @property
    def address(self) -> str:
        """The address itself; empty where a name is asked, which may stand for several."""
        host = self.there[0][0]
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            return ""

    @property
    def silent(self) -> bool:
        """Whether nobody takes a connection at any of them."""
        return not any(answers_at(host, port, ANSWER_S) for host, port in self.there)


def door(asked: Object, app: Application, nodes: list[Object]) -> Door:
    """Where users come in: by the address that was given, or by that of the Service.

    Raises:
        Refusal: nobody says where.
        UserError: what was given is no address.
    """
    service = next((one for one in app.services if address_of(one)), app.services[0])
    if not (url := asked.get("url") or ""):
        if not address_of(service):
            raise Refusal(_nowhere(asked, app, nodes))
        if _by_tls(service) and not app.own:
            raise Refusal(
                f"The Service {name_of(service)} is asked by https, and its certificate is for a name: give "
                "witness_url that one, such as https://shop.example.org/; witness_resolve says that it is at "
                f"{address_of(service)}, where nobody else does."
            )
        at = (address_of(service), port_of(service))
        return Door(url_of(service), app.identity_path or "/", service, (at,), (name_of(service),))
    try:
        target = arguments.target(url)
        given = [options.resolution(one) for one in asked.get("resolve") or []]
    except argparse.ArgumentTypeError as error:
        raise UserError(f"witness_url: {error}.") from None
    hosts = options.given_addresses(target, given) or [target.host]
    # What the address says itself is asked for.
    path = app.identity_path if target.path == "/" else ""
    there = tuple((host, target.port) for host in hosts)
    known = tuple(name_of(one) for one in app.services if any(_is_at(one, nodes, at) for at in there))
    # Behind an Ingress or a name, one Service is the one that is meant.
    return Door(
        url, path, service, there, known or tuple(map(name_of, app.services[: len(app.services) == 1]))
    )


def _by_tls(service: Object) -> bool:
    """Whether the first port of a Service is one for https, by its number or its name."""
    first: Object = next(iter(of(service, "spec", "ports", default=[])), {})
    names = (str(first.get("appProtocol") or ""), str(first.get("name") or ""))
    return first.get("port") == 443 or any(name.lower().startswith("https") for name in names)


def _is_at(service: Object, nodes: list[Object], at: tuple[str, int]) -> bool:
    """Whether a Service answers at host and port: by its load balancer, or at a node."""
    ports = of(service, "spec", "ports", default=[])
    given = {(address_of(service), int(port["port"])) for port in ports}
    hosts = {one.get("address") for node in nodes for one in of(node, "status", "addresses", default=[])}
    return at in given or (at[0] in hosts and at[1] in {port.get("nodePort") for port in ports})


def _nowhere(asked: Object, app: Application, nodes: list[Object]) -> str:
    """That the Services have no address, and which might be given."""
    if app.own:
        return (
            f"There is no site with an address in {asked['context']}: run "
            f"`ansible-playbook setup.yml -e lab_profile={asked['context']}` first."
        )
    names = ", ".join(map(name_of, app.services))
    ports = [
        port["nodePort"]
        for one in app.services
        for port in of(one, "spec", "ports", default=[])
        if port.get("nodePort")
    ]
    address = next(filter(None, map(internal_address, reversed(nodes))), "")
    hint = f" (http://{arguments.authority(address, ports[0])} is its NodePort)" if ports and address else ""
    return (
        f"The Service {names} in namespace {app.namespace} of {asked['context']} has no address of a load "
        f"balancer: give witness_url the one at which its users ask{hint}, be it a node's, an Ingress's or a "
        "name."
    )


def _unproven(snapshot: Snapshot, node: Target, wanted: Wanted, users: Door) -> list[str]:
    """What this run cannot show, a sentence each."""
    struck = snapshot.struck(node, wanted)
    found = [why for pod in struck if (why := replaced.never(pod, wanted.fault, wanted.recovery))]
    found += [why for pod in struck if (why := replaced.unknown(pod))]
    stay = [name_of(pod) for pod in snapshot.there(node) if is_daemons(pod)] if wanted.fault.evicts else []
    if stay:
        belongs = "belongs" if len(stay) == 1 else "belong"
        found.append(
            f"{', '.join(stay)} {belongs} to a DaemonSet, which a {wanted.kind} leaves on {node}: nothing is "
            "displaced there, so nothing is seen of replacements"
        )
    if not snapshot.application.meets_all(users.leads_to):
        found.append(
            f"by the traffic policy or the affinity of {', '.join(users.leads_to)}, a client at {users.url} "
            "meets some of the pods alone: whether each of them answers is not seen; they are known by their "
            "readiness alone"
        )
    elif unasked := _unasked(snapshot, users):
        to = ", ".join(users.leads_to)
        led = f"leads to {to} alone" if to else "may lead to any of the Services"
        found.append(
            f"{users.url} {led}: whether {', '.join(unasked)} and what comes in their place answer is "
            "not seen; they are known by their readiness alone"
        )
    return found + list(filter(None, [rules.outage(snapshot, node, wanted)]))


def _unasked(snapshot: Snapshot, users: Door) -> list[str]:
    """The pods of which no answer is to be expected at the address."""
    app = snapshot.application
    heard = {name_of(pod) for pod in app.heard(snapshot.site_pods, users.leads_to)}
    return [name_of(pod) for pod in snapshot.site_pods if name_of(pod) not in heard]


def _skew(app: Application, pods: list[Object]) -> int | None:
    """How unevenly the pods may be spread over nodes afterwards; None: they do not ask for an even spread."""
    if app.own:
        return 1
    # Of several kinds each is spread by itself.
    found = [_skew_of(pods[0]) for pods in application.alike(pods)]
    return sum(found) if found and all(found) else None


def _skew_of(pod: Object) -> int:
    """What a pod's strictest rule on the spread over nodes allows; 0: it has none that forbids."""
    rules_of_it = of(pod, "spec", "topologySpreadConstraints", default=[])
    strict = [
        int(rule.get("maxSkew", 1))
        for rule in rules_of_it
        if rule.get("topologyKey") == HOSTNAME and rule.get("whenUnsatisfiable") != "ScheduleAnyway"
    ]
    return min(strict, default=0)


def look(cluster: Cluster, asked: Object) -> Object:
    """Judge the cluster; the module's arguments say what is asked.

    Raises:
        Refusal: the fault must not be.
        UserError: there is no such kind, or no such application.
    """
    wanted = Wanted(
        asked["kind"],
        asked["node"],
        asked["pods"],
        asked["force"],
        tuple(asked.get("may_lose") or ()),
        asked.get("recovery") or "automatic",
        asked.get("image") or "",
    )
    kinds.of(wanted.kind)
    # First: one that never answers is known after one time-out.
    version = cluster.answers()
    namespace = asked["namespace"]
    pods = cluster.pods()
    app, _ = application.read(cluster, asked, pods=pods)
    nodes = cluster.nodes()
    users = door(asked, app, nodes)
    leaders = cluster.leaders()
    snapshot = Snapshot(
        nodes=nodes,
        pods=pods,
        application=app,
        budgets=cluster.budgets(),
        announcer=announcer(cluster, nodes, namespace, users.service, users.address),
        engine=reported.by_name(asked["engine"]),
        quotas=cluster.quotas(namespace),
        limit_ranges=cluster.limit_ranges(namespace),
        pinned=users.address in {internal_address(node) for node in nodes} - {""},
        leader=leaders[MANAGER].node,
    )
    snapshot.volumes = cluster.volumes(namespace, snapshot.site_pods)
    node, overridden = rules.judge(snapshot, wanted)
    granted.insist(cluster, wanted.fault, namespace, app.owners, asked["context"])
    if users.silent:
        raise Refusal(silent(asked["context"], users.service, nodes, users.url, own=app.own))
    restarted = containers.restarted(snapshot.struck(node, wanted), wanted.fault)
    wait_s = zones.eviction_wait_s(nodes, node.nodes)
    chosen = [item for item in snapshot.nodes if name_of(item) in node]
    first = chosen[0] if chosen else {}
    return {
        "kind": wanted.kind,
        "evicts": wanted.fault.polite,
        "node": node.name,
        "target": str(node),
        "targets": list(node.nodes),
        "node_uid": of(first, "metadata", "uid", default=""),
        "identities": [snapshot.engine[one].id if one in snapshot.engine else "" for one in node.nodes],
        "addresses": [internal_address(item) for item in chosen],
        "announcer": snapshot.announcer,
        "address": users.address or address_of(users.service),
        "url": users.url,
        "path": users.path,
        "meets_all": app.meets_all(users.leads_to),
        "kubernetes": version,
        "minikube": minikube_of(snapshot.nodes),
        "nodes": [name_of(item) for item in snapshot.nodes],
        "control_planes": sorted(snapshot.controls),
        "eligible_nodes": [
            name_of(item)
            for item in snapshot.nodes
            if (is_schedulable(item) if app.own else any(takes(item, pod) for pod in snapshot.site_pods))
            and (name_of(item) not in node or not wanted.fault.moves_pods)
        ],
        **_expected(snapshot, node, wanted),
        "unproven": _unproven(snapshot, node, wanted, users),
        "asked_services": list(users.leads_to),
        "unasked": _unasked(snapshot, users),
        "autoscalers": [
            name for owner in app.owners for name in cluster.autoscalers(namespace, owner.name, owner.kind)
        ],
        "pods": [row(pod) for pod in snapshot.site_pods],
        "displaced": [row(pod) for pod in snapshot.displaced(node, wanted)],
        "struck": [row(pod) for pod in restarted],
        "containers": containers.told(restarted),
        "others": [title(pod) for pod in snapshot.moving(node) if not app.selects(pod)]
        if wanted.fault.evicts
        else [],
        "timings": timings.timings_of(
            snapshot.pods, snapshot.site_pods, cluster.lease(node.nodes[0]) if node else None, version
        )
        | speakers.timings_of(cluster, snapshot.pods)
        | containers.timings_of(restarted)
        | (takeovers_of(leaders, node.nodes) if len(snapshot.controls) > 1 else {})
        | {"waves": rolling.waves(app), "eviction_wait_s": wait_s},
        "fits": _fits(snapshot, node, wanted, wait_s),
        "overridden": overridden,
    }


def _fits(snapshot: Snapshot, node: Target, wanted: Wanted, wait_s: float) -> list[str]:
    """Of a whole zone: who has to fit where, and how Kubernetes holds evictions back; a sentence each."""
    if not node.zone or not wanted.fault.moves_pods:
        return []
    left = [name_of(item) for item in snapshot.nodes if is_schedulable(item) and name_of(item) not in node]
    pods = [name_of(pod) for pod in snapshot.struck(node, wanted)]
    found = [f"{', '.join(pods)} on {node} have to fit on {', '.join(left)}"]
    if wait_s:
        by = "" if wanted.recovery == "automatic" else f"; the {_BY[wanted.recovery]} does not wait for that"
        found.append(
            f"by itself Kubernetes empties a node each {1 / zones.RATE:g} s, so the last of "
            f"{len(node.nodes)} {wait_s:g} s after the first{by}"
        )
    return found


def _expected(snapshot: Snapshot, node: Target, wanted: Wanted) -> Object:
    """What there is of the application, and what is to be expected of it afterwards."""
    app = snapshot.application
    struck = snapshot.struck(node, wanted)
    alone = {name_of(pod) for pod in struck if is_orphan(pod) and wanted.fault.replaces_pods}
    held = [
        pod
        for pod in struck
        if replaced.never(pod, wanted.fault, wanted.recovery) and name_of(pod) not in alone
    ]
    # What is gone for good is nobody's to wait for.
    owners = [
        replace(owner, stranded=sum(map(owner.owns, held)))
        for owner in app.owners
        if owner.kind != "Pod" or owner.name not in alone
    ]
    return {
        "namespace": app.namespace,
        "services": [name_of(one) for one in app.services],
        "own": app.own,
        "owners": [owner.row() for owner in owners],
        "replicas": sum(owner.wanted for owner in owners),
        "max_skew": _skew(app, snapshot.site_pods),
        "outage": rules.outage(snapshot, node, wanted),
    }
