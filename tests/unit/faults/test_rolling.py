"""May a Deployment be rolled out, and how: by its own strategy."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.faults.test_rules import PODS, node, snapshot

from failover_lab.faults import rolling, rules
from failover_lab.faults.snapshot import Refusal, Snapshot, Wanted
from failover_lab.faults.target import Target
from failover_lab.kube.application import Application, Owner

WANTED = Wanted("rollout")


def deployed(replicas: int = 4, *, kind: str = "RollingUpdate", **rolling_update: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    return {
        "metadata": {"name": "site", "namespace": "site", "generation": 3},
        "spec": {"replicas": replicas, "strategy": {"type": kind, "rollingUpdate": rolling_update}},
        "status": {"observedGeneration": 3, **counts},
    }


def seen(deployment: dict[str, Any], **more: Any) -> Snapshot:
    found = snapshot(**more)
    selector = found.application.selectors[0]
    whole = deployment | {"spec": deployment["spec"] | {"selector": selector}}
    found.application = Application.of_deployment(whole)
    return found


def owner(kind: str, name: str, replicas: int = 2, **spec: Any) -> Owner:
    """One of an application that is there, whole."""
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    if kind == "DaemonSet":
        words = ("updatedNumberScheduled", "numberReady", "numberAvailable", "desiredNumberScheduled")
        counts = dict.fromkeys(words, replicas)
    chosen = {"matchLabels": {"app.kubernetes.io/name": "site"}}
    found = {
        "metadata": {"name": name, "namespace": "site", "generation": 1},
        "spec": {"replicas": replicas, "selector": chosen, **spec},
        "status": {"observedGeneration": 1, **counts},
    }
    return Owner(kind, name, found)


def others(*owners: Owner) -> Snapshot:
    """An application of several owners, which the lab did not bring."""
    found = snapshot()
    found.application = Application("site", found.application.selectors, owners=owners)
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
    app = Application.of_deployment(deployed(replicas, **update))
    assert (rolling.steps_of(app.owners[0]), rolling.waves(app)) == (steps, waves)


def test_one_that_may_be() -> None:
    assert rules.judge(seen(deployed(maxSurge=1, maxUnavailable=0)), WANTED) == (Target(), [])


def test_a_single_replica_may_be_rolled_out() -> None:
    alone = seen(deployed(1, maxSurge=1, maxUnavailable=0), pods=PODS[:1])
    assert rules.judge(alone, WANTED) == (Target(), [])


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
        with pytest.raises(Refusal) as refusal:
            rules.judge(seen(deployment), Wanted("rollout", force=force))
        assert words in str(refusal.value)


def test_all_at_once_is_an_outage() -> None:
    with pytest.raises(Refusal, match=r"strategy Recreate.*an outage.*fault_force=true"):
        rules.judge(seen(deployed(kind="Recreate")), WANTED)
    _, overridden = rules.judge(seen(deployed(kind="Recreate")), Wanted("rollout", force=True))
    assert len(overridden) == 1


def test_no_room_for_one_more() -> None:
    full = [node("m02", room={"cpu": "60m", "memory": "2Gi", "pods": "110"})]
    pods = [pod for pod in PODS if pod["spec"]["nodeName"] == "m02"]
    with pytest.raises(Refusal, match=r"no room for 1 more of the site's pods.*maxSurge"):
        rules.judge(seen(deployed(2, maxSurge=1, maxUnavailable=0), nodes=full, pods=pods), WANTED)
    # One of them goes first, and makes room.
    rules.judge(seen(deployed(2, maxSurge=1, maxUnavailable=1), nodes=full, pods=pods), WANTED)


@pytest.mark.parametrize(
    ("one", "steps"),
    [
        (owner("StatefulSet", "db", 3), (0, 1)),
        (owner("StatefulSet", "db", 5, updateStrategy={"rollingUpdate": {"maxUnavailable": "10%"}}), (0, 1)),
        (owner("StatefulSet", "db", 5, updateStrategy={"rollingUpdate": {"maxUnavailable": 2}}), (0, 2)),
        (owner("DaemonSet", "edge", 5, updateStrategy={"rollingUpdate": {"maxUnavailable": "30%"}}), (0, 2)),
        (
            owner(
                "DaemonSet", "edge", 5, updateStrategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
            ),
            (1, 0),
        ),
    ],
)
def test_steps_of_others(one: Owner, steps: tuple[int, int]) -> None:
    assert rolling.steps_of(one) == steps


def test_several_owners_are_rolled_out_beside_each_other() -> None:
    found = others(owner("Deployment", "web", 4), owner("StatefulSet", "db", 3), owner("DaemonSet", "edge"))
    assert rules.judge(found, WANTED) == (Target(), [])
    assert rolling.waves(found.application) == 3


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Owner("Pod", "lone", counted=1), "Pod lone has no rolling update that the lab knows"),
        (owner("ReplicaSet", "old"), "ReplicaSet old has no rolling update that the lab knows"),
        (Owner("Rollout", "argo", counted=2), "Rollout argo has no rolling update that the lab knows"),
        (
            owner("StatefulSet", "db", updateStrategy={"type": "OnDelete"}),
            "StatefulSet db replaces a pod once somebody deletes it (strategy OnDelete)",
        ),
        (
            owner("StatefulSet", "db", updateStrategy={"rollingUpdate": {"partition": 1}}),
            "StatefulSet db replaces only pods from number 1 on (partition)",
        ),
        (owner("Deployment", "api", paused=True), "Deployment api is paused"),
    ],
)
def test_one_of_several_that_cannot_be(one: Owner, words: str) -> None:
    with pytest.raises(Refusal) as refusal:
        rules.judge(others(owner("Deployment", "web"), one), Wanted("rollout", force=True))
    assert words in str(refusal.value)


def test_one_that_makes_pods_that_nobody_asks() -> None:
    partly = Owner("Deployment", "web", owner("Deployment", "web").found, counted=2, partly=True)
    with pytest.raises(Refusal, match=r"without the labels that the Service selects"):
        rules.judge(others(partly), WANTED)


def test_one_image_is_for_one_owner() -> None:
    wanted = Wanted("rollout", image="web:2")
    assert rules.judge(others(owner("Deployment", "web")), wanted) == (Target(), [])
    with pytest.raises(Refusal, match=r"fault_image is one image, and Deployment web, StatefulSet db"):
        rules.judge(others(owner("Deployment", "web"), owner("StatefulSet", "db")), wanted)


def test_what_leaves_nobody_is_told_and_not_refused() -> None:
    alone = others(owner("StatefulSet", "db", 1))
    assert rules.judge(alone, WANTED) == (Target(), [])
    assert "StatefulSet db takes all pods away" in rules.outage(alone, Target(), WANTED)
    assert (
        rules.outage(others(owner("StatefulSet", "db", 1), owner("Deployment", "web")), Target(), WANTED)
        == ""
    )
    anew = others(owner("Deployment", "web", strategy={"type": "Recreate"}))
    assert rules.judge(anew, WANTED) == (Target(), [])
    assert rules.outage(anew, Target(), WANTED)
