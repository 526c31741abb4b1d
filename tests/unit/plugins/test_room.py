from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.module_utils import room

Object = dict[str, Any]
READY = [{"type": "Ready", "status": "True"}]
LABELS = {"app": "site", "pod-template-hash": "1"}


def node(name: str, *, zone: str = "", **room_: str) -> Object:
    labels = {"zone": zone} if zone else {}
    allocatable = {"cpu": "2", "memory": "2Gi", "pods": "110"} | room_
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {"conditions": READY, "allocatable": allocatable},
    }


def pod(name: str, where: str, memory: str = "1Mi", **more: Any) -> Object:
    meta = {"name": name, "namespace": "site", "labels": LABELS} | more.pop("metadata", {})
    requests = {"memory": memory} | more.pop("requests", {})
    return {
        "metadata": meta,
        "spec": {"nodeName": where, "containers": [{"resources": {"requests": requests}}]}
        | more.pop("spec", {}),
        "status": {"phase": "Running"} | more,
    }


def rule(**more: Any) -> Object:
    honoured = {"nodeTaintsPolicy": "Honor", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1}
    return {"topologyKey": room.HOSTNAME, "labelSelector": {"matchLabels": {"app": "site"}}} | honoured | more


def test_pods_of_others_take_room_and_ended_ones_do_not() -> None:
    wants = {"cpu": "1"}
    pods = [
        pod("x", "n1", "1Gi", requests=wants),
        pod("y", "n1", "1Gi", requests=wants, phase="Succeeded"),
        pod("z", "n2", "1Gi", requests=wants),
    ]
    assert room.free_on(node("n1"), pods) == pytest.approx({"cpu": 1, "memory": 2**30, "pods": 109})


def test_room_is_counted_exactly() -> None:
    """0.3 - 0.1 is less than 0.2 to a processor's own arithmetic."""
    stays = pod("x", "n1", requests={"cpu": "100m"})
    homeless = room.without_room([pod("y", "n2", requests={"cpu": "2e-1"})], [node("n1", cpu="0.3")], [stays])
    assert homeless == []


def test_a_pod_that_asks_for_nothing_takes_a_place() -> None:
    given = {"spec": {"containers": [{}, {"resources": {"requests": {"cpu": "1"}}}]}}
    assert room.requests_of(given) == {"cpu": 1.0, "memory": 0.0, "pods": 1.0}


def test_the_displaced_are_placed_in_turn_where_most_memory_is_left() -> None:
    displaced = [pod(f"p{i}", "gone", size) for i, size in enumerate(("60Mi", "100Mi", "100Mi", "20Mi"), 1)]
    others = [node("n0", memory="100Mi"), node("n1", memory="170Mi")]
    # In the first node, p1 would take the place that p3 needs.
    assert room.without_room(displaced[:3], others, []) == []
    assert room.without_room(displaced, others, []) == ["p4"]
    assert room.without_room([], others, []) == []


def test_a_node_that_takes_no_pods_is_no_place() -> None:
    tainted = node("n1") | {"spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}}
    assert room.without_room([pod("a", "gone")], [tainted], []) == ["a"]


def spread_over(nodes: list[Object], staying: list[Object], count: int, *rules: Object) -> list[str]:
    spec = {"topologySpreadConstraints": list(rules)}
    displaced = [pod(f"p{i}", "gone", spec=spec) for i in range(count)]
    return room.without_room(displaced, nodes, staying)


def test_a_strict_spread_wants_room_on_the_emptiest_node() -> None:
    nodes = [node("n1"), node("n2", pods="1")]
    # After two on n1 and one on n2, the next must go to n2, which is full.
    assert spread_over(nodes, [pod("s", "n1")], 3, rule()) == ["p2"]
    assert spread_over(nodes, [pod("s", "n1")], 3, rule(maxSkew=2)) == []
    assert spread_over(nodes, [pod("s", "n1")], 3, rule(whenUnsatisfiable="ScheduleAnyway")) == []


def test_who_counts_in_a_spread() -> None:
    nodes = [node("n1", pods="3"), node("n2", pods="3")]
    others = [
        pod("old", "n2", metadata={"labels": LABELS | {"pod-template-hash": "0"}}),
        pod("stranger", "n2", metadata={"labels": {"app": "else"}}),
    ]
    strict = rule(matchLabelKeys=["pod-template-hash"])
    # Those of another kind and of the old template do not: one more on n1 would be one too many.
    assert spread_over(nodes, [pod("s", "n1"), *others], 3, strict) == ["p2"]
    told_to_go = pod("t", "n2", metadata={"deletionTimestamp": "now"})
    assert spread_over([nodes[0], node("n2", pods="1")], [told_to_go], 3, strict) == ["p1", "p2"]


def test_a_node_without_places_counts_as_empty_unless_taints_are_honoured() -> None:
    lost = node("n3") | {"spec": {"taints": [{"key": "unreachable", "effect": "NoExecute"}]}}
    nodes = [node("n1"), node("n2"), lost]
    staying = [pod("s", "n1"), pod("t", "n2")]
    assert spread_over(nodes, staying, 1, rule()) == []
    assert spread_over(nodes, staying, 1, rule(nodeTaintsPolicy="Ignore")) == ["p0"]


def test_a_spread_over_zones() -> None:
    nodes = [node("n1", zone="a"), node("n2", zone="a"), node("n3", zone="b", pods="1")]
    zones = rule(topologyKey="zone")
    assert spread_over(nodes, [], 3, zones) == []
    assert spread_over(nodes, [], 4, zones) == ["p3"]
