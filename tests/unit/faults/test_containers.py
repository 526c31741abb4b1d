"""Which containers are to be struck, and how long they take, by what the API says of their pods."""

from __future__ import annotations

from typing import Any

import pytest

from failover_lab.errors import UserError
from failover_lab.faults import containers, kinds
from failover_lab.run import instants

NOW = instants.parse("2026-11-30T01:00:00Z")


def pod(*names: str, default: str = "", **of_first: Any) -> dict[str, Any]:
    statuses = [
        {"name": name, "containerID": f"containerd://{number:064x}", "state": {"running": {}}}
        for number, name in enumerate(names, 10)
    ]
    statuses[0] |= of_first
    return {
        "metadata": {
            "name": "site-a",
            "uid": "uid-a",
            "annotations": {"kubectl.kubernetes.io/default-container": default} if default else {},
        },
        "spec": {"containers": [{"name": name} for name in names]},
        # The API's list is in another order than the spec's.
        "status": {"containerStatuses": statuses[::-1]},
    }


def ids(*numbers: int) -> str:
    return "+".join(f"{number:064x}" for number in numbers)


@pytest.mark.parametrize(("default", "order"), [("", (10, 11)), ("proxy", (11, 10)), ("gone", None)])
def test_the_application_comes_first(default: str, order: tuple[int, ...] | None) -> None:
    found = pod("nginx", "proxy", default=default)
    if order is None:
        with pytest.raises(UserError, match="site-a has no container gone that runs"):
            containers.told([found])
    else:
        assert containers.told([found]) == [f"uid-a={ids(*order)}"]


@pytest.mark.parametrize("state", [{"waiting": {"reason": "CrashLoopBackOff"}}, {"terminated": {}}])
def test_one_that_does_not_run_cannot_be_killed(state: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"site-a has no container nginx that runs.*status\.yml"):
        containers.told([pod("nginx", state=state)])


@pytest.mark.parametrize(
    ("restarts", "ended", "waits"),
    [
        (0, None, 0),
        (1, "2026-11-30T00:59:00Z", 10),
        (3, "2026-11-30T00:59:00Z", 40),
        (40, "2026-11-30T00:59:00Z", 300),
        (3, "2026-11-30T00:40:00Z", 0),
    ],
)
def test_one_that_has_ended_before_waits(restarts: int, ended: str | None, waits: float) -> None:
    found = pod(
        "nginx", restartCount=restarts, lastState={"terminated": {"finishedAt": ended}} if ended else {}
    )
    assert containers.backoff_s(found, NOW) == waits


def test_the_longest_of_several() -> None:
    slow = pod("nginx")
    slow["spec"]["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 5}}}
    assert containers.timings_of([pod("nginx"), slow]) == {"backoff_s": 0.0, "stop_s": 5.0}
    assert containers.timings_of([]) == {"backoff_s": 0.0, "stop_s": 0.0}


@pytest.mark.parametrize(
    ("kind", "count"), [("kill", 0), ("pod", 0), ("slow", 0), ("process", 2), ("reboot", 1)]
)
def test_whose_containers_start_again(kind: str, count: int) -> None:
    ready = pod("nginx")
    ready["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert len(containers.restarted([ready, pod("nginx")], kinds.of(kind))) == count
