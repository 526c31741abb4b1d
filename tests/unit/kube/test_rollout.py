from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import pytest

from failover_lab.kube import rollout

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster

Object = dict[str, Any]


def deployment(wanted: int = 4, seen: int = 2, **status: int) -> Object:
    whole = {
        "replicas": wanted,
        "updatedReplicas": wanted,
        "readyReplicas": wanted,
        "availableReplicas": wanted,
    }
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": wanted, "selector": {"matchLabels": {"app": "site"}}},
        "status": {"observedGeneration": seen} | whole | status,
    }


def pod(name: str, node: str | None = "n1", *, ready: bool = True, **more: Any) -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": name, "uid": f"uid-{name}"} | more.pop("metadata", {}),
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": "Pending", "conditions": conditions} | more,
    }


def waiting(reason: str, message: str = "", **more: Any) -> Object:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}} | more]}


def node(name: str, *, ready: bool = True, **spec: Any) -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": conditions}}


class Played:
    """Stands for a cluster that goes through these states, and stays in the last."""

    def __init__(self, *states: tuple[Object, list[Object], Object]) -> None:
        self.states = list(states)
        self.now = self.states[0]

    def deployment(self, _namespace: str, _name: str) -> Object:
        self.now = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return self.now[0]

    def pods_of(self, _: Object) -> list[Object]:
        return self.now[1]

    def service(self, _namespace: str, _name: str) -> Object:
        return self.now[2]


WANTED: Object = {
    "context": "lab",
    "kubeconfig": None,
    "namespace": "ns",
    "deployment": "site",
    "service": "web",
    "without_nodes": [],
}
ADDRESS: Object = {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}}
PODS = [pod("a", "n1"), pod("b", "n1"), pod("c", "n2"), pod("d", "n3")]


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1_000_000))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))


@pytest.mark.parametrize(
    ("given", "lack"),
    [
        (deployment(), None),
        (deployment(seen=1), "the controller has not seen it yet"),
        (deployment(updatedReplicas=3), "3 of 4 pods of the newest template"),
        (deployment(readyReplicas=0), "0 of 4 pods ready"),
        (deployment(availableReplicas=2), "2 of 4 pods available"),
        (deployment(replicas=5), "1 pods too many"),
        ({"metadata": {"generation": 1}, "spec": {}}, "the controller has not seen it yet"),
    ],
)
def test_what_keeps_a_deployment(given: Object, lack: str | None) -> None:
    assert rollout.missing_in_deployment(given) == lack


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (pod("a", ready=False, **waiting("ImagePullBackOff", "401")), "ImagePullBackOff: 401"),
        (pod("a", ready=False, **waiting("ContainerCreating")), "Failed: no secret"),
        (
            pod(
                "a",
                ready=False,
                **waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 64, "reason": "Error"}}),
            ),
            "container ended with status 64 (Error)",
        ),
        (
            pod(
                "a",
                None,
                conditions=[
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}
                ],
            ),
            "Unschedulable: 0/3",
        ),
        (pod("other", ready=False), "Pending"),
    ],
)
def test_a_pod_says_why(given: Object, reason: str) -> None:
    events = [
        {"involvedObject": {"uid": "uid-a"}, "reason": "Old", "message": "passed"},
        {"involvedObject": {"uid": "uid-a"}, "reason": "Failed", "message": "no secret"},
        {"involvedObject": {"uid": "uid-z"}, "reason": "Else", "message": "where"},
    ]
    assert rollout.reason_of(given, events) == reason


def test_like_reasons_are_one_line_and_refused_pods_another() -> None:
    pods = [
        pod("a", "n1", ready=False, **waiting("ImagePullBackOff", "401")),
        pod("b", "n2", ready=False, **waiting("ImagePullBackOff", "401")),
        pod("c", None, ready=False),
        pod("d"),
        pod("e", ready=False, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ]
    refused = {"reason": "FailedCreate", "message": "violates PodSecurity"}
    assert rollout.explain(pods, [refused]) == [
        "a on n1, b on n2: ImagePullBackOff: 401",
        "c: Pending",
        "pods are refused: violates PodSecurity",
    ]


def test_nodes_that_can_take_pods() -> None:
    nodes = [
        node("b"),
        node("a"),
        node("dead", ready=False),
        node("cordoned", unschedulable=True),
        node("tainted", taints=[{"key": "x", "effect": "NoSchedule"}]),
        node("disliked", taints=[{"key": "x", "effect": "PreferNoSchedule"}]),
    ]
    assert rollout.eligible(nodes) == ["a", "b", "disliked"]


@pytest.mark.parametrize(
    ("nodes", "skew"), [(["n1", "n2", "n3"], 1), (["n1", "n2", "n3", "n4"], 2), (["n2"], 0), ([], 0)]
)
def test_skew(nodes: list[str], skew: int) -> None:
    assert rollout.skew_of(PODS, nodes) == skew


def wait(
    *states: tuple[Object, list[Object], Object], timeout_s: float = 100, without_nodes: Sequence[str] = ()
) -> tuple[Object, str | None]:
    wanted = WANTED | {"without_nodes": without_nodes}
    return rollout.wait(cast("Cluster", Played(*states)), wanted, timeout_s)


def test_waits_for_pods_then_for_their_list_then_for_the_address() -> None:
    state, lack = wait(
        (deployment(readyReplicas=1), PODS[:1], {}),
        (deployment(), PODS[:3], {}),
        (deployment(), PODS, {}),
        (deployment(), PODS, ADDRESS),
    )
    assert lack is None
    assert state["address"] == "10.0.0.9"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            (deployment(readyReplicas=1), PODS, ADDRESS),
            "Deployment site is not rolled out: 1 of 4 pods ready",
        ),
        ((deployment(), PODS[:3], ADDRESS), "Deployment site is not rolled out: 3 of 4 pods listed as ready"),
        ((deployment(), PODS, {}), "Service web was given no address: is a load balancer installed"),
    ],
)
def test_gives_up_in_time_and_names_what_is_missing(
    state: tuple[Object, list[Object], Object], said: str
) -> None:
    assert str(wait(state)[1]).startswith(said)


def test_does_not_wait_for_what_cannot_heal() -> None:
    bad = pod("a", ready=False, **waiting("InvalidImageName"))
    healed = (deployment(), PODS, ADDRESS)
    assert wait((deployment(readyReplicas=3), [*PODS[1:], bad], ADDRESS), healed)[1] is not None


def test_pods_on_a_lost_node_do_not_count_and_hold_nothing_up() -> None:
    stuck = pod("a", "n1", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    fresh = [pod("e", "n2"), pod("f", "n3")]
    counts = deployment(readyReplicas=4, replicas=6)
    state, lack = wait(
        # Before the node is known to be lost, everything looks as if it were well.
        (counts, PODS, ADDRESS),
        (counts, [stuck, pod("b", "n1", ready=False), *PODS[2:], fresh[0]], ADDRESS),
        (counts, [stuck, pod("b", "n1", ready=False), *PODS[2:], *fresh], ADDRESS),
        without_nodes=["n1"],
    )
    assert lack is None
    assert [item["metadata"]["name"] for item in state["pods"]] == ["c", "d", "e", "f"]


@pytest.mark.parametrize(
    ("annotations", "path"),
    [
        ({}, "/whoami"),
        ({"failover-lab/identity-path": ""}, ""),
        ({"failover-lab/identity-path": "/who"}, "/who"),
    ],
)
def test_where_the_application_says_who_answered(annotations: dict[str, str], path: str) -> None:
    given = deployment()
    given["metadata"]["annotations"] = annotations
    assert wait((given, PODS, ADDRESS))[0]["identity_path"] == path


def test_what_is_missing_without_a_node_is_named() -> None:
    said = str(wait((deployment(), PODS, ADDRESS), timeout_s=1, without_nodes=["n1"])[1])
    assert "2 of 4 pods ready on other nodes than n1; a, b on it still count as ready" in said
    gone = [pod("a", "n1", ready=False), *PODS[2:]]
    said = str(wait((deployment(), gone, ADDRESS), timeout_s=1, without_nodes=["n1"])[1])
    assert said.endswith("2 of 4 pods ready on other nodes than n1")


def test_a_service_that_gets_no_address_says_why() -> None:
    events = [
        {"involvedObject": {"kind": "Pod", "name": "a"}, "reason": "Old", "message": "passed"},
        {
            "involvedObject": {"kind": "Service", "name": "web"},
            "reason": "AllocationFailed",
            "message": "no available IPs",
        },
    ]
    assert rollout.explain(PODS, events) == ["Service web: AllocationFailed: no available IPs"]
    classed: Object = {"spec": {"loadBalancerClass": "x/y"}, "status": {}}
    played = Played((deployment(), PODS, classed))
    _, lack = rollout.look(cast("Cluster", played), WANTED)
    assert lack == (
        "Service web was given no address: spec.loadBalancerClass is x/y: only a load balancer of that class "
        "gives it an address"
    )
