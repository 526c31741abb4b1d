from __future__ import annotations

from typing import Any

import pytest

from failover_lab.faults import rules
from failover_lab.faults.snapshot import Refusal, Snapshot, Wanted
from failover_lab.faults.target import Target
from failover_lab.kube.application import Application
from failover_lab.kube.names import CONTROL_PLANE, EXCLUDE, OUT_OF_SERVICE
from failover_lab.kube.objects import name_of
from failover_lab.nodes import reported

Object = dict[str, Any]

LABELS = {"app.kubernetes.io/name": "site"}
OWNED = [{"kind": "ReplicaSet", "name": "site-1", "controller": True}]
READY = [{"type": "Ready", "status": "True"}]
UNREADY = [{"type": "Ready", "status": "Unknown"}]


def node(name: str, *, ready: bool = True, control_plane: bool = False, **more: Any) -> Object:
    room = more.pop("room", {"cpu": "2", "memory": "2Gi", "pods": "110"})
    return {
        "metadata": {"name": name, "labels": {CONTROL_PLANE: ""} if control_plane else {}},
        "spec": more,
        "status": {"conditions": READY if ready else UNREADY, "allocatable": room},
    }


def pod(name: str, where: str, *, ready: bool = True, **more: Any) -> Object:
    wants = more.pop("wants", {"cpu": "25m", "memory": "24Mi"})
    return {
        "metadata": {
            "name": name,
            "namespace": "site",
            "labels": LABELS,
            "uid": f"uid-{name}",
            "ownerReferences": OWNED,
        }
        | more.pop("metadata", {}),
        "spec": {"nodeName": where, "containers": [{"resources": {"requests": wants}}]},
        "status": {"phase": "Running", "conditions": READY if ready else UNREADY} | more,
    }


def budget(
    allowed: int,
    labels: dict[str, str] | None = LABELS,
    *,
    name: str = "site",
    namespace: str = "site",
    **spec: Any,
) -> Object:
    selector = spec.pop("selector", {"matchLabels": labels})
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": selector} | spec,
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
) -> Snapshot:
    deployment = {
        "metadata": {"namespace": "site"},
        "spec": {
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS | {"version": "1"}}},
        },
    }
    seen = reported.by_name(containers or [])
    return Snapshot(
        nodes,
        pods,
        Application.of_deployment(deployment),
        [budget(1)] if budgets is None else budgets,
        announcer,
        seen,
    )


def judge(given: Snapshot, node: str = "auto", kind: str = "drain", **more: Any) -> str:
    chosen, overridden = rules.judge(given, Wanted(kind, node, **more))
    assert overridden == []
    return str(chosen)


def refusal(given: Snapshot, node: str = "auto", kind: str = "drain", **more: Any) -> str:
    with pytest.raises(Refusal) as refused:
        rules.judge(given, Wanted(kind, node, **more))
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
    assert (
        said == "There is no node m09: fault_node is one of m02, m03, main, "
        "or auto, announcer, other, primary, leader, or zone:NAME."
    )


def test_refuses_the_only_control_plane() -> None:
    assert "main is the only control plane" in refusal(snapshot(), "main")


def test_refuses_a_node_without_the_site() -> None:
    said = refusal(snapshot(pods=[pod("a", "m02"), pod("b", "main")]), "m03")
    assert "m03 carries no pod of the site" in said
    assert "choose one of m02, main, or run `ansible-playbook setup.yml`" in said


CONTROLS = [node(name, control_plane=True) for name in ("c1", "c2", "c3")]
CONTROLS_PODS = [pod("a", "c1"), pod("b", "c1"), pod("c", "c2")]


def test_where_every_node_is_a_control_plane_one_is_named() -> None:
    said = refusal(snapshot(CONTROLS, CONTROLS_PODS))
    assert said.startswith("Every node is a control plane, and fault_node=auto takes none of them")
    assert "choose one by its name (fault_node=c1)" in said
    assert "setup.yml" not in said
    assert judge(snapshot(CONTROLS, CONTROLS_PODS), "c1") == "c1"
    # Of two, one may be drained; killed, it would leave no majority.
    assert "fault_node=c1" in refusal(snapshot(CONTROLS[:2], CONTROLS_PODS))
    said = refusal(snapshot(CONTROLS[:2], CONTROLS_PODS), kind="kill")
    assert "choose fault_kind=pod, or add a worker" in said
    assert "cluster_nodes=3" in said


def test_pods_may_die_where_every_node_is_a_control_plane() -> None:
    assert judge(snapshot(CONTROLS, CONTROLS_PODS), kind="pod") == "c1"
    assert judge(snapshot(CONTROLS, CONTROLS_PODS, announcer="c1"), "other", "pod") == "c2"
    assert judge(snapshot(CONTROLS[:1], [pod("a", "c1"), pod("b", "c1")]), kind="pod") == "c1"
    said = refusal(snapshot(CONTROLS[:1], [pod("a", "c1"), pod("b", "c1")]), kind="pod", pods="all")
    assert "Leave out fault_pods=all, or add a node" in said
    assert "spreads" not in said


def test_the_only_control_plane_of_one_node_has_no_worker_beside_it() -> None:
    said = refusal(
        snapshot([*CONTROLS[:1], node("m02", unschedulable=True)], CONTROLS_PODS[:2]), "c1", force=True
    )
    assert "Choose a worker" in said
    said = refusal(snapshot(CONTROLS[:1], CONTROLS_PODS[:2]), "c1", force=True)
    assert "Choose fault_kind=pod, or add a node" in said


def test_a_control_plane_without_its_label_is_known_by_what_runs_there() -> None:
    api = {"namespace": "kube-system", "labels": {"component": "kube-apiserver"}, "ownerReferences": []}
    pods = [*PODS, pod("d2", "main"), pod("d3", "main"), pod("kube-apiserver-main", "main", metadata=api)]
    nodes = [node("main"), *NODES[1:]]
    assert judge(snapshot(nodes, pods)) == "m02"
    assert "main is the only control plane" in refusal(snapshot(nodes, pods), "main", "kill")


def test_setup_is_no_remedy_where_it_could_spread_nothing() -> None:
    nodes = [NODES[0], node("m02", unschedulable=True), node("m03")]
    said = refusal(snapshot(nodes, [pod("a", "m02"), pod("b", "m02")]), "m03", force=True)
    assert "choose one of m02, or run `ansible-playbook setup.yml`, which spreads" in said
    nodes = [NODES[0], node("m02", taints=TAINTS), node("m03", unschedulable=True)]
    said = refusal(snapshot(nodes, [pod("a", "main"), pod("b", "main")]), force=True)
    assert "uncordon m03" in said


def quota(hard: dict[str, str], used: dict[str, str], **spec: Any) -> Object:
    return {
        "metadata": {"name": "few", "namespace": "site"},
        "spec": {"hard": hard} | spec,
        "status": {"hard": hard, "used": used},
    }


def with_quota(given: Object, *limit_ranges: Object, pods: list[Object] = PODS) -> Snapshot:
    made = snapshot(pods=pods)
    made.quotas, made.limit_ranges = [given], list(limit_ranges)
    return made


def test_a_quota_without_room_for_a_replacement_is_seen() -> None:
    full = quota({"pods": "4"}, {"pods": "4"})
    said = refusal(with_quota(full))
    assert said.startswith("The ResourceQuota site/few has no room for a replacement (pods: 4 used of 4)")
    assert "site_replicas" in said
    assert "for 2 replacements (pods: 4 used of 5)" in refusal(
        with_quota(quota({"pods": "5"}, {"pods": "4"})), kind="kill"
    )
    assert judge(with_quota(quota({"pods": "5"}, {"pods": "4"}))) == "m02"
    _, overridden = rules.judge(with_quota(full), Wanted(force=True))
    assert len(overridden) == 1


@pytest.mark.parametrize(
    ("hard", "used", "short"),
    [
        ({"requests.cpu": "110m"}, {"requests.cpu": "100m"}, True),
        ({"requests.cpu": "125m"}, {"requests.cpu": "100m"}, False),
        ({"cpu": "110m"}, {"cpu": "100m"}, True),
        ({"requests.memory": "100Mi"}, {"requests.memory": "96Mi"}, True),
        ({"count/pods": "4"}, {"count/pods": "4"}, True),
        ({"services": "1"}, {"services": "1"}, False),
        ({"requests.nvidia.com/gpu": "0"}, {"requests.nvidia.com/gpu": "0"}, False),
    ],
    ids=str,
)
def test_a_quota_counts_what_it_names(hard: dict[str, str], used: dict[str, str], *, short: bool) -> None:
    given = with_quota(quota(hard, used))
    if short:
        assert "has no room for a replacement" in refusal(given)
    else:
        assert judge(given) == "m02"


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        ({"scopes": ["NotTerminating"]}, True),
        ({"scopes": ["Terminating"]}, False),
        ({"scopes": ["NotBestEffort"]}, True),
        ({"scopes": ["BestEffort"]}, False),
        ({"scopes": ["PriorityClass"]}, False),
        ({"scopes": ["CrossNamespacePodAffinity"]}, False),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]
                }
            },
            True,
        ),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            False,
        ),
    ],
    ids=str,
)
def test_a_quota_counts_whom_its_scopes_mean(spec: Object, *, counts: bool) -> None:
    given = with_quota(quota({"pods": "4"}, {"pods": "4"}, **spec))
    if counts:
        assert "The ResourceQuota site/few" in refusal(given)
    else:
        assert judge(given) == "m02"


def test_a_quota_of_a_priority_class() -> None:
    urgent = [item | {"spec": item["spec"] | {"priorityClassName": "high"}} for item in PODS]
    rule = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
    given = quota({"pods": "4"}, {"pods": "4"}, scopeSelector={"matchExpressions": [rule]})
    assert "The ResourceQuota site/few" in refusal(with_quota(given, pods=urgent))


def test_what_a_quota_counts_has_to_be_said() -> None:
    given = quota({"limits.cpu": "10"}, {"limits.cpu": "0"})
    said = refusal(with_quota(given))
    assert said.startswith("The ResourceQuota site/few counts limits.cpu, which a does not say")
    gives = {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}}
    assert judge(with_quota(given, gives)) == "m02"


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"type": "Container", "max": {"memory": "16Mi"}}, "at most 16Mi of memory for each container"),
        ({"type": "Container", "min": {"cpu": "0.1"}}, "at least 0.1 of cpu for each container"),
        ({"type": "Pod", "max": {"cpu": "20m"}}, "at most 20m of cpu for each pod"),
        ({"type": "Container", "max": {"memory": "24Mi", "nvidia.com/gpu": "0"}, "min": {"cpu": "25m"}}, ""),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "1"}}, ""),
    ],
    ids=str,
)
def test_limits_that_came_after_the_pods(item: Object, said: str) -> None:
    limits = {"metadata": {"name": "later", "namespace": "site"}, "spec": {"limits": [item]}}
    given = with_quota(quota({}, {}), limits)
    if said:
        assert refusal(given).startswith(f"The LimitRange site/later wants {said}, and a is of before")
    else:
        assert judge(given) == "m02"


def test_refuses_where_only_the_control_plane_carries_the_site() -> None:
    said = refusal(snapshot(pods=[pod("a", "main"), pod("b", "main")]))
    assert "No schedulable worker carries a pod of the site" in said


TAINTS = [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("nodes", "said", "helps"),
    [
        ([NODES[0]], "Only 1 of 1 nodes takes pods", None),
        ([NODES[1], node("m03", unschedulable=True)], "Only 1 of 2 nodes takes pods", "bring back m03"),
        (
            [node("m02", ready=False), node("m03", ready=False)],
            "Only 0 of 2 nodes take pods",
            "bring back m02, m03",
        ),
        ([NODES[1], node("m03", taints=TAINTS)], "Only 1 of 2 nodes takes pods", "take the taints off m03"),
    ],
)
def test_refuses_with_fewer_than_two_nodes_and_says_what_helps(
    nodes: list[Object], said: str, helps: str | None
) -> None:
    text = refusal(snapshot(nodes))
    assert text.startswith(said)
    assert "cluster_nodes=3" in text
    assert "fault_kind=pod" in text
    # Nothing that the lab did is to be undone where no node is closed.
    assert ("recover.yml" in text) is bool(helps and "bring back" in helps)
    assert helps is None or helps in text


def test_refuses_with_fewer_than_two_ready_replicas() -> None:
    said = refusal(snapshot(pods=[pod("a", "m02"), pod("b", "m03", ready=False)]))
    assert said.startswith("Only 1 of the site's pods is ready")
    assert "site_replicas" in said


def test_refuses_where_the_budget_allows_nothing() -> None:
    said = refusal(snapshot(budgets=[budget(0)]))
    assert said == (
        "The disruption budget site allows no eviction now (3 healthy of 3 that must be), so a, b in the "
        "namespace site would stay on m02: wait until the site is whole, loosen it, or choose a "
        "node without such a pod."
    )


def test_a_budget_that_never_allows_an_eviction_is_not_waited_for() -> None:
    """MaxUnavailable 0, "0%", minAvailable "100%": all are healthy, and all must be."""
    given = budget(0, maxUnavailable=0)
    given["status"]["expectedPods"] = 3
    said = refusal(snapshot(budgets=[given]))
    assert "(3 healthy of 3 that must be, and no more of them are wanted)" in said
    assert said.endswith("would stay on m02: loosen it, or choose a node without such a pod.")


def test_a_budget_without_a_status_allows_nothing_yet() -> None:
    given = budget(1)
    del given["status"]
    assert "allows no eviction now (0 healthy of 0" in refusal(snapshot(budgets=[given]))


def test_a_budget_of_other_pods_does_not_count() -> None:
    assert judge(snapshot(budgets=[budget(0, {"app": "else"}), budget(1)]), "auto") == "m02"


@pytest.mark.parametrize(
    ("selector", "counts"),
    [
        ({}, True),
        (None, False),
        ({"matchLabels": {"app.kubernetes.io/name": "else"}}, False),
        (
            {
                "matchExpressions": [
                    {"key": "app.kubernetes.io/name", "operator": "In", "values": ["a", "site"]}
                ]
            },
            True,
        ),
        (
            {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": ["else"]}]},
            False,
        ),
        (
            {
                "matchExpressions": [
                    {"key": "app.kubernetes.io/name", "operator": "NotIn", "values": ["site"]}
                ]
            },
            False,
        ),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}]}, True),
        ({"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ({"matchLabels": LABELS, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
    ],
    ids=str,
)
def test_a_budget_counts_as_its_selector_means(selector: Object | None, *, counts: bool) -> None:
    given = snapshot(budgets=[budget(0, selector=selector)])
    if counts:
        assert "allows no eviction" in refusal(given)
    else:
        assert judge(given) == "m02"


def test_a_budget_of_somebody_else_s_pods_on_the_node_counts_where_it_is() -> None:
    theirs = {"namespace": "db", "labels": {"app": "postgres"}, "ownerReferences": OWNED}
    pods = [*PODS, pod("postgres-0", "m02", metadata=theirs)]
    budgets = [budget(1), budget(0, {"app": "postgres"}, name="primary", namespace="db")]
    said = refusal(snapshot(pods=pods, budgets=budgets))
    assert said.startswith(
        "The disruption budget primary allows no eviction now (3 healthy of 3 that must be), so "
    )
    assert "postgres-0 in the namespace db would stay on m02" in said
    assert "wait until what is in db is whole" in said
    assert judge(snapshot(pods=pods, budgets=budgets), "m03") == "m03"
    assert judge(snapshot(pods=pods, budgets=budgets), kind="kill") == "m02"
    # In another namespace it selects nobody.
    assert judge(snapshot(pods=PODS, budgets=[budget(0, namespace="db")])) == "m02"


def test_every_budget_that_forbids_is_named() -> None:
    theirs = {"namespace": "db", "labels": {"app": "postgres"}, "ownerReferences": OWNED}
    pods = [*PODS, pod("postgres-0", "m02", metadata=theirs)]
    budgets = [budget(0), budget(0, {"app": "postgres"}, name="primary", namespace="db")]
    said = refusal(snapshot(pods=pods, budgets=budgets))
    assert said.startswith("The disruption budget site allows")
    assert "; the disruption budget primary allows" in said
    assert "what is in db, site is whole" in said


def test_a_budget_that_cannot_be_worked_out_says_why() -> None:
    given = budget(0)
    given["status"]["conditions"] = [
        {"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": "found no scale"}
    ]
    assert "now (found no scale), so a, b in" in refusal(snapshot(budgets=[given]))


@pytest.mark.parametrize("force", [False, True])
def test_two_budgets_on_one_pod_are_refused_whatever_is_forced(*, force: bool) -> None:
    given = snapshot(budgets=[budget(1), budget(1, selector={}, name="all")])
    said = refusal(given, force=force)
    assert said.startswith("site/a on m02 is selected by 2 disruption budgets, site/site and site/all")
    assert "Remove one" in said
    assert judge(given, kind="kill") == "m02"


def test_who_is_not_evicted_needs_no_budget_s_leave() -> None:
    def theirs(**more: Any) -> Object:
        return {"namespace": "db", "labels": {"app": "x"}, "ownerReferences": OWNED} | more

    daemon = [{"kind": "DaemonSet", "name": "d", "controller": True}]
    pods = [
        *PODS,
        pod("agent", "m02", metadata=theirs(ownerReferences=daemon)),
        pod(
            "static",
            "m02",
            metadata=theirs(ownerReferences=[], annotations={"kubernetes.io/config.mirror": "x"}),
        ),
        pod("leaving", "m02", metadata=theirs(deletionTimestamp="2026-01-01T00:00:00Z")),
        pod("ended", "m02", metadata=theirs(ownerReferences=[]), phase="Succeeded"),
        pod("beginning", "m02", ready=False, metadata=theirs(), phase="Pending"),
    ]
    budgets = [budget(0, {"app": "x"}, namespace="db"), budget(0, {"app": "x"}, namespace="db", name="two")]
    assert judge(snapshot(pods=pods, budgets=budgets)) == "m02"


def test_a_pod_that_is_not_ready_may_go_as_its_budget_says() -> None:
    pods = [pod("a", "m02", ready=False), *PODS[2:]]
    stricter = budget(0)
    stricter["status"]["currentHealthy"] = 2
    assert "so a in the namespace site would stay" in refusal(snapshot(pods=pods, budgets=[stricter]))
    always = stricter | {"spec": stricter["spec"] | {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}
    assert judge(snapshot(pods=pods, budgets=[always])) == "m02"
    # Without a policy: where enough others are healthy.
    assert judge(snapshot(pods=pods, budgets=[budget(0)])) == "m02"


@pytest.mark.parametrize("force", [False, True])
def test_a_pod_that_nothing_would_bring_back_is_said_before_the_cordon(*, force: bool) -> None:
    alone = {"namespace": "tools", "labels": {}, "ownerReferences": []}
    given = snapshot(pods=[*PODS, pod("shell", "m02", metadata=alone)])
    said = refusal(given, force=force)
    assert said.startswith("tools/shell on m02 has no controller: nothing would bring it back")
    assert judge(given, kind="kill") == "m02"
    assert judge(given, "m03") == "m03"


def test_the_site_s_pods_by_expressions_alone() -> None:
    rule = {"key": "app.kubernetes.io/name", "operator": "In", "values": ["site"]}
    deployment = {"metadata": {"namespace": "site"}, "spec": {"selector": {"matchExpressions": [rule]}}}
    seen = Snapshot(NODES, PODS, Application.of_deployment(deployment), [])
    assert [name_of(item) for item in seen.site_pods] == ["a", "b", "c", "d"]


def test_a_volume_that_only_the_node_reaches_is_seen() -> None:
    def reached_from(*names: str) -> Snapshot:
        rule = {"key": "metadata.name", "operator": "In", "values": [*names]}
        given = snapshot()
        given.volumes = [
            {
                "metadata": {"name": "pv-7"},
                "spec": {
                    "claimRef": {"name": "data"},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchFields": [rule]}]}},
                },
            },
            {"metadata": {"name": "anywhere"}, "spec": {}},
        ]
        return given

    for kind in ("drain", "kill"):
        said = refusal(reached_from("m02"), "m02", kind)
        assert said.startswith("The site's pods use the volume pv-7 (claim data), which none of the nodes")
        assert "fault_kind=pod" in said
    assert judge(reached_from("m02", "m03"), "m02") == "m02"
    assert judge(reached_from("m02"), "m02", "pod") == "m02"


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


def test_of_three_control_planes_one_may_be_lost_and_no_second_one() -> None:
    nodes = [node(name, control_plane=True) for name in ("main", "m02", "m03")]
    assert judge(snapshot(nodes), "main", "kill") == "main"
    nodes[2] = node("m03", control_plane=True, ready=False)
    said = refusal(snapshot(nodes), "main", "kill")
    assert "main is one of 3 control planes, of which m03 is lost already: those that are left" in said


def test_the_primary_and_the_leader_are_taken_by_what_the_cluster_says() -> None:
    nodes = [node(name, control_plane=True) for name in ("main", "m02", "m03")]
    nodes[0]["metadata"]["labels"]["minikube.k8s.io/primary"] = "true"
    seen = snapshot(nodes)
    seen.leader = "m02"
    assert judge(seen, "primary", "kill") == "main"
    assert judge(seen, "leader", "kill") == "m02"
    assert "Nobody says which node is the leader" in refusal(snapshot(nodes), "leader", "kill")


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
    taint = {"key": OUT_OF_SERVICE, "effect": "NoExecute"}
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
    one, every = Wanted("pod", pods="one"), Wanted("pod", pods="all")
    assert [name_of(item) for item in given.struck(Target(("m02",)), one)] == ["b"]
    assert [name_of(item) for item in given.struck(Target(("m02",)), every)] == ["a", "b"]
    assert [name_of(item) for item in given.struck(Target(("m02",)), Wanted("kill"))] == ["a", "b"]


def test_a_budget_holds_up_a_drain_alone() -> None:
    given = snapshot(budgets=[budget(0)])
    assert judge(given, "auto", "kill") == "m02"
    _, overridden = rules.judge(given, Wanted("drain", force=True))
    assert [text[:26] for text in overridden] == ["The disruption budget site"]


def test_too_few_nodes_may_be_forced() -> None:
    given = snapshot([NODES[1], node("m03", unschedulable=True)])
    assert "Only 1 of 2 nodes takes pods" in refusal(given, "m02", "kill")
    _, overridden = rules.judge(given, Wanted("kill", "m02", force=True))
    assert [text[:12] for text in overridden] == ["Only 1 of 2 ", "There is no "]
    # Pods come back to their own node.
    assert judge(given, "m02", "pod") == "m02"


def labelled(given: Object, label: str) -> Object:
    return given | {"metadata": given["metadata"] | {"labels": given["metadata"]["labels"] | {label: ""}}}


@pytest.mark.parametrize("kind", ["kill", "freeze", "partition"])
def test_refuses_to_silence_the_only_node_that_may_announce(kind: str) -> None:
    # As kubeadm makes it: of two nodes, one worker.
    nodes = [labelled(NODES[0], EXCLUDE), NODES[1]]
    pods = [pod("a", "m02"), pod("b", "main")]
    given = snapshot(nodes, pods, announcer="m02")
    said = refusal(given, "auto", kind)
    assert said.startswith(f"m02 announces the address, and no other node may: a {kind} is an outage")
    assert "cluster_nodes=3" in said
    _, overridden = rules.judge(given, Wanted(kind, force=True))
    assert overridden == [said]
    # One that is not ready announces nothing either.
    assert refusal(snapshot([*nodes, node("m03", ready=False)], pods, announcer="m02"), "m02", kind) == said


@pytest.mark.parametrize("kind", ["drain", "pod", "kubelet"])
def test_who_goes_on_announcing_may_be_broken_alone(kind: str) -> None:
    nodes = [labelled(NODES[0], EXCLUDE), NODES[1]]
    pods = [pod("a", "m02"), pod("b", "main")]
    assert judge(snapshot(nodes, pods, announcer="m02"), "m02", kind) == "m02"


def test_another_node_that_may_announce_is_enough() -> None:
    pods = [pod("a", "m02"), pod("b", "main")]
    assert judge(snapshot(NODES[:2], pods, announcer="m02"), "m02", "kill") == "m02"
    nodes = [labelled(NODES[0], EXCLUDE), *NODES[1:]]
    assert judge(snapshot(nodes, PODS, announcer="m02"), "m02", "kill") == "m02"
    assert judge(snapshot(nodes, PODS, announcer=None), "m02", "kill") == "m02"


@pytest.mark.parametrize("kind", ["kill", "freeze", "partition", "kubelet"])
def test_refuses_when_kubernetes_would_stop_replacing(kind: str) -> None:
    nodes = [*NODES, node("m04", ready=False), node("m05", ready=False)]
    said = refusal(snapshot(nodes), "m02", kind)
    assert said.startswith("With m02, 3 of 5 nodes would be lost (m02, m04, m05)")
    assert "recover.yml" in said
    assert rules.judge(snapshot(nodes), Wanted(kind, "m02", force=True))[1] == [said]
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


def in_zones(**zones: str) -> list[Object]:
    """Nodes, each in its zone; ``main`` is the control plane."""
    nodes = [node(name, control_plane=name == "main") for name in zones]
    for item in nodes:
        item["metadata"]["labels"]["topology.kubernetes.io/zone"] = zones[name_of(item)]
    return nodes


SIX = {"main": "a", "m02": "b", "m03": "b", "m04": "a", "m05": "c", "m06": "c"}


def test_a_zone_is_all_its_nodes() -> None:
    pods = [pod("a", "m02"), pod("b", "m03"), pod("c", "m05"), pod("d", "m04")]
    seen = snapshot(in_zones(**SIX), pods, announcer="m03")
    chosen, overridden = rules.judge(seen, Wanted("kill", "zone:b"))
    assert (chosen, overridden) == (Target(("m02", "m03"), "b"), [])
    assert [name_of(item) for item in seen.struck(chosen, Wanted("kill"))] == ["a", "b"]
    assert (str(chosen), chosen.name) == ("b (m02, m03)", "zone:b")


@pytest.mark.parametrize(
    ("zone", "kind", "said"),
    [
        ("d", "kill", r"There is no zone d: choose one of zone:a, zone:b, zone:c\.$"),
        ("b", "drain", "fault_node=zone:b does not go with fault_kind=drain, which takes one node's pods"),
        ("a", "kill", r"^a \(m04, main\) has the only control plane: nothing could bring up"),
        ("c", "kill", r"^c \(m05, m06\) carries no pod of the site"),
    ],
)
def test_a_zone_that_cannot_be_lost(zone: str, kind: str, said: str) -> None:
    pods = [pod("a", "m02"), pod("b", "m03"), pod("c", "m04")]
    with pytest.raises(Refusal, match=said):
        rules.judge(snapshot(in_zones(**SIX), pods), Wanted(kind, f"zone:{zone}"))


def test_one_of_a_zone_s_nodes_that_is_broken_already_is_named() -> None:
    nodes = in_zones(**SIX)
    nodes[2]["status"] |= {"conditions": UNREADY}
    with pytest.raises(Refusal, match=r"^m03 is faulted already \(it is not ready\)"):
        rules.judge(snapshot(nodes, [pod("a", "m02"), pod("b", "m04")]), Wanted("kill", "zone:b"))


def test_a_zone_with_two_of_three_control_planes_is_not_lost() -> None:
    nodes = in_zones(main="a", m02="b", m03="b", m04="c")
    for item in nodes[1:3]:
        item["metadata"]["labels"][CONTROL_PLANE] = ""
    with pytest.raises(Refusal, match=r"^b \(m02, m03\) has 2 of 3 control planes: those that are"):
        rules.judge(snapshot(nodes, [pod("a", "m02"), pod("b", "m04")]), Wanted("kill", "zone:b"))


def test_a_zone_that_holds_all_that_takes_pods_is_not_lost() -> None:
    nodes = in_zones(main="a", m02="b", m03="b")
    nodes[0]["spec"]["unschedulable"] = True
    with pytest.raises(Refusal, match=r"^b \(m02, m03\) has all 2 nodes that take pods"):
        rules.judge(snapshot(nodes, PODS), Wanted("kill", "zone:b"))


def test_where_all_are_control_planes_setup_spreads_the_site_anew() -> None:
    with pytest.raises(Refusal, match=r"^c1 carries no pod of the site.*run `ansible-playbook setup\.yml`"):
        rules.judge(snapshot(CONTROLS, CONTROLS_PODS[2:]), Wanted("kill", "c1"))


def test_without_zones_there_is_none_to_lose() -> None:
    with pytest.raises(Refusal, match=r"No node is in any zone .*cluster_zones=3"):
        rules.judge(snapshot(), Wanted("kill", "zone:b"))


def test_a_whole_zone_may_be_lost_as_long_as_another_lives() -> None:
    """Without zones, three of four lost nodes would stop Kubernetes."""
    nodes = [node("m01"), *(node(f"m0{number}", ready=number == 4) for number in (2, 3, 4))]
    assert rules.evictions_would_stop(snapshot(nodes), Target(("m04",)), Wanted("kill", "m04"))
    for one, zone in zip(nodes, ("a", "b", "b", "b"), strict=True):
        one["metadata"]["labels"]["topology.kubernetes.io/zone"] = zone
    assert rules.evictions_would_stop(snapshot(nodes), Target(("m04",)), Wanted("kill", "m04")) is None
