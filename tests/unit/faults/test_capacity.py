from __future__ import annotations

from typing import Any

import pytest

from failover_lab.faults import capacity

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
    return (
        {"topologyKey": capacity.HOSTNAME, "labelSelector": {"matchLabels": {"app": "site"}}}
        | honoured
        | more
    )


def test_pods_of_others_take_room_and_ended_ones_do_not() -> None:
    wants = {"cpu": "1"}
    pods = [
        pod("x", "n1", "1Gi", requests=wants),
        pod("y", "n1", "1Gi", requests=wants, phase="Succeeded"),
        pod("z", "n2", "1Gi", requests=wants),
    ]
    assert capacity.free_on(node("n1"), pods) == pytest.approx({"cpu": 1, "memory": 2**30, "pods": 109})


def test_room_is_counted_exactly() -> None:
    """0.3 - 0.1 is less than 0.2 to a processor's own arithmetic."""
    stays = pod("x", "n1", requests={"cpu": "100m"})
    homeless = capacity.without_room(
        [pod("y", "n2", requests={"cpu": "2e-1"})], [node("n1", cpu="0.3")], [stays]
    )
    assert homeless == []


def test_a_pod_that_asks_for_nothing_takes_a_place() -> None:
    given = {"spec": {"containers": [{}, {"resources": {"requests": {"cpu": "1"}}}]}}
    assert capacity.requests_of(given) == {"cpu": 1.0, "memory": 0.0, "pods": 1.0}


def wants(cpu: str, **more: Any) -> Object:
    return {"resources": {"requests": {"cpu": cpu}}} | more


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [wants("1"), wants("500m")]}, 1.5),
        # One that has to end first counts where it takes more than all that follow.
        ({"containers": [wants("1")], "initContainers": [wants("3"), wants("2")]}, 3),
        ({"containers": [wants("2")], "initContainers": [wants("1")]}, 2),
        # A native sidecar stays.
        ({"containers": [wants("1")], "initContainers": [wants("1", restartPolicy="Always")]}, 2),
        # What begins after a sidecar begins beside it; what begins before it does not.
        ({"containers": [wants("1")], "initContainers": [wants("1", restartPolicy="Always"), wants("2")]}, 3),
        ({"containers": [wants("1")], "initContainers": [wants("2"), wants("1", restartPolicy="Always")]}, 2),
        # What the pod asks for as a whole holds, and its runtime's own comes on top.
        ({"containers": [wants("1")], "resources": {"requests": {"cpu": "4"}}}, 4),
        ({"containers": [wants("1")], "overhead": {"cpu": "250m"}}, 1.25),
        ({"containers": [wants("1")], "resources": {"requests": {"cpu": "4"}}, "overhead": {"cpu": "1"}}, 5),
    ],
    ids=str,
)
def test_requests_are_kubernetes_own_sum(spec: Object, cpu: float) -> None:
    assert capacity.requests_of({"spec": spec})["cpu"] == pytest.approx(cpu)
    there = {"metadata": {"name": "x"}, "spec": spec | {"nodeName": "n1"}}
    assert capacity.free_on(node("n1", cpu="8"), [there])["cpu"] == pytest.approx(8 - cpu)


@pytest.mark.parametrize(
    ("state", "conditions", "cpu"),
    [
        ({"allocatedResources": {"cpu": "3"}}, [], 3),
        ({"allocatedResources": {"cpu": "1"}, "resources": {"requests": {"cpu": "4"}}}, [], 4),
        ({"allocatedResources": {"cpu": "1"}}, [], 2),
        ({"allocatedResources": {"cpu": "1"}}, [{"type": "PodResizePending", "reason": "Infeasible"}], 1),
    ],
    ids=str,
)
def test_a_pod_that_is_being_resized_takes_the_most(
    state: Object, conditions: list[Object], cpu: float
) -> None:
    given = {
        "metadata": {"name": "x"},
        "spec": {"nodeName": "n1", "containers": [wants("2", name="c")]},
        "status": {"containerStatuses": [{"name": "c"} | state], "conditions": conditions},
    }
    assert capacity.free_on(node("n1", cpu="8"), [given])["cpu"] == pytest.approx(8 - cpu)


def test_whatever_a_pod_asks_for_has_to_be_there() -> None:
    displaced = [pod("a", "gone", requests={"nvidia.com/gpu": "1"})]
    assert capacity.without_room(displaced, [node("n1")], []) == ["a"]
    with_gpu = node("n1") | {
        "status": {"conditions": READY, "allocatable": {"memory": "1Gi", "pods": "9", "nvidia.com/gpu": "1"}}
    }
    assert capacity.without_room(displaced, [with_gpu], []) == []
    assert capacity.without_room(
        displaced, [with_gpu], [pod("b", "n1", requests={"nvidia.com/gpu": "1"})]
    ) == ["a"]


def placed(spec: Object, *nodes: Object, staying: list[Object] | None = None) -> bool:
    return capacity.without_room([pod("a", "gone", spec=spec)], list(nodes), staying or []) == []


def affinity(*rules: Object, fields: list[Object] | None = None) -> Object:
    term = {"matchExpressions": list(rules)} | ({"matchFields": fields} if fields else {})
    required = {"nodeSelectorTerms": [term]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def test_a_pod_s_own_wishes_are_heeded() -> None:
    near, far = node("n1", zone="a"), node("n2", zone="b")
    assert placed({"nodeSelector": {"zone": "b"}}, near, far)
    assert not placed({"nodeSelector": {"zone": "b"}}, near)
    assert placed(affinity({"key": "zone", "operator": "In", "values": ["b"]}), near, far)
    assert not placed(affinity({"key": "zone", "operator": "NotIn", "values": ["a"]}), near)
    assert placed(affinity(fields=[{"key": "metadata.name", "operator": "In", "values": ["n1"]}]), near)
    assert not placed(affinity(fields=[{"key": "metadata.name", "operator": "In", "values": ["n9"]}]), near)
    numbered = node("n3", zone="7")
    assert placed(affinity({"key": "zone", "operator": "Gt", "values": ["6"]}), numbered)
    assert not placed(affinity({"key": "zone", "operator": "Lt", "values": ["6"]}), numbered)
    assert not placed(affinity({"key": "zone", "operator": "Gt", "values": ["6"]}), near)
    assert not placed(affinity(), near)


def test_taints_and_who_tolerates_them() -> None:
    tainted = node("n1") | {"spec": {"taints": [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]}}
    assert not placed({}, tainted)
    assert placed({"tolerations": [{"key": "dedicated", "operator": "Equal", "value": "db"}]}, tainted)
    assert not placed({"tolerations": [{"key": "dedicated", "value": "web"}]}, tainted)
    assert not placed(
        {"tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}]}, tainted
    )
    assert placed({"tolerations": [{"operator": "Exists"}]}, tainted)
    # A node that is lost is no place, whoever tolerates it.
    lost = node("n1") | {
        "spec": {"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]}
    }
    assert not placed({"tolerations": [{"operator": "Exists"}]}, lost)


def test_pods_that_must_be_apart() -> None:
    term = {"topologyKey": capacity.HOSTNAME, "labelSelector": {"matchLabels": {"app": "site"}}}
    spec = {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}
    nodes = [node(name) for name in ("n1", "n2")]
    for item in nodes:
        item["metadata"]["labels"][capacity.HOSTNAME] = item["metadata"]["name"]
    assert placed(spec, *nodes, staying=[pod("b", "n1")])
    assert not placed(spec, nodes[0], staying=[pod("b", "n1")])
    assert placed(spec, nodes[0], staying=[pod("b", "n1", metadata={"namespace": "other"})])
    # Two of them beside each other are one too many as well.
    displaced = [pod(name, "gone", spec=spec) for name in ("a", "c")]
    assert capacity.without_room(displaced, nodes[:1], []) == ["c"]


def test_ports_of_the_node_are_taken_once() -> None:
    spec = {"containers": [{"ports": [{"containerPort": 80, "hostPort": 80}]}]}
    assert placed(spec, node("n1"))
    assert not placed(spec, node("n1"), staying=[pod("b", "n1", spec=spec)])
    assert placed(spec, node("n1"), staying=[pod("b", "n1")])


def test_the_displaced_are_placed_in_turn_where_most_memory_is_left() -> None:
    displaced = [pod(f"p{i}", "gone", size) for i, size in enumerate(("60Mi", "100Mi", "100Mi", "20Mi"), 1)]
    others = [node("n0", memory="100Mi"), node("n1", memory="170Mi")]
    # In the first node, p1 would take the place that p3 needs.
    assert capacity.without_room(displaced[:3], others, []) == []
    assert capacity.without_room(displaced, others, []) == ["p4"]
    assert capacity.without_room([], others, []) == []


def test_a_node_that_takes_no_pods_is_no_place() -> None:
    tainted = node("n1") | {"spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}}
    assert capacity.without_room([pod("a", "gone")], [tainted], []) == ["a"]


def spread_over(nodes: list[Object], staying: list[Object], count: int, *rules: Object) -> list[str]:
    spec = {"topologySpreadConstraints": list(rules)}
    displaced = [pod(f"p{i}", "gone", spec=spec) for i in range(count)]
    return capacity.without_room(displaced, nodes, staying)


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


def test_with_fewer_domains_than_are_wanted_the_emptiest_counts_as_empty() -> None:
    nodes = [node("n1"), node("n2")]
    assert spread_over(nodes, [], 4, rule(minDomains=2)) == []
    assert spread_over(nodes, [], 4, rule(minDomains=3)) == ["p2", "p3"]


def test_a_node_without_the_label_of_a_spread_is_no_place() -> None:
    zones = rule(topologyKey="zone", maxSkew=9)
    assert spread_over([node("n1")], [], 1, zones) == ["p0"]
    assert spread_over([node("n1"), node("n2", zone="a")], [], 2, zones) == []


def test_nodes_that_a_pod_does_not_want_are_no_domains_of_its_spread() -> None:
    nodes = [node("n1", zone="a"), node("n2", zone="a"), node("n3", zone="b")]

    def homeless(policy: Object) -> list[str]:
        spec = {"topologySpreadConstraints": [rule(**policy)], "nodeSelector": {"zone": "a"}}
        return capacity.without_room([pod(f"p{i}", "gone", spec=spec) for i in range(4)], nodes, [])

    assert homeless({}) == []
    assert homeless({"nodeAffinityPolicy": "Ignore"}) == ["p2", "p3"]


def hosts(*names: str) -> list[Object]:
    nodes = [node(name) for name in names]
    for item in nodes:
        item["metadata"]["labels"][capacity.HOSTNAME] = item["metadata"]["name"]
    return nodes


def affine(kind: str, labels: dict[str, str], **more: Any) -> Object:
    term = {"topologyKey": capacity.HOSTNAME, "labelSelector": {"matchLabels": labels}} | more
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


@pytest.mark.parametrize(
    ("more", "shut"),
    [({}, False), ({"namespaces": ["site"]}, True), ({"namespaceSelector": {}}, True)],
)
def test_others_may_not_want_a_pod_beside_them(more: Object, *, shut: bool) -> None:
    other = pod("db", "n1", metadata={"namespace": "db"}, spec=affine("podAntiAffinity", LABELS, **more))
    assert placed({}, *hosts("n1"), staying=[other]) is not shut
    assert placed({}, *hosts("n1", "n2"), staying=[other])


def test_pods_that_must_be_beside_another() -> None:
    cache = pod("cache", "n1", metadata={"labels": {"app": "cache"}})
    wish = affine("podAffinity", {"app": "cache"})
    assert placed(wish, *hosts("n1", "n2"), staying=[cache])
    assert not placed(wish, *hosts("n2"), staying=[cache])
    assert not placed(wish, *hosts("n1"))
    # Those that want to be beside their own kind begin somewhere.
    assert placed(affine("podAffinity", {"app": "site"}), *hosts("n1"))


def test_a_port_of_one_address_is_not_that_of_another() -> None:
    def spec(address: str) -> Object:
        port = {"containerPort": 80, "hostPort": 80, "hostIP": address}
        return {"containers": [{"ports": [port]}]}

    assert placed(spec("127.0.0.1"), node("n1"), staying=[pod("b", "n1", spec=spec("192.0.2.1"))])
    assert not placed(spec("127.0.0.1"), node("n1"), staying=[pod("b", "n1", spec=spec("0.0.0.0"))])
    assert not placed(spec(""), node("n1"), staying=[pod("b", "n1", spec=spec("192.0.2.1"))])
