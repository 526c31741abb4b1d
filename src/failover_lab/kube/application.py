"""The application: the pods behind a Service, or several, whoever owns them; and what is wanted of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.names import LAB, MANAGED_BY
from failover_lab.kube.objects import (
    ENDED,
    Object,
    controller_of,
    identity_path,
    is_leaving,
    is_ready,
    name_of,
    of,
)
from failover_lab.kube.reach import meets_all
from failover_lab.kube.selectors import selects

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from failover_lab.kube.cluster import Cluster

# Those whose objects say how many pods they want, by their names in a path.
KINDS = {
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
}
#: Those that replace their pods by a strategy of their own, once their template is another one.
ROLLABLE = ("Deployment", "StatefulSet", "DaemonSet")
_APPS = "apps/"


def is_ours(thing: Object) -> bool:
    """Whether the lab itself has brought an object to the cluster, as its label says."""
    return bool(of(thing, "metadata", "labels", MANAGED_BY) == LAB)


class Absent(UserError):  # noqa: N818 - it is an answer, not a mishap
    """One sentence: what there is not, and what to do."""


@dataclass(frozen=True)
class Owner:
    """Who keeps some of the application's pods.

    Attributes:
        kind: such as ``Deployment``; ``Pod`` of one that nobody keeps.
        name: its own.
        found: as the API has it; None of a kind that does not say here how many pods it wants.
        counted: how many of its pods there were when somebody looked last.
        partly: whether the Services select only some of its pods, by labels that are not in its template.
        stranded: how many of these a lost node takes along, so that nobody puts others in their place.
    """

    kind: str
    name: str
    found: Object | None = None
    counted: int = 0
    partly: bool = False
    stranded: int = 0

    @property
    def title(self) -> str:
        """Kind and name."""
        return f"{self.kind} {self.name}"

    @property
    def says(self) -> bool:
        """Whether it says itself how many pods there should be behind the Services."""
        return self.found is not None and not self.partly

    @property
    def wanted(self) -> int:
        """How many pods there should be; of one that does not say, as many as there were."""
        if self.found is None or self.partly:
            return self.counted
        if self.kind == "DaemonSet":
            return int(of(self.found, "status", "desiredNumberScheduled", default=0))
        return int(of(self.found, "spec", "replicas", default=1))

    def owns(self, pod: Object) -> bool:
        """Whether a pod of the application is one of its own."""
        if self.found is not None:
            return selects(of(self.found, "spec", "selector"), of(pod, "metadata", "labels", default={}))
        return keeper_of(pod) == (self.kind, self.name)

    def row(self) -> Object:
        """As a plan tells of it, and ``read`` takes it back."""
        return {"kind": self.kind, "name": self.name, "replicas": self.wanted, "stranded": self.stranded}


@dataclass(frozen=True)
class Application:
    """What users get answers from.

    Attributes:
        namespace: where it is.
        selectors: each pod that one of these means is part of it.
        services: by which users reach it, as the API has them.
        owners: of its pods.
        own: whether it is the lab's own site, of which the lab knows more, and which it may change.
    """

    namespace: str
    selectors: tuple[Object, ...]
    services: tuple[Object, ...] = ()
    owners: tuple[Owner, ...] = ()
    own: bool = False

    @classmethod
    def of_deployment(cls, deployment: Object) -> Application:
        """That of the lab's own Deployment, by its selector."""
        return cls(
            str(of(deployment, "metadata", "namespace", default="")),
            (of(deployment, "spec", "selector", default={}),),
            owners=(Owner("Deployment", str(of(deployment, "metadata", "name", default="")), deployment),),
            own=True,
        )

    @property
    def called(self) -> str:
        """What a sentence calls it."""
        return "the site" if self.own else "the application"

    @property
    def identity_path(self) -> str:
        """The path at which it says who answered; empty where it says so nowhere."""
        for owner in self.owners:
            if owner.found is not None and (path := identity_path(owner.found, own=self.own)):
                return path
        return ""

    def selects(self, pod: Object) -> bool:
        """Whether a pod is part of it."""
        labels = of(pod, "metadata", "labels", default={})
        return pod["metadata"].get("namespace") == self.namespace and any(
            selects(selector, labels) for selector in self.selectors
        )

    def is_behind(self, pod: Object, services: Iterable[str]) -> bool:
        """Whether one of these Services, by their names, sends to a pod."""
        wanted, labels = {*services}, of(pod, "metadata", "labels", default={})
        return any(
            name_of(service) in wanted and selects({"matchLabels": service["spec"]["selector"]}, labels)
            for service in self.services
        )

    def heard(self, pods: Iterable[Object], services: Iterable[str]) -> list[Object]:
        """Those of the pods of which an answer is to be expected where these Services are asked.

        None, where a client does not meet each of them in its turn.
        """
        wanted = {*services}
        if not self.meets_all(wanted):
            return []
        return [pod for pod in pods if self.is_behind(pod, wanted)]

    def meets_all(self, services: Iterable[str]) -> bool:
        """Whether a client of these Services meets each of their pods in its turn."""
        wanted = {*services}
        return all(meets_all(service) for service in self.services if name_of(service) in wanted)

    def pods_among(self, pods: Iterable[Object]) -> list[Object]:
        """Its own among pods, by name; those that have ended or are on their way out left aside."""
        return sorted(
            (
                pod
                for pod in pods
                if self.selects(pod) and not is_leaving(pod) and of(pod, "status", "phase") not in ENDED
            ),
            key=name_of,
        )

    @property
    def replicas(self) -> int:
        """How many pods are wanted in all."""
        return sum(owner.wanted for owner in self.owners)

    def missing(self, pods: list[Object], without_nodes: Collection[str] = ()) -> str | None:
        """What its pods lack; None if nothing.

        Args:
            pods: its own.
            without_nodes: they are lost: no pod there counts, nor is one that they took along waited for.
        """
        here = [pod for pod in pods if is_ready(pod) and of(pod, "spec", "nodeName") not in without_nodes]
        for owner in self.owners:
            wanted = owner.wanted - (owner.stranded if without_nodes else 0)
            ready = sum(map(owner.owns, here))
            if ready < wanted:
                where = f" on other nodes than {', '.join(without_nodes)}" if without_nodes else ""
                return f"{ready} of {wanted} pods of {owner.title} ready{where}"
        return None


def read(
    cluster: Cluster, asked: Object, rows: Sequence[Object] = (), pods: list[Object] | None = None
) -> tuple[Application, list[Object]]:
    """The application that a module's arguments mean, and its pods.

    Args:
        cluster: where to look.
        asked: has ``context``, ``namespace``, ``service`` (names) and maybe ``deployment``, beside which no
            other owner counts.
        rows: its owners, as a plan tells of them; without, those of the pods that are there.
        pods: every pod of the cluster, where they are known.

    Raises:
        Absent: there is no such Service or Deployment, or nobody could say which pods are behind it.
        RefusedError: the API server said no.
    """
    namespace = asked["namespace"]
    services = tuple(_service(cluster, asked, name) for name in names_of(asked["service"]))
    selectors = tuple({"matchLabels": service["spec"]["selector"]} for service in services)
    result = Application(namespace, selectors, services)
    found = result.pods_among(cluster.pods_in(namespace) if pods is None else pods)
    owners = [_known(cluster, result, row) for row in rows] or _owners(cluster, result, found)
    if wanted := asked.get("deployment"):
        owners = [owner for owner in owners if (owner.kind, owner.name) == ("Deployment", wanted)]
        if not owners:
            raise Absent(
                f"No pod behind the Service {', '.join(map(name_of, services))} in namespace {namespace} of "
                f"{asked['context']} is of a Deployment {wanted}: leave out fault_deployment, by which no "
                "other pods count, or name another."
            )
        result = replace(result, selectors=(of(owners[0].found or {}, "spec", "selector"),))
        found = result.pods_among(found)
    things = [owner.found or {} for owner in owners] or services
    own = all(map(is_ours, things))
    return replace(result, owners=tuple(owners), own=own), found


def alike(pods: Iterable[Object]) -> list[list[Object]]:
    """Pods by their controllers: those together that have one, and so one spec."""
    found: dict[tuple[str, str], list[Object]] = {}
    for pod in pods:
        found.setdefault(keeper_of(pod), []).append(pod)
    return list(found.values())


def names_of(services: Sequence[str] | str) -> list[str]:
    """Names of Services, from a list or from one text with commas between."""
    parts = services.split(",") if isinstance(services, str) else services
    return list(dict.fromkeys(name for part in parts if (name := part.strip())))


def _service(cluster: Cluster, asked: Object, name: str) -> Object:
    service = cluster.service(asked["namespace"], name)
    where = f"in namespace {asked['namespace']} of {asked['context']}"
    if service is None:
        raise Absent(
            f"There is no Service {name} {where}, so there is nothing to break: fault_namespace and "
            "fault_service name one that is there (`kubectl get services --all-namespaces`); the lab's own "
            f"site is brought by `ansible-playbook setup.yml -e lab_profile={asked['context']}`."
        )
    if not of(service, "spec", "selector"):
        raise Absent(
            f"The Service {name} {where} selects no pods: nobody "
            "could say which pods are behind it. Give fault_service another that selects them."
        )
    return service


def _known(cluster: Cluster, application: Application, row: Object) -> Owner:
    """An owner that a plan tells of, as it is now."""
    owner = _looked_up(cluster, application, row["kind"], row["name"])
    return replace(owner, counted=int(row["replicas"]), stranded=int(row.get("stranded") or 0))


def _owners(cluster: Cluster, application: Application, pods: list[Object]) -> list[Owner]:
    """Those of the pods that are there, each once."""
    found: dict[tuple[str, str], Owner] = {}
    for key in dict.fromkeys(map(keeper_of, pods)):
        owner = _looked_up(cluster, application, *_above(cluster, application, *key))
        found.setdefault((owner.kind, owner.name), owner)
    return [
        replace(owner, counted=sum(map(owner.owns, pods)))
        for owner in found.values()
        if any(map(owner.owns, pods))
    ]


def keeper_of(pod: Object) -> tuple[str, str]:
    """Kind and name of whoever keeps a pod; itself, where nobody does."""
    controller = controller_of(pod)
    if controller is None:
        return "Pod", name_of(pod)
    # Another group may have a kind of the same name.
    ours = str(controller.get("apiVersion", _APPS)).startswith(_APPS)
    kind = str(controller.get("kind", ""))
    return (kind if ours or kind not in KINDS else f"other {kind}"), str(controller.get("name", ""))


def _above(cluster: Cluster, application: Application, kind: str, name: str) -> tuple[str, str]:
    """Who keeps a ReplicaSet, where that is a Deployment."""
    if kind != "ReplicaSet":
        return kind, name
    parent = controller_of(cluster.workload(application.namespace, KINDS[kind], name) or {}) or {}
    if parent.get("kind") == "Deployment" and str(parent.get("apiVersion", _APPS)).startswith(_APPS):
        return "Deployment", str(parent["name"])
    return kind, name


def _looked_up(cluster: Cluster, application: Application, kind: str, name: str) -> Owner:
    if kind == "Pod":
        return Owner(kind, name, counted=1)
    found = cluster.workload(application.namespace, KINDS[kind], name) if kind in KINDS else None
    labels = of(found or {}, "spec", "template", "metadata", "labels", default={})
    partly = found is not None and not any(selects(one, labels) for one in application.selectors)
    return Owner(kind, name, found, partly=partly)
