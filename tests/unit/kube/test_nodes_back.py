from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from failover_lab.errors import UserError
from failover_lab.kube import nodes_back
from failover_lab.run import instants

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster

Object = dict[str, Any]
BEFORE, SINCE, AFTER = (f"2026-11-23T19:00:{second}Z" for second in ("05", "10.250000", "12"))
WANTED = {"name": "m02", "since": SINCE, "restarted": True}


def conditions(*, ready: bool, message: str = "") -> Object:
    return {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown", "message": message}]}


def node(name: str = "m02", *, ready: bool = True) -> Object:
    return {
        "metadata": {"name": name},
        "status": conditions(ready=ready, message="" if ready else "no word from it"),
    }


def lease(renewed: str | None = AFTER) -> Object:
    return {"spec": {"renewTime": renewed}}


def pod(name: str, where: str = "m02", *, ready: bool = True, since: str = AFTER, **meta: Any) -> Object:
    owner = {"kind": meta.pop("owner", "DaemonSet"), "controller": True}
    return {
        "metadata": {"name": name, "ownerReferences": [owner]} | meta,
        "spec": {"nodeName": where},
        "status": conditions(ready=ready)
        | {"containerStatuses": [{"state": {"running": {"startedAt": since}}}]},
    }


PODS = [
    pod("flannel"),
    pod("proxy"),
    pod("site", owner="ReplicaSet", ready=False),
    pod("other", "m03", ready=False),
]


def test_back() -> None:
    assert nodes_back.missing_of(WANTED, node(), lease(), PODS) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((None, lease(), PODS), "m02 has not joined"),
        ((node(), None, PODS), "has not renewed its lease since 19:00:10"),
        ((node(), lease(None), PODS), "has not renewed its lease"),
        ((node(), lease(BEFORE), PODS), "has not renewed its lease"),
        # What was true before the node was lost says nothing.
        ((node(), lease(SINCE), PODS), "has not renewed its lease"),
        ((node(ready=False), lease(), PODS), "m02 is not ready: no word from it"),
        ((node(), lease(), [*PODS, pod("speaker", ready=False)]), "speaker on m02 is not ready"),
        ((node(), lease(), [pod("flannel", since=BEFORE), PODS[1]]), "flannel on m02 is not ready"),
        ((node(), lease(), PODS[2:]), "m02 carries none of the pods that belong to every node"),
    ],
)
def test_what_is_missing(given: tuple[Object | None, Object | None, list[Object]], said: str) -> None:
    found = nodes_back.missing_of(WANTED, *given)
    assert found is not None
    assert said in found


def test_a_pod_without_a_state_has_not_started() -> None:
    bare = pod("flannel")
    del bare["status"]["containerStatuses"]
    assert "flannel" in str(nodes_back.missing_of(WANTED, node(), lease(), [bare]))


def test_of_a_node_that_lived_on_the_pods_need_not_be_new() -> None:
    lived = WANTED | {"restarted": False}
    assert nodes_back.missing_of(lived, node(), lease(), [pod("flannel", since=BEFORE)]) is None


def test_pods_that_are_about_to_go_do_not_count() -> None:
    leaving = pod("old", ready=False, deletionTimestamp=AFTER)
    assert nodes_back.missing_of(WANTED, node(), lease(), [*PODS, leaving]) is None


def test_the_engine_writes_nanoseconds() -> None:
    assert instants.parse("2026-11-23T19:00:10.250123456Z") == instants.parse(
        "2026-11-23T19:00:10.250123+00:00"
    )


class Returning:
    """Stands for a cluster whose node comes back at the third look."""

    def __init__(self) -> None:
        self.looks = 0

    def nodes(self) -> list[Object]:
        self.looks += 1
        return [node(ready=self.looks > 2)]

    def pods(self) -> list[Object]:
        return PODS

    def lease(self, _name: str) -> Object:
        return lease()


@pytest.fixture
def returning(monkeypatch: pytest.MonkeyPatch) -> Returning:
    made = Returning()
    clock = iter(range(1000))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    return made


def ask(cluster: Returning, timeout_s: int, *, check: bool = False) -> Object:
    wanted = {"context": "lab", "nodes": [WANTED], "timeout_s": timeout_s}
    return nodes_back.watch(cast("Cluster", cluster), wanted, check_mode=check)


def test_it_waits(returning: Returning) -> None:
    assert ask(returning, 30) == {"missing": []}
    assert returning.looks == 3


def test_it_says_what_is_missing_when_the_time_is_over(returning: Returning) -> None:
    with pytest.raises(UserError, match=r"^After 1 s in lab: m02 is not ready: no word from it$"):
        ask(returning, 1)


def test_check_mode_does_not_wait(returning: Returning) -> None:
    assert ask(returning, 30, check=True) == {"missing": ["m02 is not ready: no word from it"]}
    assert returning.looks == 1
