"""May a Deployment be rolled out, and how: by its own strategy."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.faults.test_rules import PODS, node, snapshot

from failover_lab.faults import rolling, rules

WANTED = rules.Wanted("rollout")


def deployed(replicas: int = 4, *, kind: str = "RollingUpdate", **rolling_update: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    return {
        "metadata": {"name": "site", "namespace": "site", "generation": 3},
        "spec": {"replicas": replicas, "strategy": {"type": kind, "rollingUpdate": rolling_update}},
        "status": {"observedGeneration": 3, **counts},
    }


def seen(deployment: dict[str, Any], **more: Any) -> rules.Snapshot:
    found = snapshot(**more)
    found.deployment = found.deployment | deployment
    return found


@pytest.mark.parametrize(
    ("replicas", "update", "steps", "waves"),
    [
        (4, {}, (1, 1), 2),
        (4, {"maxSurge": 1, "maxUnavailable": 0}, (1, 0), 4),
        (10, {"maxSurge": "25%", "maxUnavailable": "25%"}, (3, 2), 2),
        (1, {"maxSurge": "0%", "maxUnavailable": "25%"}, (0, 1), 1),
        (4, {"maxSurge": "100%", "maxUnavailable": 0}, (4, 0), 1),
    ],
)
def test_steps(replicas: int, update: dict[str, Any], steps: tuple[int, int], waves: int) -> None:
    deployment = deployed(replicas, **update)
    assert (rolling.steps_of(deployment), rolling.waves(deployment)) == (steps, waves)


def test_one_that_may_be() -> None:
    assert rules.judge(seen(deployed(maxSurge=1, maxUnavailable=0)), WANTED) == ("", [])


def test_a_single_replica_may_be_rolled_out() -> None:
    assert rules.judge(seen(deployed(1, maxSurge=1, maxUnavailable=0), pods=PODS[:1]), WANTED) == ("", [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"spec": {"paused": True}},
            "Deployment site is paused, so nothing would be rolled out: `kubectl rollout resume`",
        ),
        (
            {"status": {"observedGeneration": 2}},
            "is being rolled out already (the controller has not seen it yet)",
        ),
    ],
)
def test_one_that_cannot_be(change: dict[str, Any], words: str) -> None:
    deployment = deployed()
    for part, values in change.items():
        deployment[part] |= values
    for force in (False, True):
        with pytest.raises(rules.Refusal) as refusal:
            rules.judge(seen(deployment), rules.Wanted("rollout", force=force))
        assert words in str(refusal.value)


def test_all_at_once_is_an_outage() -> None:
    with pytest.raises(rules.Refusal, match=r"strategy Recreate.*an outage.*fault_force=true"):
        rules.judge(seen(deployed(kind="Recreate")), WANTED)
    _, overridden = rules.judge(seen(deployed(kind="Recreate")), rules.Wanted("rollout", force=True))
    assert len(overridden) == 1


def test_no_room_for_one_more() -> None:
    full = [node("m02", room={"cpu": "60m", "memory": "2Gi", "pods": "110"})]
    pods = [pod for pod in PODS if pod["spec"]["nodeName"] == "m02"]
    with pytest.raises(rules.Refusal, match=r"no room for 1 more of the site's pods.*maxSurge"):
        rules.judge(seen(deployed(2, maxSurge=1, maxUnavailable=0), nodes=full, pods=pods), WANTED)
    # One of them goes first, and makes room.
    rules.judge(seen(deployed(2, maxSurge=1, maxUnavailable=1), nodes=full, pods=pods), WANTED)
