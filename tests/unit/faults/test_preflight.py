"""On an application as it is: what it is, what is refused, and what is said that cannot be shown."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.unit.faults.test_rules import LABELS, NODES, READY, budget, node, pod

from failover_lab.errors import UserError
from failover_lab.faults import preflight
from failover_lab.faults.snapshot import Refusal
from failover_lab.kube import announcer
from failover_lab.kube.leaders import Leader, leaders_of
from failover_lab.kube.rights import Right

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster

Object = dict[str, Any]


def of(kind: str, name: str) -> Object:
    return {"ownerReferences": [{"kind": kind, "name": name, "apiVersion": "apps/v1", "controller": True}]}


def keeper(wants: int) -> Object:
    return {
        "metadata": {},
        "spec": {
            "replicas": wants,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}},
        },
        "status": {"desiredNumberScheduled": wants},
    }


class Played:
    """Somebody's cluster: one application behind the Service web, of one owner."""

    def __init__(
        self, kind: str = "StatefulSet", *where: str, address: str = "127.0.0.1", port: int = 80
    ) -> None:
        metadata = of(kind, "web") if kind else {"ownerReferences": []}
        self.items = [pod(f"web-{i}", at, metadata=metadata) for i, at in enumerate(where or ("m02", "m03"))]
        self.kind = kind
        self.address, self.port = address, port
        self.found = budget(1)
        self.needed: list[Right] = []
        self.refuses = ""

    def answers(self) -> str:
        return "v1.2.3"

    def missing(self, needed: list[Right]) -> str:
        self.needed = needed
        return self.refuses

    def pods(self) -> list[Object]:
        return self.items

    def nodes(self) -> list[Object]:
        return [item | {"metadata": item["metadata"] | {"uid": "u"}} for item in NODES]

    def service(self, *_: str) -> Object:
        ingress = [{"ip": self.address}] if self.address else []
        return {
            "metadata": {"name": "web"},
            "spec": {"selector": LABELS, "ports": [{"port": self.port, "nodePort": 30080}]},
            "status": {"loadBalancer": {"ingress": ingress}},
        }

    def workload(self, _: str, kind: str, __: str) -> Object | None:
        return keeper(len(self.items)) if kind == f"{self.kind.lower()}s" else None

    def budgets(self) -> list[Object]:
        return [self.found]

    def nothing(self, *_: Any) -> list[Object]:
        return []

    quotas = limit_ranges = volumes = autoscalers = announcers = nothing

    def leaders(self) -> dict[str, Leader]:
        return leaders_of([])

    def lease(self, _: str) -> None:
        return None


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "ANSWER_S", 0.2)
    monkeypatch.setattr(announcer, "here", lambda *_: None)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def look(played: Played, **asked: Any) -> Object:
    usual: Object = {"context": "prod", "namespace": "site", "service": "web", "deployment": "", "engine": []}
    usual |= {"kind": "drain", "node": "m02", "pods": "one", "force": False}
    return preflight.look(cast("Cluster", played), usual | asked)


def test_a_stateful_set_is_drained_as_it_is(port: int) -> None:
    plan = look(Played(port=port))
    assert [row["pod"] for row in plan["displaced"]] == ["web-0"]
    assert plan["owners"] == [{"kind": "StatefulSet", "name": "web", "replicas": 2, "stranded": 0}]
    assert (plan["own"], plan["services"], plan["replicas"]) == (False, ["web"], 2)
    assert (plan["path"], plan["max_skew"], plan["outage"], plan["unproven"]) == ("/", None, "", [])
    assert plan["url"] == f"http://127.0.0.1:{port}"


def test_a_drain_leaves_what_a_daemon_set_keeps(port: int) -> None:
    plan = look(Played("DaemonSet", port=port))
    assert plan["displaced"] == []
    (said,) = plan["unproven"]
    assert said.startswith("web-0 belongs to a DaemonSet, which a drain leaves on m02: nothing is displaced")
    assert [row["pod"] for row in look(Played("DaemonSet", port=port), kind="pod")["displaced"]] == ["web-0"]


def test_of_one_replica_a_loss_of_service_is_expected_and_told(port: int) -> None:
    plan = look(Played("Deployment", "m02", port=port))
    assert plan["outage"].startswith("web-0 alone is ready, and this drain takes it: until another is ready")
    assert plan["unproven"] == [plan["outage"]]
    all_of_them = look(Played("Deployment", "m02", "m02", port=port), kind="pod", pods="all")
    assert "all 2 ready pods are on m02" in all_of_them["outage"]
    assert look(Played("Deployment", "m02", "m02", port=port))["outage"] == "", (
        "a drain need not take all at once"
    )


def test_what_its_owner_does_not_tell_is_said(port: int) -> None:
    plan = look(Played("Rollout", port=port))
    (said,) = plan["unproven"]
    assert said.startswith(
        "web-0 belongs to the Rollout web, which does not say here how many pods it wants: "
    )
    assert plan["owners"][0]["replicas"] == 2


@pytest.mark.parametrize("kind", ["drain", "pod"])
def test_a_bare_pod_is_refused_or_let_go_for_good(port: int, kind: str) -> None:
    with pytest.raises(Refusal, match=r"site/web-0 on m02 has no controller.*fault_may_lose=orphans"):
        look(Played("", port=port), kind=kind, force=True)
    plan = look(Played("", port=port), kind=kind, may_lose=["orphans"])
    assert plan["displaced"] == []
    # What is gone for good is not waited for, nor counted.
    assert ([row["name"] for row in plan["owners"]], plan["replicas"]) == (["web-1"], 1)
    assert plan["overridden"][0].startswith("site/web-0 on m02 has no controller")
    assert plan["unproven"] == ["web-0 has no controller: nobody comes in its place"]


def test_nobody_takes_the_place_of_a_stateful_set_s_pod_on_a_lost_node(port: int) -> None:
    with pytest.raises(Refusal, match=r"web-0 on m02 belong to a StatefulSet.*fault_recovery=watchdog"):
        look(Played(port=port), kind="kill")
    assert look(Played(port=port), kind="kill", recovery="watchdog")["displaced"]
    plan = look(Played(port=port), kind="kill", force=True)
    assert (plan["displaced"], plan["owners"][0]["stranded"]) == ([], 1)
    assert (
        "web-0 belongs to a StatefulSet: nobody comes in its place before its node is back"
        in plan["unproven"]
    )


def test_what_somebody_else_keeps_on_the_node_is_refused_or_let_go(port: int) -> None:
    played = Played(port=port)
    other = pod("cache", "m02", metadata={"namespace": "tools", "labels": {}})
    other["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
    played.items[0]["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    items = [*played.items, other]
    played.items = items
    with pytest.raises(Refusal, match=r"^tools/cache on m02 keeps data in an emptyDir.*=emptydir lets"):
        look(played, force=True)
    plan = look(played, may_lose=["emptydir"])
    assert plan["overridden"][0].startswith("tools/cache on m02 keeps data")
    assert plan["others"] == ["tools/cache"]
    assert look(played, kind="pod")["overridden"] == [], "nobody is evicted"
    other["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "failover-lab"}
    assert look(played)["overridden"] == [], "the lab's own keep nothing there"


def test_where_users_come_in(port: int) -> None:
    here = f"http://127.0.0.1:{port}"
    assert (look(Played(address=""), url=f"{here}/shop?a=1")["path"]) == ""
    plan = look(
        Played(address=""), url=f"http://shop.invalid:{port}/", resolve=[f"shop.invalid:{port}:127.0.0.1"]
    )
    assert (plan["url"], plan["path"]) == (f"http://shop.invalid:{port}/", "")
    with pytest.raises(
        Refusal, match=r"The Service web in namespace site of prod has no address.*witness_url"
    ):
        look(Played(address=""))
    with pytest.raises(Refusal, match=r"Nobody takes a connection at http://shop\.invalid/"):
        look(Played(), url="http://shop.invalid/")
    with pytest.raises(Refusal, match=r"web is asked by https.*witness_resolve says that it is at 127"):
        look(Played(port=443))
    with pytest.raises(UserError, match="witness_url: 'shop' is no address"):
        look(Played(), url="shop")


def test_of_several_services_those_answer_to_which_the_address_leads(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played("Deployment", "m02", "m03", port=port)
    played.items[1]["metadata"]["labels"] = {"app": "api"}
    web = played.service()

    def service(_: Played, __: str, name: str) -> Object:
        if name == "web":
            return web
        return {"metadata": {"name": name}, "spec": {"selector": {"app": "api"}, "ports": [{"port": 80}]}}

    monkeypatch.setattr(Played, "service", service)
    plan = look(played, service="web,api")
    assert (plan["asked_services"], plan["unasked"]) == (["web"], ["web-1"])
    assert "leads to web alone: whether web-1 and what comes in their place" in plan["unproven"][0]
    named = {"url": f"http://shop.invalid:{port}", "resolve": [f"shop.invalid:{port}:127.0.0.2"]}
    monkeypatch.setattr(preflight, "answers_at", lambda *_: True)
    plan = look(played, service="web,api", **named)
    assert (plan["asked_services"], plan["unasked"]) == ([], ["web-0", "web-1"])
    assert look(played, **named)["asked_services"] == ["web"], "one alone is the one that is meant"
    plan = look(played, service="web,api", url=f"http://127.0.0.1:{port}/shop")
    assert plan["asked_services"] == ["web"]


def test_an_address_that_is_the_node_s_own_moves_nowhere(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcer, "here", lambda *_: "m02")
    own = [node(n["metadata"]["name"], control_plane=n["metadata"]["name"] == "main") for n in NODES]
    own[1]["status"]["addresses"] = [{"type": "InternalIP", "address": "127.0.0.1"}]
    monkeypatch.setattr(
        Played, "nodes", lambda _: [o | {"metadata": o["metadata"] | {"uid": "u"}} for o in own]
    )
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(Refusal, match="The address that is asked is m02's own, and moves nowhere"):
        look(Played("Deployment"), url=url, kind="kill")
    assert look(Played("Deployment"), url=url)["announcer"] == "m02"


def test_none_of_it_is_ready(port: int) -> None:
    played = Played(port=port)
    for item in played.items:
        item["status"]["conditions"] = [READY[0] | {"status": "False"}]
    with pytest.raises(Refusal, match="None of 2 pods behind the Service web in namespace site is ready"):
        look(played, force=True)


def test_where_a_client_does_not_meet_all_nobody_s_answer_is_awaited(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played("Deployment", "m02", "m03", port=port)
    web = played.service()
    web["spec"]["externalTrafficPolicy"] = "Local"
    monkeypatch.setattr(Played, "service", lambda *_: web)
    plan = look(played)
    assert (plan["meets_all"], plan["unasked"]) == (False, ["web-0", "web-1"])
    assert "By the traffic policy or the affinity of web".lower() in plan["unproven"][0].lower()
    web["spec"]["externalTrafficPolicy"] = "Cluster"
    plan = look(played)
    assert (plan["meets_all"], plan["unasked"], plan["unproven"]) == (True, [], [])


def test_what_starts_again_where_it_is_needs_nobody_who_brings_it_back(port: int) -> None:
    played = Played("Pod", "m02", "m03", port=port)
    for item in played.items:
        item["metadata"].pop("ownerReferences", None)
        item["spec"]["containers"][0]["name"] = "web"
        status = {"name": "web", "containerID": "containerd://" + "a" * 64, "state": {"running": {}}}
        item["status"]["containerStatuses"] = [status]
    plan = look(played, kind="process", node="m02")
    assert (plan["displaced"], [row["pod"] for row in plan["struck"]]) == ([], ["web-0"])
    assert (plan["replicas"], plan["unproven"]) == (2, [])
    with pytest.raises(Refusal, match="web-0 on m02 has no controller"):
        look(played, kind="pod", node="m02")


def test_a_rollout_takes_all_of_it_and_no_node(port: int) -> None:
    played = Played("StatefulSet", "m02", "m03", port=port)
    counts = dict.fromkeys(("updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    whole = keeper(2) | {"status": {"observedGeneration": 1, **counts}}
    whole["metadata"]["generation"] = 1
    played.workload = lambda *_: whole  # type: ignore[method-assign]
    plan = look(played, kind="rollout")
    assert (plan["node"], plan["evicts"], plan["timings"]["waves"]) == ("", True, 2)
    assert [row["pod"] for row in plan["displaced"]] == ["web-0", "web-1"]
    assert played.needed == [Right("statefulsets", ("patch",), "site", "apps")]


@pytest.mark.parametrize(
    ("kind", "takes"),
    [
        ("drain", [Right("nodes", ("patch",)), Right("pods/eviction", ("create",))]),
        ("pod", [Right("pods", ("delete",), "site")]),
    ],
)
def test_a_right_that_is_missing_is_told_before_anything_is_touched(
    port: int, kind: str, takes: list[Right]
) -> None:
    played = Played(port=port)
    look(played, kind=kind)
    assert played.needed == takes
    played.refuses = "patch nodes; create pods/eviction"
    with pytest.raises(UserError, match=f"context prod may not {played.refuses}: fault_kind={kind} "):
        look(played, kind=kind)
