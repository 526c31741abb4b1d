"""A zone of two nodes is lost at once: each is given away without a wait for the other, and all is back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .detection import FAST
from .sudden import broken, is_traced, nothing_is_left, state

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]
ZONE = "zone-b"


def in_zone(lab: Lab) -> list[str]:
    """The zone's nodes, as their labels say."""
    nodes = lab.get("nodes", f"--selector=topology.kubernetes.io/zone={ZONE}")["items"]
    return sorted(node["metadata"]["name"] for node in nodes)


@pytest.fixture(scope="module")
def five(lab: Lab) -> list[str]:
    """The lab has five nodes in three zones from now on; those of one zone."""
    played = lab.play("setup", *FAST, "-e", "cluster_nodes=5 cluster_zones=3")
    assert played.returncode == 0, played.output[-4000:]
    names = in_zone(lab)
    assert len(names) == 2
    return names


def test_its_nodes_are_given_away_beside_each_other(lab: Lab, five: list[str]) -> None:
    old = {uid for uid, _ in lab.pods().values()}
    _, report = broken(
        lab,
        *("-e", "fault_kind=kill", "-e", f"fault_node=zone:{ZONE}", "-e", "fault_recovery=watchdog"),
        bitten=lambda: all(state(node) == "exited" for node in five),
    )
    assert report["verdict"]["passed"], report["verdict"]["reasons"]
    assert (report["fault"]["node"], report["fault"]["nodes"]) == (f"zone:{ZONE}", five)
    fresh = {row["uid"] for row in report["replacements"]}
    assert fresh
    assert not fresh & old
    assert not set(report["zone"]["now_on"]) & set(five)
    told = [at for at in report["zone"]["evicted_s"].values() if at is not None]
    assert told
    # Kubernetes by itself would take ten seconds from one to the next.
    assert max(told) - min(told) < 3, report["zone"]
    is_traced(report)
    nothing_is_left(lab, nodes=5)
    assert in_zone(lab) == five


def test_what_takes_single_pods_does_not_take_a_zone(lab: Lab, five: list[str]) -> None:
    refused = lab.play("failover", "-e", f"fault_kind=drain fault_node=zone:{ZONE}")
    assert "does not go with fault_kind=drain" in refused.error
    assert all(state(node) == "running" for node in five)
    assert not lab.cordoned()
