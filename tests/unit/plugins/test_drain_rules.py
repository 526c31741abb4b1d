from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.module_utils import drain_rules as rules

Object = dict[str, Any]

LABELS = {"app.kubernetes.io/name": "site"}
READY = [{"type": "Ready", "status": "True"}]
UNREADY = [{"type": "Ready", "status": "Unknown"}]


def node(name: str, *, ready: bool = True, control_plane: bool = False, **more: Any) -> Object:
    room = more.pop("room", {"cpu": "2", "memory": "2Gi", "pods": "110"})
    return {
        "metadata": {"name": name, "labels": {rules.CONTROL_PLANE: ""} if control_plane else {}},
        "spec": more,
        "status": {"conditions": READY if ready else UNREADY, "allocatable": room},
    }


def pod(name: str, where: str, *, ready: bool = True, **more: Any) -> Object:
    wants = more.pop("wants", {"cpu": "25m", "memory": "24Mi"})
    return {
        "metadata": {"name": name, "namespace": "site", "labels": LABELS} | more.pop("metadata", {}),
        "spec": {"nodeName": where, "containers": [{"resources": {"requests": wants}}]},
        "status": {"phase": "Running", "conditions": READY if ready else UNREADY} | more,
    }


def budget(allowed: int, labels: dict[str, str] = LABELS) -> Object:
    return {
        "metadata": {"name": "site"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 3},
    }


NODES = [node("main", control_plane=True), node("m02"), node("m03")]
PODS = [pod("a", "m02"), pod("b", "m02"), pod("c", "m03"), pod("d", "main")]


def snapshot(
    nodes: list[Object] = NODES, pods: list[Object] = PODS, budgets: list[Object] | None = None
) -> rules.Snapshot:
    deployment = {
        "metadata": {"namespace": "site"},
        "spec": {
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS | {"version": "1"}}},
        },
    }
    return rules.Snapshot(nodes, pods, deployment, [budget(1)] if budgets is None else budgets)


def refusal(given: rules.Snapshot, wanted: str = "auto") -> str:
    with pytest.raises(rules.Refusal) as refused:
        rules.judge(given, wanted)
    return str(refused.value)


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("0", 0),
        (3, 3),
        ("1.5", 1.5),
        ("250m", 0.25),
        ("2k", 2000),
        ("3M", 3e6),
        ("4G", 4e9),
        ("5T", 5e12),
        ("1Ki", 1024),
        ("24Mi", 24 * 2**20),
        ("2Gi", 2**31),
        ("1Ti", 2**40),
    ],
)
def test_quantities(quantity: str | int, number: float) -> None:
    assert rules.amount(quantity) == pytest.approx(number)


@pytest.mark.parametrize("quantity", ["", "Mi", "1 Gi", "-1", "1Xi", None])
def test_what_is_no_quantity_is_refused(quantity: str | None) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        rules.amount(quantity)


def test_the_site_s_pods_are_those_of_its_deployment_that_will_stay() -> None:
    others = [
        pod("elsewhere", "m02", metadata={"namespace": "other"}),
        pod("stranger", "m02", metadata={"labels": {"app.kubernetes.io/name": "else"}}),
        pod("bare", "m02", metadata={"labels": None}),
        pod("leaving", "m02", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        pod("ended", "m02", phase="Failed"),
        pod("done", "m02", phase="Succeeded"),
    ]
    seen = snapshot(pods=[*others, *reversed(PODS)])
    assert [rules.name_of(item) for item in seen.site_pods] == ["a", "b", "c", "d"]
    assert [rules.name_of(item) for item in seen.on("m02")] == ["a", "b"]


def test_auto_takes_the_worker_that_carries_most() -> None:
    assert rules.judge(snapshot(), "auto") == "m02"
    assert rules.judge(snapshot(pods=[*PODS, pod("e", "m03"), pod("f", "m03")]), "auto") == "m03"


def test_auto_takes_the_first_by_name_of_equals_and_not_the_control_plane() -> None:
    pods = [pod("a", "m03"), pod("b", "m02"), pod("c", "main"), pod("d", "main")]
    assert rules.judge(snapshot(pods=pods), "auto") == "m02"


def test_auto_passes_over_a_worker_that_takes_no_pods() -> None:
    nodes = [NODES[0], node("m02", unschedulable=True), NODES[2]]
    assert rules.judge(snapshot(nodes), "auto") == "m03"


def test_a_node_by_name() -> None:
    assert rules.judge(snapshot(), "m03") == "m03"


def test_one_control_plane_of_two_may_go() -> None:
    nodes = [node("main", control_plane=True), node("m02", control_plane=True), node("m03")]
    assert rules.judge(snapshot(nodes), "main") == "main"


def test_a_cordoned_node_may_be_drained_by_name() -> None:
    nodes = [NODES[0], node("m02", unschedulable=True), NODES[2]]
    assert rules.judge(snapshot(nodes), "m02") == "m02"


def test_refuses_an_unknown_node() -> None:
    said = refusal(snapshot(), "m09")
    assert said == "There is no node m09: fault_node is one of m02, m03, main, or auto."


def test_refuses_the_only_control_plane() -> None:
    assert "main is the only control plane" in refusal(snapshot(), "main")


def test_refuses_a_node_without_the_site() -> None:
    said = refusal(snapshot(pods=[pod("a", "m02"), pod("b", "main")]), "m03")
    assert "m03 carries no pod of the site" in said
    assert "choose one of m02, main, or run `ansible-playbook setup.yml`" in said


def test_refuses_where_only_the_control_plane_carries_the_site() -> None:
    said = refusal(snapshot(pods=[pod("a", "main"), pod("b", "main")]))
    assert "No schedulable worker carries a pod of the site" in said


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([NODES[0]], "Only 1 of 1 nodes takes pods"),
        ([NODES[1], node("m03", unschedulable=True)], "Only 1 of 2 nodes takes pods"),
        ([node("m02", ready=False), node("m03", ready=False)], "Only 0 of 2 nodes takes pods"),
    ],
)
def test_refuses_with_fewer_than_two_nodes(nodes: list[Object], said: str) -> None:
    text = refusal(snapshot(nodes))
    assert text.startswith(said)
    assert "recover.yml" in text
    assert "cluster_nodes=3" in text


def test_refuses_with_fewer_than_two_ready_replicas() -> None:
    said = refusal(snapshot(pods=[pod("a", "m02"), pod("b", "m03", ready=False)]))
    assert said.startswith("Only 1 of the site's pods is ready")
    assert "site_replicas" in said


def test_refuses_where_the_budget_allows_nothing() -> None:
    said = refusal(snapshot(budgets=[budget(0)]))
    assert "The disruption budget site allows no eviction now (3 healthy of 3 that must be)" in said


def test_a_budget_without_a_status_allows_nothing_yet() -> None:
    given = budget(1)
    del given["status"]
    assert "allows no eviction now (0 healthy of 0" in refusal(snapshot(budgets=[given]))


def test_a_budget_of_other_pods_does_not_count() -> None:
    assert rules.judge(snapshot(budgets=[budget(0, {"app": "else"}), budget(1)]), "auto") == "m02"


def test_a_budget_of_all_pods_counts() -> None:
    assert "allows no eviction" in refusal(snapshot(budgets=[budget(0, {})]))


def test_refuses_without_room() -> None:
    small = {"cpu": "2", "memory": "50Mi", "pods": "110"}
    nodes = [node("main", control_plane=True, room=small), node("m02"), node("m03", room=small)]
    # Each of the two others holds one pod of 24Mi already and has room for one more.
    assert rules.judge(snapshot(nodes), "m02") == "m02"
    pods = [*PODS, pod("e", "m02")]
    assert refusal(snapshot(nodes, pods)) == (
        "There is no room for e on main, m03: add a node, or lower site_replicas or site_resources."
    )


@pytest.mark.parametrize("scarce", [{"cpu": "40m"}, {"memory": "40Mi"}, {"pods": "1"}])
def test_room_is_cores_memory_and_places(scarce: dict[str, str]) -> None:
    room = {"cpu": "2", "memory": "2Gi", "pods": "110"} | scarce
    nodes = [node("main", control_plane=True, unschedulable=True), node("m02"), node("m03", room=room)]
    assert "no room for a" in refusal(snapshot(nodes, [pod("a", "m02"), pod("c", "m03")]))


def test_pods_of_others_take_room_and_ended_ones_do_not() -> None:
    wants = {"cpu": "1", "memory": "1Gi"}
    guest = {"namespace": "other"}
    pods = [
        pod("x", "m03", metadata=guest, wants=wants),
        pod("y", "m03", metadata=guest, wants=wants, phase="Succeeded"),
        pod("z", "m02", metadata=guest, wants=wants),
    ]
    left = rules.free_on(NODES[2], pods)
    assert left == pytest.approx({"cpu": 1, "memory": 2**30, "pods": 109})


def test_a_pod_that_asks_for_nothing_takes_a_place() -> None:
    given = {"spec": {"containers": [{}, {"resources": {"requests": {"cpu": "1"}}}]}}
    assert rules.requests_of(given) == {"cpu": 1.0, "memory": 0.0, "pods": 1.0}


def test_the_displaced_are_placed_in_turn_where_most_memory_is_left() -> None:
    wants = [{"memory": size} for size in ("60Mi", "100Mi", "100Mi", "20Mi")]
    displaced = [pod(f"p{number}", "gone", wants=wanted) for number, wanted in enumerate(wants, 1)]
    rooms = [{"cpu": "1", "memory": size, "pods": "9"} for size in ("100Mi", "170Mi")]
    others = [node(f"n{number}", room=room) for number, room in enumerate(rooms)]
    # In the first node, p1 would take the place that p3 needs.
    assert rules.without_room(displaced[:3], others, displaced) == []
    assert rules.without_room(displaced, others, displaced) == ["p4"]
