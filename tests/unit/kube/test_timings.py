from __future__ import annotations

from typing import Any

import pytest

from failover_lab.kube import timings

Object = dict[str, Any]
CREATED = "2026-11-23T19:00:00Z"


def manager(*flags: str) -> Object:
    command = ["kube-controller-manager", *flags]
    labels = {"component": "kube-controller-manager", "tier": "control-plane"}
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"command": command}]}}


def pod(ready_at: str | None = None, *tolerations: Object) -> Object:
    conditions = [{"type": "Initialized", "status": "True", "lastTransitionTime": CREATED}]
    if ready_at:
        conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": ready_at})
    return {
        "metadata": {"creationTimestamp": CREATED},
        "spec": {"tolerations": list(tolerations)},
        "status": {"conditions": conditions},
    }


def tolerates(seconds: int | None = None, **more: str) -> Object:
    limit = {} if seconds is None else {"tolerationSeconds": seconds}
    return (
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"} | limit | more
    )


@pytest.mark.parametrize(
    ("pods", "version", "found"),
    [
        ([manager("--node-monitor-grace-period=5s", "--node-monitor-period=1s")], "v1.99.1", (5, 1)),
        ([manager("--node-monitor-grace-period=1m30s")], "v1.99.1", (90, 5)),
        ([manager()], "v1.99.1", (50, 5)),
        ([manager()], "v1.31.9", (40, 5)),
        ([manager("--node-monitor-grace-period=soon")], "v1.99.1", (50, 5)),
        ([pod()], "v1.99.1", (50, 5)),
    ],
)
def test_what_the_controller_manager_was_told(
    pods: list[Object], version: str, found: tuple[float, float]
) -> None:
    result = timings.controller_of(pods, version)
    assert (result.grace_s, result.monitor_period_s) == found


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ([tolerates(5)], 5),
        ([tolerates(0)], 0),
        ([tolerates()], None),
        ([], 0),
        ([tolerates(9, key="node.kubernetes.io/not-ready")], 0),
        ([tolerates(9, effect="NoSchedule")], 0),
        ([{"operator": "Exists"}], None),
    ],
)
def test_for_how_long_a_pod_stays_bound(given: list[Object], seconds: float | None) -> None:
    assert timings.toleration_of(pod(None, *given)) == seconds


def test_the_quickest_start_counts() -> None:
    pods = [pod("2026-11-23T19:00:09Z"), pod("2026-11-23T19:00:02Z"), pod()]
    assert timings.start_of(pods) == 2.0
    assert timings.start_of([pod()]) is None


def test_all_together() -> None:
    site = [pod("2026-11-23T19:00:03Z", tolerates(300))]
    lease = {"spec": {"leaseDurationSeconds": 4}}
    assert timings.timings_of([manager("--node-monitor-period=1s")], site, lease, "v1.99.1") == {
        "grace_s": 50.0,
        "monitor_period_s": 1.0,
        "lease_s": 4.0,
        "toleration_s": 300.0,
        "pod_start_s": 3.0,
    }
    assert timings.timings_of([], [], None, "v1.99.1")["lease_s"] == 40.0
    # Where none can be read, it is one that the controller manager would not take for silence.
    assert (
        timings.timings_of([manager("--node-monitor-grace-period=5s")], [], None, "v1.99.1")["lease_s"] == 5.0
    )
