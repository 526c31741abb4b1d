"""A control plane of three: any one may be lost, its API comes back soon, and no second one is risked.

A lab of its own, once the other one is gone: six nodes would be too many for two processors, and so is the
rate at which the other one is asked.
"""

from __future__ import annotations

import dataclasses
import json
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .conftest import BUSY, SHORT, THREE, Lab, docker
from .detection import within
from .sudden import state

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]

NODES = [THREE, f"{THREE}-m02", f"{THREE}-m03"]
SETTINGS = ("-e", "cluster_control_planes=3")
SLOWLY = ("-e", "witness_rate=50")
# Seconds from the fault until answers come again: some 1.1 and 2 on a machine that has nothing else to do.
READS_S, WRITES_S = 3.0, 5.0


@pytest.fixture(scope="module")
def three(unmade: Lab) -> Iterator[Lab]:
    result = dataclasses.replace(unmade, profile=THREE)
    try:
        played = result.play("setup", *SETTINGS)
        assert played.returncode == 0, played.output[-6000:]
        yield result
    finally:
        gone = result.play("teardown")
        assert gone.returncode == 0, gone.output[-6000:]


def server(three: Lab) -> str:
    config = yaml.safe_load(three.kubectl("config", "view", "--minify"))
    return str(config["clusters"][0]["cluster"]["server"])


def ready(three: Lab) -> set[str]:
    return {
        node["metadata"]["name"]
        for node in three.get("nodes")["items"]
        if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
    }


def as_before(three: Lab) -> None:
    assert ready(three) == set(NODES)
    assert three.cordoned() == []
    assert {state(node) for node in NODES} == {"running"}
    maps = [item["metadata"]["name"] for item in three.get("configmaps", three.within)["items"]]
    assert "failover-lab-api" not in maps


def report(three: Lab) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((three.reports / "latest" / "report.json").read_text())
    return found


def test_three_nodes_are_all_of_it_and_bear_the_site(three: Lab) -> None:
    controls = "node-role.kubernetes.io/control-plane"
    assert {n["metadata"]["name"] for n in three.get("nodes", f"--selector={controls}")["items"]} == set(
        NODES
    )
    assert {node for _, node in three.pods().values()} == set(NODES)
    # The API is asked at an address that is no node's.
    address = server(three)
    assert address.partition("//")[2].startswith(docker(
        "network", "inspect", "--format={{(index .IPAM.Config 0).Gateway}}", THREE
    ).rpartition(".")[0] + ".254:")  # fmt: skip
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(f"{address}/livez", context=context, timeout=5) as answer:  # noqa: S310
        assert answer.read() == b"ok"


def test_it_is_set_up_already(three: Lab) -> None:
    again = three.play("setup", *SETTINGS)
    assert again.returncode == 0, again.output[-6000:]
    assert again.changed == 0
    screen = three.play("status")
    assert screen.returncode == 0
    assert "4 of 4 pods ready" in screen.output


def test_how_many_they_are_does_not_change(three: Lab) -> None:
    refused = three.play("setup")
    assert refused.returncode == 2
    assert "with 3 control planes; none of it changes on a living cluster" in refused.error


@pytest.mark.parametrize(
    ("kind", "which"),
    [("kill", "primary"), ("kill", "leader"), ("freeze", "primary"), ("partition", "leader")],
)
def test_one_of_them_is_lost(three: Lab, kind: str, which: str) -> None:
    options = ("-e", f"fault_kind={kind} fault_node={which} fault_recovery=watchdog")
    played = three.play("failover", *options, *SLOWLY, *SHORT, *BUSY)
    assert played.returncode == 0, played.output[-6000:]
    found = report(three)
    lost = found["fault"]["node"]
    assert lost == THREE if which == "primary" else lost in NODES
    api = found["control_plane"]
    assert api["reads"]["total"] > 100
    assert api["reads"]["back_s"] <= READS_S
    assert api["writes"]["back_s"] <= WRITES_S
    manager = next(one for one in api["leaders"] if one["program"] == "kube-controller-manager")
    if which == "leader":
        assert manager["before"] == lost
        assert manager["after"] not in {None, lost}
    as_before(three)


def test_the_leader_is_drained(three: Lab) -> None:
    played = three.play("failover", "-e", "fault_kind=drain fault_node=leader", *SLOWLY, *SHORT, *BUSY)
    assert played.returncode == 0, played.output[-6000:]
    found = report(three)
    assert found["requests"]["failed"] == 0
    # Its API goes on, and so does who leads.
    assert (found["control_plane"]["reads"]["failed"], found["control_plane"]["writes"]["failed"]) == (0, 0)
    as_before(three)
    # The site is even again, so that whoever comes next finds a pod on each.
    assert three.play("setup", *SETTINGS).returncode == 0
    assert {node for _, node in three.pods().values()} == set(NODES)


def test_none_is_replaced(three: Lab) -> None:
    refused = three.play("failover", "-e", "fault_kind=kill fault_node=leader fault_node_return=replace")
    assert refused.returncode == 2
    assert (
        "is a control plane, and fault_node_return=replace would put a worker in its place" in refused.error
    )


def test_no_second_one_is_risked_and_setup_brings_the_first_one_back(three: Lab) -> None:
    docker("kill", NODES[1])
    try:
        # Where it led, another one has to first.
        within(120, lambda: NODES[1] not in ready(three))
        refused = three.play("failover", "-e", f"fault_kind=kill fault_node={THREE}")
        assert refused.returncode == 2
        assert f"of which {NODES[1]} is lost already" in refused.error
        assert state(THREE) == "running"
        assert NODES[1] in three.play("status").output
    finally:
        back = three.play("setup", *SETTINGS)
    assert back.returncode == 0, back.output[-6000:]
    as_before(three)


def test_after_a_stop_of_all_of_them_it_is_as_before(three: Lab) -> None:
    docker("stop", *NODES)
    back = three.play("setup", *SETTINGS)
    assert back.returncode == 0, back.output[-6000:]
    as_before(three)
    body, _ = three.ask("/")
    assert body


def test_a_worker_more(three: Lab) -> None:
    grown = three.play("setup", *SETTINGS, "-e", "cluster_nodes=4")
    assert grown.returncode == 0, grown.output[-6000:]
    worker = f"{THREE}-m04"
    assert ready(three) == {*NODES, worker}
    assert {node for _, node in three.pods().values()} == {*NODES, worker}
    assert three.play("setup", *SETTINGS, "-e", "cluster_nodes=4").changed == 0
