from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from failover_lab.faults import status
from failover_lab.kube import names
from failover_lab.run import lifetime

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster

Object = dict[str, Any]

LABELS = {"app.kubernetes.io/name": "site"}
IMAGE = f"lab-registry:5000/failover-lab/site@sha256:{'a' * 64}"
MARK = {names.CORDONED_BY: "20260101T000000Z-drain"}


def conditions(*, ready: bool) -> Object:
    return {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}


def node(name: str, *, ready: bool = True, **more: Any) -> Object:
    metadata = {"name": name, "labels": more.pop("labels", {}), "annotations": more.pop("annotations", {})}
    return {"metadata": metadata, "spec": more, "status": conditions(ready=ready)}


def pod(name: str, where: str, *, ready: bool = True) -> Object:
    metadata = {"name": name, "namespace": "site", "labels": LABELS}
    return {"metadata": metadata, "spec": {"nodeName": where}, "status": conditions(ready=ready)}


class Lab:
    """Stands for a cluster."""

    def __init__(self) -> None:
        self.all_nodes = [
            node("lab", labels={names.CONTROL_PLANE: ""}),
            node("lab-m02", unschedulable=True),
            node("lab-m03", ready=False),
        ]
        self.all_pods = [pod("site-a", "lab"), pod("site-b", "lab-m03", ready=False), pod("site-c", "lab")]
        self.the_deployment: Object | None = {
            "metadata": {"namespace": "site"},
            "spec": {
                "replicas": 4,
                "selector": {"matchLabels": LABELS},
                "template": {"spec": {"containers": [{"image": IMAGE}]}},
            },
            "status": {"readyReplicas": 2},
        }
        self.ingress = [{"ip": "192.0.2.9"}]
        self.speaker: str | None = "lab-m02"
        self.scalers: list[str] = []
        self.spec: Object = {}
        self.takes_connections = True

    def nodes(self) -> list[Object]:
        return self.all_nodes

    def pods(self) -> list[Object]:
        return self.all_pods

    def deployment(self, _namespace: str, _name: str) -> Object | None:
        return self.the_deployment

    def service(self, _namespace: str, _name: str) -> Object:
        return {
            "spec": {"ports": [{"port": 8080}]} | self.spec,
            "status": {"loadBalancer": {"ingress": self.ingress}},
        }

    def autoscalers(self, namespace: str, deployment: str) -> list[str]:
        assert (namespace, deployment) == ("site", "site")
        return self.scalers

    def answers(self) -> str:
        return "v1.99.1"


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab()
    monkeypatch.setattr(status, "announcer", lambda *_asked: made.speaker)
    monkeypatch.setattr(status, "answers", lambda *_asked: made.takes_connections)
    return made


@pytest.fixture
def journal_file(tmp_path: Path) -> Path:
    return tmp_path / "journal.json"


def look(lab: Lab, journal_file: Path, engine: list[Object] | None = None) -> Object:
    return status.look(
        cast("Cluster", lab),
        {
            "context": "lab",
            "namespace": "site",
            "deployment": "site",
            "service": "site",
            "journal": str(journal_file),
            "engine": engine or [],
        },
    )


def of_a_run(journal_file: Path, *, alive: bool, **more: Any) -> None:
    started = lifetime.started(os.getpid()) if alive else "1"
    content = {"kind": "drain", "node": "lab-m02", "since": "noon", "pid": os.getpid(), "started": started}
    content |= more
    journal_file.write_text(json.dumps(content), encoding="utf-8")


def test_the_whole_screen(lab: Lab, journal_file: Path) -> None:
    assert look(lab, journal_file) == {
        "lines": [
            "lab: Kubernetes v1.99.1, 3 nodes",
            "lab      Ready, control plane    site-a site-c",
            "lab-m02  Ready, cordoned         -",
            "lab-m03  not ready               site-b (not ready)",
            "site     2 of 4 pods ready",
            "address  http://192.0.2.9:8080, announced by lab-m02",
            f"image    {IMAGE}",
        ],
        "leftovers": [],
    }


def test_nobody_says_who_announces_and_no_address_is_given(lab: Lab, journal_file: Path) -> None:
    lab.speaker, lab.ingress = None, []
    assert "address  none given" in look(lab, journal_file)["lines"]


def test_no_pod_is_ready_yet(lab: Lab, journal_file: Path) -> None:
    assert lab.the_deployment
    del lab.the_deployment["status"]
    assert "site     0 of 4 pods ready" in look(lab, journal_file)["lines"]


def test_no_site(lab: Lab, journal_file: Path) -> None:
    lab.the_deployment = None
    lines = look(lab, journal_file)["lines"]
    assert lines[1] == "lab      Ready, control plane    -"
    assert lines[-1] == "site     not set up: run `ansible-playbook setup.yml`"


def test_a_run_is_going_on(lab: Lab, journal_file: Path) -> None:
    lab.all_nodes[1]["metadata"]["annotations"] = MARK
    of_a_run(journal_file, alive=True)
    screen = look(lab, journal_file)
    assert screen["leftovers"] == []
    assert screen["lines"][-1] == f"running  drain of lab-m02, process {os.getpid()}, since noon"


def test_a_run_was_interrupted(lab: Lab, journal_file: Path) -> None:
    lab.all_nodes[1]["metadata"]["annotations"] = MARK
    of_a_run(journal_file, alive=False)
    screen = look(lab, journal_file)
    assert screen["leftovers"] == [
        "lab-m02 is still cordoned by the run 20260101T000000Z-drain",
        "a run was interrupted: drain of lab-m02 since noon",
    ]
    assert screen["lines"][-3:] == [
        *(f"left     {sentence}" for sentence in screen["leftovers"]),
        "remedy   ansible-playbook recover.yml",
    ]
    assert not any(line.startswith("running") for line in screen["lines"])


def test_a_mark_is_left_without_a_journal(lab: Lab, journal_file: Path) -> None:
    lab.all_nodes[2]["metadata"]["annotations"] = MARK
    assert look(lab, journal_file)["leftovers"] == [
        "lab-m03 is still cordoned by the run 20260101T000000Z-drain"
    ]


def test_a_node_that_somebody_else_cordoned_is_not_left_over(lab: Lab, journal_file: Path) -> None:
    assert look(lab, journal_file)["leftovers"] == []


def test_a_damaged_journal(lab: Lab, journal_file: Path) -> None:
    journal_file.write_text("{", encoding="utf-8")
    assert look(lab, journal_file)["leftovers"] == [
        "a run was interrupted: a fault of a node since an unknown time"
    ]


def test_a_run_waits_for_its_operator(lab: Lab, journal_file: Path) -> None:
    of_a_run(journal_file, alive=True, kind="kill", awaits="operator")
    last = look(lab, journal_file, [{"name": "lab-m02", "id": "1", "state": "exited"}])["lines"][-1]
    assert last.startswith("running  kill of lab-m02")
    assert last.endswith("it waits for you to run `ansible-playbook recover.yml`")


def test_what_the_engine_says_of_the_nodes_is_left_over(lab: Lab, journal_file: Path) -> None:
    lab.all_nodes[1]["metadata"]["annotations"] = {names.OUT_OF_SERVICE_BY: "{}"}
    of_a_run(journal_file, alive=False, kind="freeze", steps=[{"step": "freeze lab-m02"}, {"step": "wait"}])
    engine: list[dict[str, Any]] = [
        {"name": "lab", "id": "1", "state": "running", "incoming": False, "outgoing": True},
        {"name": "lab-m02", "id": "2", "state": "paused"},
        {"name": "lab-m03", "id": "3", "state": "running", "kubelet": "inactive", "incoming": True},
    ]
    assert look(lab, journal_file, engine)["leftovers"] == [
        "lab: nothing of it reaches the network",
        "lab-m02 is still marked out of service",
        "lab-m02: its container is paused",
        "lab-m03: it hears nothing from the network",
        "lab-m03: its kubelet is stopped",
        "a run was interrupted: freeze of lab-m02 since noon, last to wait",
    ]


def test_a_node_that_may_not_announce_yet_is_told_of(lab: Lab, journal_file: Path) -> None:
    lab.all_nodes[1]["metadata"]["annotations"] = {names.EXCLUDED_BY: "20260101T000000Z-kill"}
    assert look(lab, journal_file)["leftovers"] == [
        "lab-m02 is still kept from announcing the address by the run 20260101T000000Z-kill"
    ]


def test_a_node_that_was_to_be_left_is_told_of(lab: Lab, journal_file: Path) -> None:
    lab.all_nodes[1]["metadata"]["annotations"] = {names.LEFT_BY: "20260101T000000Z-kill"}
    screen = look(lab, journal_file, [{"name": "lab-m02", "id": "2", "state": "exited"}])
    assert screen["leftovers"] == [
        "lab-m02: its container is stopped, as the run 20260101T000000Z-kill was told to leave it"
    ]
    assert screen["lines"][-1] == "remedy   ansible-playbook recover.yml"


def test_a_node_that_was_deleted_from_the_cluster_and_runs_is_told_of(lab: Lab, journal_file: Path) -> None:
    del lab.all_nodes[1]
    engine: list[dict[str, Any]] = [
        {"name": name, "id": name, "state": "running", "kubelet": "active"}
        for name in ("lab", "lab-m02", "lab-m03")
    ]
    screen = look(lab, journal_file, engine)
    assert screen["leftovers"] == [
        "lab-m02 is no node of the cluster: its container runs, and was deleted from it, or has yet to join"
    ]
    assert screen["lines"][-1] == "remedy   ansible-playbook recover.yml"
    engine[1] |= {"state": "exited"}
    assert look(lab, journal_file, engine)["leftovers"] == [
        "lab-m02 is no node of the cluster: its container is stopped"
    ]


def test_nobody_announces_and_why(lab: Lab, journal_file: Path) -> None:
    lab.speaker, lab.takes_connections = None, False
    for item in lab.all_nodes:
        item["metadata"]["labels"][names.EXCLUDE] = ""
    lines = look(lab, journal_file)["lines"]
    at = lines.index(
        "address  http://192.0.2.9:8080, where nobody takes a connection, announced by nobody that is known"
    )
    assert (
        lines[at + 1]
        .strip()
        .startswith("no node may announce the address: lab, lab-m02, lab-m03 with the label")
    )


def test_who_announced_and_may_not_any_more(lab: Lab, journal_file: Path) -> None:
    lab.all_nodes[1]["metadata"]["labels"][names.EXCLUDE] = ""
    assert (
        "address  http://192.0.2.9:8080, last announced by lab-m02, which may not any more"
        in look(lab, journal_file)["lines"]
    )


def test_what_the_service_says_that_hinders(lab: Lab, journal_file: Path) -> None:
    lab.spec = {"loadBalancerSourceRanges": ["10.0.0.0/8"]}
    assert (
        "         spec.loadBalancerSourceRanges lets only 10.0.0.0/8 in" in look(lab, journal_file)["lines"]
    )


def test_somebody_else_says_how_many(lab: Lab, journal_file: Path) -> None:
    lab.scalers = ["web"]
    assert (
        "site     2 of 4 pods ready, as many as the HorizontalPodAutoscaler web wants"
        in look(lab, journal_file)["lines"]
    )


def test_a_control_plane_that_has_joined_anew_is_one(lab: Lab, journal_file: Path) -> None:
    api = pod("kube-apiserver-lab", "lab")
    api["metadata"] |= {"namespace": "kube-system", "labels": {"component": "kube-apiserver"}}
    lab.all_pods.append(api)
    del lab.all_nodes[0]["metadata"]["labels"]
    assert look(lab, journal_file)["lines"][1].startswith("lab      Ready, control plane")
