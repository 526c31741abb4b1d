"""The application is the pods behind its Services, whoever owns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from failover_lab.kube import application, rollout

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster

Object = dict[str, Any]
ASKED = {"context": "prod", "namespace": "shop", "service": ["web"], "deployment": ""}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def pod(name: str, kind: str = "", owner: str = "", node: str = "n1", **more: Any) -> Object:
    labels = more.pop("labels", {"app": "web"})
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "labels": labels}
    group = more.pop("group", "apps/v1")
    if kind:
        meta["ownerReferences"] = [{"kind": kind, "name": owner, "apiVersion": group, "controller": True}]
    return {"metadata": meta | more, "spec": {"nodeName": node}, "status": {"phase": "Running"} | READY}


def keeper(name: str, wants: int, labels: Object | None = None, **more: Any) -> Object:
    labels = labels or {"app": "web"}
    template = {"metadata": {"labels": more.pop("template", labels)}}
    return {
        "metadata": {"name": name} | more,
        "spec": {"replicas": wants, "selector": {"matchLabels": labels}, "template": template},
        "status": {"desiredNumberScheduled": wants},
    }


OF_A_DEPLOYMENT: Object = {"ownerReferences": [{"kind": "Deployment", "name": "web", "controller": True}]}


class Played:
    """A namespace: its pods, Services and workloads by their paths."""

    def __init__(self, pods: list[Object], **workloads: Object) -> None:
        self.pods = pods
        self.workloads = {tuple(key.split("__")): found for key, found in workloads.items()}
        self.services: dict[str, Object] = {"web": {"app": "web"}}

    def pods_in(self, _: str) -> list[Object]:
        return self.pods

    def service(self, _: str, name: str) -> Object | None:
        if name not in self.services:
            return None
        return {"metadata": {"name": name}, "spec": {"selector": self.services[name]}}

    def workload(self, _: str, kind: str, name: str) -> Object | None:
        return self.workloads.get((kind, name.replace("-", "_")))


def read(played: Played, *rows: Object, **asked: Any) -> tuple[application.Application, list[Object]]:
    return application.read(cast("Cluster", played), ASKED | asked, rows)


REPLICAS = keeper("web-1", 2, **OF_A_DEPLOYMENT)


@pytest.mark.parametrize(
    ("pods", "workloads", "owner", "wanted"),
    [
        (
            [pod("a", "ReplicaSet", "web-1")],
            {"replicasets__web_1": REPLICAS, "deployments__web": keeper("web", 2)},
            "Deployment web",
            2,
        ),
        (
            [pod("a", "ReplicaSet", "web-1")],
            {"replicasets__web_1": keeper("web-1", 3)},
            "ReplicaSet web-1",
            3,
        ),
        ([pod("db-0", "StatefulSet", "db")], {"statefulsets__db": keeper("db", 2)}, "StatefulSet db", 2),
        ([pod("d1", "DaemonSet", "d")], {"daemonsets__d": keeper("d", 4)}, "DaemonSet d", 4),
        ([pod("alone")], {}, "Pod alone", 1),
        # It does not say here how many it wants: as many as there are.
        ([pod("r1", "Rollout", "r"), pod("r2", "Rollout", "r")], {}, "Rollout r", 2),
        ([pod("x", "StatefulSet", "x", group="apps.kruise.io/v1")], {}, "other StatefulSet x", 1),
        # A label that is not in the template is put on some of its pods by somebody else.
        (
            [pod("pg-0", "StatefulSet", "pg")],
            {"statefulsets__pg": keeper("pg", 3, template={"app": "pg"})},
            "StatefulSet pg",
            1,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whoever_owns_its_pods(pods: list[Object], workloads: Object, owner: str, wanted: int) -> None:
    app, found = read(Played(pods, **workloads))
    assert ([one.title for one in app.owners], app.replicas) == ([owner], wanted)
    assert [item["metadata"]["name"] for item in found] == [item["metadata"]["name"] for item in pods]
    assert not app.own
    # A plan's rows give the same back, though no pod is there to go by.
    again, _ = read(Played([], **workloads), *[one.row() for one in app.owners])
    assert [one.row() for one in again.owners] == [one.row() for one in app.owners]


def test_several_services_are_one_application() -> None:
    pods = [
        pod("a", "ReplicaSet", "web-1"),
        pod("b", labels={"app": "api"}),
        pod("c", labels={"app": "else"}),
    ]
    played = Played(pods, replicasets__web_1=REPLICAS, deployments__web=keeper("web", 1))
    played.services["api"] = {"app": "api"}
    for services in (["web", "api"], "web, api"):
        app, found = read(played, service=services)
        assert [one.title for one in app.owners] == ["Deployment web", "Pod b"]
        assert [item["metadata"]["name"] for item in found] == ["a", "b"]
    app, found = read(played, service="web,api", deployment="web")
    assert ([one.title for one in app.owners], [item["metadata"]["name"] for item in found]) == (
        ["Deployment web"],
        ["a"],
    )
    with pytest.raises(application.Absent, match="is of a Deployment other: leave out fault_deployment"):
        read(played, deployment="other")


@pytest.mark.parametrize(
    ("selector", "said"),
    [("none", "There is no Service none in namespace shop of prod"), ("headless", "selects no pods: nobody")],
)
def test_a_service_that_leads_to_no_pods_is_said(selector: str, said: str) -> None:
    played = Played([])
    played.services["headless"] = {}
    with pytest.raises(application.Absent, match=said):
        read(played, service=[selector])


def test_what_is_missing_is_told_by_owner() -> None:
    web, db = keeper("web", 2), keeper("db", 1, {"app": "db"})
    workloads = {"replicasets__web_1": REPLICAS, "deployments__web": web, "statefulsets__db": db}
    pods = [
        pod("a", "ReplicaSet", "web-1"),
        pod("b", "ReplicaSet", "web-1", "n2"),
        pod("db-0", "StatefulSet", "db", labels={"app": "db"}),
    ]
    played = Played(pods, **workloads)
    played.services["db"] = {"app": "db"}
    app, found = read(played, service="web,db")
    assert app.missing(found) is None
    assert app.missing(found[:1] + found[2:]) == "1 of 2 pods of Deployment web ready"
    assert app.missing(found, ["n1"]) == "1 of 2 pods of Deployment web ready on other nodes than n1"
    # More than one wants does not make up for another's lack.
    web["spec"]["replicas"] = 1
    assert app.missing(found[:2]) == "0 of 1 pods of StatefulSet db ready"
    # What its node took along is not waited for before that is back.
    rows = [one.row() | {"stranded": 1 if one.name == "db" else 0} for one in app.owners]
    app, found = read(played, *rows, service="web,db")
    assert app.missing(found, ["n1"]) is None
    assert app.missing(found[:2]) == "0 of 1 pods of StatefulSet db ready"


def test_the_lab_s_own_site_is_known_by_its_label() -> None:
    ours = keeper("web", 1, labels={"app": "web"})
    ours["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "failover-lab"}
    played = Played([pod("a", "ReplicaSet", "web-1")], replicasets__web_1=REPLICAS, deployments__web=ours)
    app, _ = read(played)
    assert (app.own, app.identity_path) == (True, "/whoami")
    ours["metadata"]["labels"] = {}
    app, _ = read(played)
    assert (app.own, app.identity_path) == (False, "")


def test_a_rollout_is_over_once_the_pods_are_of_the_newest_template() -> None:
    """Those of before are ready all the while, which is all that is asked after anything else."""
    db = keeper("db", 1, {"app": "db"})
    db["metadata"]["generation"] = 2
    db["status"] = {"observedGeneration": 2, "updatedReplicas": 0, "readyReplicas": 1, "availableReplicas": 1}
    played = Played([pod("db-0", "StatefulSet", "db", labels={"app": "db"})], statefulsets__db=db)
    played.services["db"] = {"app": "db"}
    asked = {"context": "prod", "namespace": "shop", "service": "db", "owners": [], "without_nodes": []}

    def lack(**more: Any) -> str | None:
        return rollout.look(cast("Cluster", played), asked | more)[1]

    assert lack() is None
    why = "The application behind the Service db is not whole: StatefulSet db is not rolled out"
    assert lack(rolled_out=True) == f"{why} (0 of 1 pods of the newest template)"
    db["status"]["updatedReplicas"] = 1
    assert lack(rolled_out=True) is None
    played.pods.append(pod("db-1", "StatefulSet", "db", labels={"app": "db"}))
    assert lack(rolled_out=True) == f"{why} (2 of 1 pods listed as ready)", "the list lags behind"


def test_where_a_client_does_not_meet_all_none_is_asked() -> None:
    played = Played(
        [pod("a", "ReplicaSet", "web-1")], replicasets__web_1=REPLICAS, deployments__web=keeper("web", 1)
    )
    app, found = read(played)
    assert app.heard(found, ["web"]) == found
    assert app.heard(found, []) == []
    app.services[0]["spec"]["sessionAffinity"] = "ClientIP"
    assert (app.heard(found, ["web"]), app.meets_all(["web"])) == ([], False)
