from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.module_utils import engine
from ansible_collections.failover_lab.lab.plugins.module_utils import fault_rules as rules
from ansible_collections.failover_lab.lab.plugins.module_utils.room import name_of

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
        "metadata": {"name": name, "namespace": "site", "labels": LABELS, "uid": f"uid-{name}"}
        | more.pop("metadata", {}),
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
    nodes: list[Object] = NODES,
    pods: list[Object] = PODS,
    budgets: list[Object] | None = None,
    *,
    announcer: str | None = "m03",
    containers: list[Object] | None = None,
) -> rules.Snapshot:
    deployment = {
        "metadata": {"namespace": "site"},
        "spec": {
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS | {"version": "1"}}},
        },
    }
    seen = engine.by_name(containers or [])
    return rules.Snapshot(
        nodes, pods, deployment, [budget(1)] if budgets is None else budgets, announcer, seen
    )


def judge(given: rules.Snapshot, node: str = "auto", kind: str = "drain", **more: Any) -> str:
    chosen, overridden = rules.judge(given, rules.Wanted(kind, node, **more))
    assert overridden == []
    return chosen


def refusal(given: rules.Snapshot, node: str = "auto", kind: str = "drain", **more: Any) -> str:
    with pytest.raises(rules.Refusal) as refused:
        rules.judge(given, rules.Wanted(kind, node, **more))
    return str(refused.value)


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
    assert [name_of(item) for item in seen.site_pods] == ["a", "b", "c", "d"]
    assert [name_of(item) for item in seen.on("m02")] == ["a", "b"]


def test_auto_takes_the_worker_that_carries_most() -> None:
    assert judge(snapshot(), "auto") == "m02"
    assert judge(snapshot(pods=[*PODS, pod("e", "m03"), pod("f", "m03")]), "auto") == "m03"


def test_auto_takes_the_first_by_name_of_equals_and_not_the_control_plane() -> None:
    pods = [pod("a", "m03"), pod("b", "m02"), pod("c", "main"), pod("d", "main")]
    assert judge(snapshot(pods=pods), "auto") == "m02"


def test_auto_passes_over_a_worker_that_takes_no_pods() -> None:
    nodes = [NODES[0], node("m02", unschedulable=True), NODES[2]]
    assert judge(snapshot(nodes), "auto") == "m03"


def test_a_node_by_name() -> None:
    assert judge(snapshot(), "m03") == "m03"


def test_one_control_plane_of_two_may_go() -> None:
    nodes = [node("main", control_plane=True), node("m02", control_plane=True), node("m03")]
    assert judge(snapshot(nodes), "main") == "main"


def test_a_cordoned_node_may_be_drained_by_name() -> None:
    nodes = [NODES[0], node("m02", unschedulable=True), NODES[2]]
    assert judge(snapshot(nodes), "m02") == "m02"


def test_refuses_an_unknown_node() -> None:
    said = refusal(snapshot(), "m09")
    assert said == "There is no node m09: fault_node is one of m02, m03, main, or auto, announcer, other."


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
    assert judge(snapshot(budgets=[budget(0, {"app": "else"}), budget(1)]), "auto") == "m02"


def test_a_budget_of_all_pods_counts() -> None:
    assert "allows no eviction" in refusal(snapshot(budgets=[budget(0, {})]))


def test_refuses_without_room() -> None:
    small = {"cpu": "2", "memory": "50Mi", "pods": "110"}
    nodes = [node("main", control_plane=True, room=small), node("m02"), node("m03", room=small)]
    # Each of the two others holds one pod of 24Mi already and has room for one more.
    assert judge(snapshot(nodes), "m02") == "m02"
    pods = [*PODS, pod("e", "m02")]
    assert refusal(snapshot(nodes, pods)) == (
        "There is no room for e on main, m03: add a node, or lower site_replicas or site_resources."
    )


@pytest.mark.parametrize("scarce", [{"cpu": "40m"}, {"memory": "40Mi"}, {"pods": "1"}])
def test_room_is_cores_memory_and_places(scarce: dict[str, str]) -> None:
    room = {"cpu": "2", "memory": "2Gi", "pods": "110"} | scarce
    nodes = [node("main", control_plane=True, unschedulable=True), node("m02"), node("m03", room=room)]
    assert "no room for a" in refusal(snapshot(nodes, [pod("a", "m02"), pod("c", "m03")]))


def container(name: str, state: str = "running", **more: Any) -> Object:
    said = {"incoming": False, "outgoing": False, "kubelet": "active"} if state == "running" else {}
    return {"name": name, "id": f"id-{name}", "state": state} | said | more


RUNNING = [container("main"), container("m02"), container("m03")]


@pytest.mark.parametrize("kind", ["kill", "freeze", "partition", "kubelet", "pod"])
def test_every_kind_takes_the_worker_that_carries_most(kind: str) -> None:
    assert judge(snapshot(containers=RUNNING), "auto", kind) == "m02"


def test_the_announcer_and_another() -> None:
    assert judge(snapshot(announcer="m02"), "announcer", "kill") == "m02"
    assert judge(snapshot(announcer="m02"), "other", "kill") == "m03"
    assert judge(snapshot(announcer="main"), "other", "kill") == "m02"


@pytest.mark.parametrize("wanted", ["announcer", "other"])
def test_refuses_by_who_announces_where_nobody_says(wanted: str) -> None:
    said = refusal(snapshot(announcer=None), wanted, "kill")
    assert f"fault_node={wanted} cannot be told" in said
    assert "status.yml" in said


def test_refuses_where_no_other_carries_the_site() -> None:
    pods = [pod("a", "m02"), pod("b", "m02"), pod("d", "main")]
    said = refusal(snapshot(pods=pods, announcer="m02"), "other", "kill")
    assert "No schedulable worker that does not announce the address" in said


@pytest.mark.parametrize("force", [False, True])
def test_refuses_the_only_control_plane_whatever_is_forced(*, force: bool) -> None:
    said = refusal(snapshot(announcer="main"), "announcer", "kill", force=force)
    assert "main is the only control plane, and it announces the address" in said
    assert "Choose a worker" in said


def test_refuses_a_control_plane_whose_loss_leaves_no_majority() -> None:
    nodes = [node("main", control_plane=True), node("m02", control_plane=True), node("m03")]
    assert "one of 2 control planes" in refusal(snapshot(nodes), "main", "kill")
    nodes.append(node("m04", control_plane=True))
    assert judge(snapshot(nodes), "main", "kill") == "main"


def test_pods_on_the_only_control_plane_may_be_killed() -> None:
    assert judge(snapshot(), "main", "pod") == "main"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (container("m02", "paused"), "its container is paused"),
        (container("m02", "exited"), "its container is stopped"),
        (container("m02", "removing"), "its container is removing"),
        (container("m02", incoming=True, outgoing=True), "it is cut off from the network"),
        (container("m02", incoming=True), "it hears nothing from the network"),
        (container("m02", outgoing=True), "nothing of it reaches the network"),
        (container("m02", kubelet="inactive"), "its kubelet is stopped"),
        (container("m02", kubelet="failed", outgoing=True), "the network, its kubelet is stopped"),
        (container("m02", nameless=True), "its start was not brought to its end"),
        (None, "it has no container"),
    ],
)
def test_refuses_a_node_that_is_faulted_already(found: Object | None, said: str) -> None:
    containers = [container("main"), container("m03"), *([found] if found else [])]
    given = snapshot(containers=containers)
    for force in (False, True):
        text = refusal(given, "m02", "kill", force=force)
        assert "m02 is faulted already" in text
        assert said in text
        assert "recover.yml" in text
    # The others may still be broken.
    assert judge(given, "auto", "kill") == "m03"


def test_a_kubelet_that_is_only_starting_is_no_fault() -> None:
    assert judge(snapshot(containers=[*RUNNING[:1], container("m02", kubelet="activating")]), "m02", "kill")


def test_refuses_a_node_that_is_out_of_service_or_not_ready() -> None:
    taint = {"key": rules.OUT_OF_SERVICE, "effect": "NoExecute"}
    nodes = [NODES[0], node("m02", taints=[taint]), NODES[2], node("m04")]
    assert "it is marked out of service" in refusal(snapshot(nodes), "m02", "kill")
    nodes[1] = node("m02", ready=False)
    assert "it is not ready" in refusal(snapshot(nodes), "m02", "kill")


def test_refuses_to_take_the_last_ready_replicas() -> None:
    pods = [pod("a", "m02"), pod("b", "m02"), pod("c", "m03", ready=False)]
    for force in (False, True):
        said = refusal(snapshot(pods=pods), "m02", "kill", force=force)
        assert said.startswith("All 2 ready pods of the site are on m02: a kill is an outage")
    assert "All 2 ready" in refusal(snapshot(pods=pods), "m02", "pod", pods="all")
    # One of two is left; and a drain brings up the others first.
    assert judge(snapshot(pods=pods), "m02", "pod", pods="one") == "m02"
    assert judge(snapshot(pods=pods), "m02", "drain") == "m02"


def test_one_pod_is_one_that_serves() -> None:
    given = snapshot(pods=[pod("a", "m02", ready=False), pod("b", "m02"), pod("c", "m03"), pod("d", "m03")])
    one, every = rules.Wanted("pod", pods="one"), rules.Wanted("pod", pods="all")
    assert [name_of(item) for item in given.struck("m02", one)] == ["b"]
    assert [name_of(item) for item in given.struck("m02", every)] == ["a", "b"]
    assert [name_of(item) for item in given.struck("m02", rules.Wanted("kill"))] == ["a", "b"]


def test_a_budget_holds_up_a_drain_alone() -> None:
    given = snapshot(budgets=[budget(0)])
    assert judge(given, "auto", "kill") == "m02"
    _, overridden = rules.judge(given, rules.Wanted("drain", force=True))
    assert [text[:26] for text in overridden] == ["The disruption budget site"]


def test_too_few_nodes_may_be_forced() -> None:
    given = snapshot([NODES[1], node("m03", unschedulable=True)])
    assert "Only 1 of 2 nodes takes pods" in refusal(given, "m02", "kill")
    _, overridden = rules.judge(given, rules.Wanted("kill", "m02", force=True))
    assert [text[:12] for text in overridden] == ["Only 1 of 2 ", "There is no "]
    # Pods come back to their own node.
    assert judge(given, "m02", "pod") == "m02"


def labelled(given: Object, label: str) -> Object:
    return given | {"metadata": given["metadata"] | {"labels": given["metadata"]["labels"] | {label: ""}}}


@pytest.mark.parametrize("kind", ["kill", "freeze", "partition"])
def test_refuses_to_silence_the_only_node_that_may_announce(kind: str) -> None:
    # As kubeadm makes it: of two nodes, one worker.
    nodes = [labelled(NODES[0], rules.EXCLUDE), NODES[1]]
    pods = [pod("a", "m02"), pod("b", "main")]
    given = snapshot(nodes, pods, announcer="m02")
    said = refusal(given, "auto", kind)
    assert said.startswith(f"m02 announces the address, and no other node may: a {kind} is an outage")
    assert "cluster_nodes=3" in said
    _, overridden = rules.judge(given, rules.Wanted(kind, force=True))
    assert overridden == [said]
    # One that is not ready announces nothing either.
    assert refusal(snapshot([*nodes, node("m03", ready=False)], pods, announcer="m02"), "m02", kind) == said


@pytest.mark.parametrize("kind", ["drain", "pod", "kubelet"])
def test_who_goes_on_announcing_may_be_broken_alone(kind: str) -> None:
    nodes = [labelled(NODES[0], rules.EXCLUDE), NODES[1]]
    pods = [pod("a", "m02"), pod("b", "main")]
    assert judge(snapshot(nodes, pods, announcer="m02"), "m02", kind) == "m02"


def test_another_node_that_may_announce_is_enough() -> None:
    pods = [pod("a", "m02"), pod("b", "main")]
    assert judge(snapshot(NODES[:2], pods, announcer="m02"), "m02", "kill") == "m02"
    nodes = [labelled(NODES[0], rules.EXCLUDE), *NODES[1:]]
    assert judge(snapshot(nodes, PODS, announcer="m02"), "m02", "kill") == "m02"
    assert judge(snapshot(nodes, PODS, announcer=None), "m02", "kill") == "m02"


@pytest.mark.parametrize("kind", ["kill", "freeze", "partition", "kubelet"])
def test_refuses_when_kubernetes_would_stop_replacing(kind: str) -> None:
    nodes = [*NODES, node("m04", ready=False), node("m05", ready=False)]
    said = refusal(snapshot(nodes), "m02", kind)
    assert said.startswith("With m02, 3 of 5 nodes would be lost (m02, m04, m05)")
    assert "recover.yml" in said
    assert rules.judge(snapshot(nodes), rules.Wanted(kind, "m02", force=True))[1] == [said]
    assert judge(snapshot(nodes), "m02", "drain") == "m02"
    # Half of them, or fewer than three, are still replaced.
    assert judge(snapshot([*nodes, node("m06")]), "m02", kind) == "m02"
    assert judge(snapshot([*NODES, node("m04", ready=False)]), "m02", kind) == "m02"


def test_a_spread_that_counts_the_lost_node_leaves_no_room() -> None:
    def spread(policy: str) -> list[Object]:
        rule = {
            "topologyKey": "kubernetes.io/hostname",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "nodeTaintsPolicy": policy,
            "labelSelector": {"matchLabels": LABELS},
        }
        result = [pod("a", "m02"), pod("b", "m02"), pod("c", "m03"), pod("d", "main")]
        for item in result:
            item["spec"]["topologySpreadConstraints"] = [rule]
        return result

    assert judge(snapshot(pods=spread("Honor")), "m02", "kill") == "m02"
    said = refusal(snapshot(pods=spread("Ignore")), "m02", "kill")
    assert said.startswith("There is no room for a, b on main, m03")
    # The node itself takes them back.
    assert judge(snapshot(pods=spread("Ignore")), "m02", "pod", pods="all") == "m02"
