from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from failover_lab.kube.errors import RefusedError
from failover_lab.kube.failing import Starts, failure_of, newest

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster

Object = dict[str, Any]
ENDED = {"terminated": {"exitCode": 1, "reason": "Error"}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}


def pod(
    name: str = "a", *, at: str = "1", of_template: str = "new", leaving: bool = False, **status: Any
) -> Object:
    metadata: Object = {
        "name": name,
        "uid": f"uid-{name}",
        "creationTimestamp": f"2026-01-01T00:00:0{at}Z",
        "labels": {"pod-template-hash": of_template},
    }
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    return {
        "metadata": metadata,
        "spec": {"nodeName": "n1", "containers": [{"name": "site"}]},
        "status": status,
    }


def container(state: Object, last: Object | None = None) -> Object:
    return {"containerStatuses": [{"state": state, "lastState": last or {}}]}


def ready(name: str, **more: Any) -> Object:
    return pod(name, **more, conditions=[{"type": "Ready", "status": "True"}])


def unhealthy(message: str, name: str = "a") -> Object:
    return {"involvedObject": {"uid": f"uid-{name}"}, "reason": "Unhealthy", "message": message}


@pytest.mark.parametrize(
    ("status", "events", "what", "remedy"),
    [
        (
            container({"waiting": {"reason": "ErrImagePull", "message": "x: not found"}}),
            [],
            "ErrImagePull",
            "tag",
        ),
        (
            container({"waiting": {"reason": "ImagePullBackOff", "message": "401 Unauthorized"}}),
            [],
            "ImagePullBackOff",
            "site_pull_username",
        ),
        (
            container({"waiting": {"reason": "RunContainerError", "message": "exec: no such file"}}),
            [],
            "RunContainerError",
            "site_command",
        ),
        (
            container(BACK_OFF, {"terminated": {"reason": "StartError", "message": "permission denied"}}),
            [],
            "permission denied",
            "site_run_as",
        ),
        (container(BACK_OFF, ENDED), [], "ended with status 1", ""),
        (container({"terminated": {"reason": "OOMKilled"}}), [], "OOMKilled", "site_resources"),
        (
            {"initContainerStatuses": [{"state": BACK_OFF, "lastState": ENDED}]},
            [],
            "ended with status 1",
            "",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3: 3 Insufficient memory.",
                    }
                ]
            },
            [],
            "Unschedulable",
            "memory",
        ),
        (
            container({"running": {}}),
            [unhealthy("Startup probe failed: dial tcp 10.0.0.1:81: connect: connection refused")],
            "10.0.0.1:81",
            "site_container_port",
        ),
        (
            container({"running": {}}),
            [unhealthy("Startup probe failed: HTTP probe failed with statuscode: 404")],
            "404",
            "site_health_path",
        ),
    ],
)
def test_why_a_pod_does_not_start(status: Object, events: list[Object], what: str, remedy: str) -> None:
    found = failure_of(pod(**status), events)
    assert found is not None
    assert what in found.what
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("status", "events"),
    [
        (container({"waiting": {"reason": "ContainerCreating"}}), []),
        # It ended before, and is being tried again.
        (container({"running": {}}, ENDED), []),
        # It may be slow.
        (container({"running": {}}), [unhealthy("context deadline exceeded")]),
        (container({"running": {}}), [unhealthy("connection refused", "other")]),
        ({"phase": "Pending"}, []),
    ],
)
def test_what_may_still_become_well(status: Object, events: list[Object]) -> None:
    assert failure_of(pod(**status), events) is None


def test_only_the_newest_template_counts() -> None:
    old = pod("old", of_template="old", **container(BACK_OFF, ENDED))
    fresh = pod("fresh", at="2")
    gone = pod("gone", at="3", of_template="newer", leaving=True)
    assert newest([old, fresh, gone]) == [fresh]
    assert newest([gone]) == []


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Said:
    """Stands for a cluster that has these warnings and logs."""

    def __init__(self, log: str = "", before: str = "", warnings: list[Object] | None = None) -> None:
        self._log, self._before, self._warnings = log, before, warnings or []

    def warnings(self, _namespace: str) -> list[Object]:
        return self._warnings

    def log(self, _namespace: str, _pod: str, _container: str, _lines: int, *, previous: bool = False) -> str:
        if previous and not self._before:
            raise RefusedError(400, "previous terminated container not found")
        return self._before if previous else self._log


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def starts(said: Said, patience_s: float = 10) -> Starts:
    return Starts(cast("Cluster", said), "ns", patience_s)


BROKEN = pod(**container(BACK_OFF, ENDED))


def test_it_is_hopeless_once_it_has_lasted(clock: Clock) -> None:
    looked = starts(Said())
    assert not looked.hopeless([BROKEN])
    clock.now += 9
    assert not looked.hopeless([BROKEN, ready("b")])
    # Well for a moment: it begins anew.
    assert not looked.hopeless([ready("b")])
    clock.now += 9
    assert not looked.hopeless([BROKEN])
    clock.now += 10
    assert looked.hopeless([BROKEN])


def test_without_patience_everything_is_waited_for(clock: Clock) -> None:
    looked = starts(Said(), 0)
    for _ in range(3):
        assert not looked.hopeless([BROKEN])
        clock.now += 100


def test_room_may_come_with_those_that_go(clock: Clock) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "x"}
    full = pod("full", conditions=[condition])
    looked = starts(Said())
    for _ in range(3):
        assert not looked.hopeless([full, pod("going", leaving=True)])
        clock.now += 100
    assert not looked.hopeless([full])
    clock.now += 10
    assert looked.hopeless([full])


@pytest.mark.parametrize(
    ("said", "log", "remedy"),
    [
        (Said(before="open() /run/x: Read-only file system"), "open()", "site_read_only=false"),
        (Said(before="bind() to 0.0.0.0:80 failed (13: Permission denied)"), "bind()", "site_run_as=0"),
        (Said(before="mkdir /var/x: Permission denied"), "mkdir", "site_run_as=0"),
        # The first run has no other before it.
        (Said(log="Traceback"), "Traceback", "docker run"),
        (Said(), "", "docker run"),
    ],
)
def test_the_last_lines_and_what_helps(clock: Clock, said: Said, log: str, remedy: str) -> None:
    looked = starts(said)
    looked.hopeless([BROKEN])
    clock.now += 10
    assert looked.hopeless([BROKEN, pod("b", **container(BACK_OFF, ENDED))])
    assert looked.told.startswith("a on n1 (1 more like it): the container ended with status 1 (Error)")
    assert f"\n  | {log}" in looked.told or not log
    assert remedy in looked.told


def test_a_server_that_goes_to_the_background(clock: Clock) -> None:
    ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    looked = starts(Said())
    looked.hopeless([pod(**container(BACK_OFF, ended))])
    clock.now += 10
    assert looked.hopeless([pod(**container(BACK_OFF, ended))])
    assert "stays in the foreground" in looked.told
