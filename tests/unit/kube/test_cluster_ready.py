from __future__ import annotations

import json
import time
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module
from ansible_collections.failover_lab.lab.plugins.modules import cluster_ready

from failover_lab.kube.cluster_ready import missing_in_workload

Object = dict[str, Any]
DNS = "kube-system/deployments/coredns"
ROUTES = "kube-flannel/daemonsets/kube-flannel"


def node(name: str, *, ready: bool = True, message: str = "") -> Object:
    condition = {"type": "Ready", "status": "True" if ready else "False", "message": message}
    return {"metadata": {"name": name}, "status": {"conditions": [condition]}}


def workload(generation: int = 1, **status: int) -> Object:
    return {"metadata": {"generation": generation}, "status": {"observedGeneration": 1} | status}


class Played:
    """Stands for a cluster that gets a node more at each look."""

    def __init__(self, nodes: list[Object], workloads: dict[str, Object | None]) -> None:
        self.coming, self.there, self.workloads = nodes, list[Object](), workloads

    def nodes(self) -> list[Object]:
        if self.coming:
            self.there.append(self.coming.pop(0))
        return self.there

    def workload(self, *title: str) -> Object | None:
        return self.workloads["/".join(title)]


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], played: Played, **more: Any
) -> Object:
    monkeypatch.setattr(cluster_module, "Cluster", lambda *_: played)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with patch_module_args({"context": "lab"} | more), pytest.raises(SystemExit):
        cluster_ready.main()
    answer: Object = json.loads(capsys.readouterr().out)
    return answer


@pytest.mark.parametrize(
    ("title", "given", "lack"),
    [
        (DNS, None, f"{DNS} does not exist"),
        (DNS, workload(replicas=1, availableReplicas=1), None),
        (DNS, workload(2, replicas=1, availableReplicas=1), f"the controller has not seen {DNS} yet"),
        (DNS, workload(), f"the controller has not seen {DNS} yet"),
        (DNS, workload(replicas=2, availableReplicas=1), f"{DNS} has 1 of 2 pods ready"),
        (ROUTES, workload(desiredNumberScheduled=3), f"{ROUTES} has 0 of 3 pods ready"),
        (ROUTES, workload(desiredNumberScheduled=3, numberReady=3), None),
    ],
)
def test_what_keeps_a_workload(title: str, given: Object | None, lack: str | None) -> None:
    assert missing_in_workload(title, given) == lack


def test_it_waits_for_every_node(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    played = Played(
        [node("m01"), node("m02"), node("m03")],
        {DNS: workload(replicas=1, availableReplicas=1)},
    )
    answer = run(monkeypatch, capsys, played, nodes=3, workloads=[DNS])
    assert answer["nodes"] == ["m01", "m02", "m03"]
    assert (answer["missing"], answer["changed"]) == ([], False)


def test_it_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking() -> Played:
        return Played([node("m01", ready=False, message="cni plugin not initialized")], {ROUTES: None})

    given = {"nodes": 2, "workloads": [ROUTES], "timeout_s": 0}
    reasons = [
        "node m01 is not ready: cni plugin not initialized",
        "1 of 2 nodes have joined",
        f"{ROUTES} does not exist",
    ]
    answer = run(monkeypatch, capsys, lacking(), **given)
    assert answer["failed"]
    assert answer["msg"] == f"After 0 s in lab: {'; '.join(reasons)}"
    answer = run(monkeypatch, capsys, lacking(), **given, _ansible_check_mode=True)
    assert "failed" not in answer, "check mode does not fail"
    assert answer["missing"] == reasons


@pytest.mark.parametrize("title", ["coredns", "kube-system/pods/coredns", "a/deployments/b/c"])
def test_a_workload_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], title: str
) -> None:
    answer = run(monkeypatch, capsys, Played([], {}), workloads=[title])
    assert answer["msg"].startswith(f"'{title}' is none of NAMESPACE/deployments/NAME")
