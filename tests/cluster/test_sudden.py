"""A node is lost without a word: it is put right, and the report is true to the cluster.

Each run is watched from outside: docker and kubectl see the fault bite, and afterwards nothing of it.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from .conftest import docker
from .detection import FAST, names, within
from .sudden import (
    TAINT,
    broken,
    drops_some,
    is_cut_off,
    is_nameless,
    is_on_its_way_back,
    is_slow,
    is_traced,
    is_true_to_the_cluster,
    nothing_is_left,
    of_any,
    seen_cut_off,
    state,
    within_node,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Lab

pytestmark = pytest.mark.cluster
# All but the first are for `make test-all`, on a lab that notices a dead node sooner.
nightly = pytest.mark.nightly
faster = pytest.mark.usefixtures("faster")


def asked_in_vain(node: str) -> list[str]:
    """Where the kubelet that runs now did not find the control plane; each time, it waits for longer."""
    of_now = "_SYSTEMD_INVOCATION_ID=$(systemctl show --property=InvocationID --value kubelet)"
    said = within_node(node, "sh", "-c", f"journalctl --quiet {of_now}").splitlines()
    assert said, f"the kubelet of {node} has said nothing"
    return [line for line in said if "lookup control-plane" in line]


def test_the_announcer_is_killed_with_a_watchdog(lab: Lab) -> None:
    lab.spread_anew()
    before = lab.pods()
    _, report = broken(
        lab,
        *("-e", "fault_kind=kill", "-e", "fault_node=announcer", "-e", "fault_recovery=watchdog"),
        bitten=of_any(lambda node: state(node) == "exited"),
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert report["fault"]["node"] == report["fault"]["announcer"]
    assert report["clocks_s"]["capacity"] < 10, report["clocks_s"]


@nightly
@faster
def test_kill(lab: Lab) -> None:
    before = lab.pods()
    # Which node announces is the load balancer's choice; the other one is what Kubernetes alone has to mend.
    played, report = broken(
        lab,
        *("-e", "fault_kind=kill", "-e", "fault_node=other"),
        bitten=of_any(lambda node: state(node) == "exited"),
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert report["fault"]["node"] != report["fault"]["announcer"]
    clocks = report["clocks_s"]
    assert 3.5 < clocks["endpoints"] < 9, clocks
    assert clocks["endpoints"] < clocks["capacity"] < 20, clocks
    # As Kubernetes sets it, kube-proxy alone takes a second.
    assert (clocks["stale_flows"] or 0) - clocks["endpoints"] < 0.8, clocks
    # Once it runs again, it may announce the address for a moment before it has found the others.
    started = docker("container", "inspect", "--format={{.State.StartedAt}}", report["fault"]["node"])
    causes = {group["cause"] for group in report["failures"] if group["began"] < started}
    assert causes <= {"endpoint_dead", "stale_reused_connection"}
    assert 0 < report["requests"]["failed"] < 0.1 * report["requests"]["total"]
    assert re.search(r"\d+ requests, \d+ failed; waiting for \w", played.output)
    assert asked_in_vain(report["fault"]["node"]) == []


@nightly
@faster
@pytest.mark.parametrize("kind", ["freeze", "partition"])
def test_a_node_that_may_be_alive_is_ended_before_its_work_is_given_away(lab: Lab, kind: str) -> None:
    before = lab.pods()
    ended: list[bool] = []

    def fenced() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            tainted = [
                node["metadata"]["name"]
                for node in lab.get("nodes")["items"]
                if TAINT in [taint["key"] for taint in node["spec"].get("taints", [])]
            ]
            if tainted:
                ended.append(state(tainted[0]) == "exited")
                break
            time.sleep(0.1)

    _, report = broken(
        lab,
        *("-e", f"fault_kind={kind}", "-e", "fault_recovery=watchdog"),
        bitten=of_any(lambda node: state(node) == "paused") if kind == "freeze" else seen_cut_off(),
        meanwhile=fenced,
    )
    assert ended == [True], "its work was given away while it might have been alive"
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)


@nightly
@faster
def test_one_way_partition_by_the_orchestrator_alone(lab: Lab) -> None:
    before = lab.pods()

    def on_its_way_back() -> None:
        within(120, lambda: is_on_its_way_back(lab))

    _, report = broken(
        lab,
        *("-e", "fault_kind=partition", "-e", "fault_partition_direction=incoming"),
        bitten=of_any(lambda node: is_cut_off(node, "ingress") and not is_cut_off(node, "egress")),
        # Its speaker, which the others gave up, must not announce before it has found them again.
        meanwhile=on_its_way_back,
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)


@nightly
@faster
def test_kubelet(lab: Lab) -> None:
    before = lab.pods()
    _, report = broken(
        lab,
        *("-e", "fault_kind=kubelet"),
        bitten=of_any(
            lambda node: within_node(node, "systemctl", "is-active", "kubelet").strip() == "inactive"
        ),
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)


@nightly
@faster
@pytest.mark.parametrize("which", ["one", "all"])
def test_pods_killed_with_no_grace(lab: Lab, which: str) -> None:
    before = lab.pods()
    _, report = broken(
        lab,
        *("-e", "fault_kind=pod", "-e", f"fault_pods={which}"),
        bitten=lambda: {uid for uid, _ in before.values()} - {uid for uid, _ in lab.pods().values()} != set(),
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    on_node = sum(node == report["fault"]["node"] for _, node in before.values())
    assert len(report["displaced"]) == (1 if which == "one" else on_node)


def restarts(lab: Lab) -> int:
    """How often a container of the site has been started again."""
    pods = lab.get("pods", "-n", "site")["items"]
    return sum(one["restartCount"] for pod in pods for one in pod["status"].get("containerStatuses", []))


@nightly
@faster
@pytest.mark.parametrize(("kind", "bites"), [("loss", drops_some), ("slow", is_slow)])
def test_a_node_that_is_short_of_something(lab: Lab, kind: str, bites: Callable[[str], bool]) -> None:
    before = lab.pods()
    _, report = broken(
        lab,
        *("-e", f"fault_kind={kind}", "-e", "fault_duration_s=20", "-e", "fault_node=other"),
        bitten=of_any(bites),
    )
    assert lab.pods() == before, "nobody held the node for lost"
    assert set(report["clocks_s"].values()) == {None}, report["clocks_s"]
    assert set(report["predicted_s"].values()) == {None}
    assert report["verdict"]["passed"], report["verdict"]["reasons"]
    is_traced(report)
    nothing_is_left(lab)


@nightly
@faster
@pytest.mark.parametrize("kind", ["process", "sandbox"])
def test_what_starts_again_where_it_was(lab: Lab, kind: str) -> None:
    before, count = lab.pods(), restarts(lab)
    _, report = broken(lab, "-e", f"fault_kind={kind}", bitten=lambda: restarts(lab) > count)
    assert lab.pods() == before, "another pod took its place"
    assert len(report["struck"]) == 1
    clocks, predicted = report["clocks_s"], report["predicted_s"]
    assert clocks["endpoints"] < clocks["capacity"] < predicted["capacity"] + 10, (clocks, predicted)
    causes = {group["cause"] for group in report["failures"]}
    assert causes <= {"killed_in_place", "stale_reused_connection"}
    assert report["verdict"]["passed"], report["verdict"]["reasons"]
    nothing_is_left(lab)


@nightly
@faster
def test_a_node_that_comes_back_by_itself(lab: Lab) -> None:
    before = {uid for uid, _ in lab.pods().values()}
    _, report = broken(
        lab,
        *("-e", "fault_kind=reboot", "-e", "fault_node=other", "-e", "fault_reboot_s=3"),
        bitten=of_any(lambda node: state(node) == "exited"),
    )
    assert report["verdict"]["passed"], report["verdict"]["reasons"]
    assert report["clocks_s"]["endpoints"] is not None
    assert report["displaced"] == []
    assert len({uid for uid, _ in lab.pods().values()} & before) >= 2
    nothing_is_left(lab)


@nightly
def test_a_rollout_loses_nothing(lab: Lab) -> None:
    before = {uid for uid, _ in lab.pods().values()}
    _, report = broken(
        lab,
        *("-e", "fault_kind=rollout"),
        bitten=lambda: {uid for uid, _ in lab.pods().values()} - before != set(),
    )
    assert not before & {uid for uid, _ in lab.pods().values()}
    assert report["requests"]["failed"] == 0
    assert report["fault"]["node"] is None
    assert len(report["replacements"]) == 4
    nothing_is_left(lab)


@nightly
@faster
def test_a_traffic_policy_is_changed_and_taken_back(lab: Lab) -> None:
    local = ("-e", "site_external_traffic_policy=Local")
    assert lab.play("setup", *FAST, *local).changed > 0
    try:
        assert lab.get("service", "site", "-n", "site")["spec"]["externalTrafficPolicy"] == "Local"
        assert lab.play("setup", *FAST, *local).changed == 0
        _, report = broken(
            lab,
            *("-e", "fault_kind=kill", "-e", "fault_node=other"),
            bitten=of_any(lambda node: state(node) == "exited"),
        )
        # Nobody was sent to any other node.
        assert report["requests"]["failed"] == 0
        assert report["verdict"]["passed"], report["verdict"]["reasons"]
    finally:
        assert lab.play("setup", *FAST).changed > 0
    assert lab.get("service", "site", "-n", "site")["spec"]["externalTrafficPolicy"] == "Cluster"
    nothing_is_left(lab)


@nightly
@faster
def test_zones_are_said_and_taken_back(lab: Lab) -> None:
    def zones() -> set[str]:
        labels = [node["metadata"]["labels"] for node in lab.get("nodes")["items"]]
        return {one["topology.kubernetes.io/zone"] for one in labels if "topology.kubernetes.io/zone" in one}

    assert lab.play("setup", *FAST, "-e", "cluster_zones=3").changed > 0
    try:
        assert zones() == {"zone-a", "zone-b", "zone-c"}
        assert lab.play("setup", *FAST, "-e", "cluster_zones=3").changed == 0
        assert "zone:zone-a" in lab.play("failover", "-e", "fault_node=zone:zone-a").error
    finally:
        assert lab.play("setup", *FAST).changed > 0
    assert zones() == set()


@nightly
@faster
def test_rules_are_written_by_another_means_and_taken_back(lab: Lab) -> None:
    """A drain loses nothing by them, and a kill's losses are traced as ever."""

    def by_iptables() -> set[str]:
        """The nodes that have rules for Services in there."""
        return {node for node in names(lab) if ":KUBE-SVC-" in within_node(node, "iptables-save")}

    everywhere = set(names(lab))
    assert by_iptables() == everywhere
    assert lab.play("setup", *FAST, "-e", "cluster_kube_proxy_mode=nftables").changed > 0
    try:
        assert by_iptables() == set()
        _, report = broken(lab, "-e", "fault_kind=drain", bitten=lambda: lab.cordoned() != [])
        assert report["requests"]["failed"] == 0, report["failures"]
        assert all(pod["answers"] > 0 for pod in report["replacements"])
        before = lab.pods()
        _, report = broken(
            lab,
            *("-e", "fault_kind=kill", "-e", "fault_recovery=watchdog"),
            bitten=of_any(lambda node: state(node) == "exited"),
        )
        is_true_to_the_cluster(lab, report, before)
        is_traced(report)
    finally:
        assert lab.play("setup", *FAST).changed > 0
    assert by_iptables() == everywhere
    nothing_is_left(lab)


@nightly
@faster
def test_another_node_in_its_place(lab: Lab) -> None:
    before = lab.pods()
    uids = {node["metadata"]["name"]: node["metadata"]["uid"] for node in lab.get("nodes")["items"]}
    _, report = broken(
        lab,
        *("-e", "fault_kind=kill", "-e", "fault_node_return=replace"),
        bitten=of_any(lambda node: state(node) == "exited"),
    )
    now = {node["metadata"]["name"]: node["metadata"]["uid"] for node in lab.get("nodes")["items"]}
    assert len(now) == 3
    assert uids[report["fault"]["node"]] not in now.values(), "the dead node is still in the cluster"
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert lab.play("setup", *FAST).changed == 0


@nightly
@faster
def test_a_node_that_is_left_is_shown_and_brought_back(lab: Lab) -> None:
    played, report = broken(
        lab,
        *("-e", "fault_kind=kill", "-e", "fault_node_return=leave"),
        bitten=of_any(lambda node: state(node) == "exited"),
    )
    node = report["fault"]["node"]
    assert state(node) == "exited"
    assert "recover.yml" in played.output
    assert node in lab.play("status").output.partition("left     ")[2]
    again = lab.play("failover", "-e", "fault_kind=kill", "-e", f"fault_node={node}")
    assert again.returncode != 0
    assert node in again.error

    # As whoever was killed between the start of a node and telling it where the control plane is.
    docker("start", node)
    assert is_nameless(node)
    told = " ".join(lab.play("status").output.partition("left     ")[2].split())
    assert f"{node}: its start was not brought to its end" in told
    healed = lab.play("recover")
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)
