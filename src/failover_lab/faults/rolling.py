"""May a Deployment be rolled out, and in how many steps? By its own strategy, before anything is changed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from failover_lab.faults import quota
from failover_lab.faults.capacity import without_room
from failover_lab.kube.objects import Object, name_of, of
from failover_lab.kube.rollout import missing_in_deployment

if TYPE_CHECKING:
    from failover_lab.faults.kinds import Kind


class Snapshot(Protocol):
    """What is looked at of the cluster, as ``rules.Snapshot`` has it."""

    deployment: Object
    nodes: list[Object]
    pods: list[Object]
    site_pods: list[Object]
    quotas: list[Object]
    limit_ranges: list[Object]


class Wanted(Protocol):
    """What is asked for, as ``rules.Wanted`` has it."""

    @property
    def kind(self) -> str:
        """Its name."""

    @property
    def fault(self) -> Kind:
        """Its row."""


def _share(value: int | str, replicas: int, *, up: bool) -> int:
    """A number of pods, which may be written as a percentage."""
    if isinstance(value, str) and value.endswith("%"):
        part = replicas * float(value[:-1]) / 100
        return math.ceil(part) if up else math.floor(part)
    return int(value)


def steps_of(deployment: Object) -> tuple[int, int]:
    """How many pods more than wanted there may be, and how many fewer, as the controller rounds them."""
    rolling = of(deployment, "spec", "strategy", "rollingUpdate", default={})
    replicas = int(of(deployment, "spec", "replicas", default=1))
    surge = _share(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    # Not both may be none.
    return (surge, unavailable) if surge or unavailable else (0, 1)


def waves(deployment: Object) -> int:
    """How often one after the other new pods have to start."""
    replicas = int(of(deployment, "spec", "replicas", default=1))
    return max(1, math.ceil(replicas / max(1, sum(steps_of(deployment)))))


def cannot(snapshot: Snapshot, _node: str, wanted: Wanted) -> str | None:
    """Why a rollout would do nothing, or something else; nothing overrides it."""
    if wanted.fault.takes != "application":
        return None
    deployment = snapshot.deployment
    name = name_of(deployment)
    if of(deployment, "spec", "paused", default=False):
        return f"Deployment {name} is paused, so nothing would be rolled out: `kubectl rollout resume` it."
    if lack := missing_in_deployment(deployment):
        return f"Deployment {name} is being rolled out already ({lack}): wait until that is over."
    return None


def had_better_not(snapshot: Snapshot, _node: str, wanted: Wanted) -> str | None:
    """Why a rollout would be an outage, or would not get on."""
    if wanted.fault.takes != "application":
        return None
    deployment = snapshot.deployment
    name, pods = name_of(deployment), snapshot.site_pods
    if of(deployment, "spec", "strategy", "type") == "Recreate":
        return (
            f"Deployment {name} ends all its pods before it makes the first new one (strategy Recreate): a "
            f"{wanted.kind} is an outage. Set the strategy RollingUpdate, or fault_force=true."
        )
    surge, unavailable = steps_of(deployment)
    if not surge or not pods:
        return None
    if objection := quota.objection(snapshot.quotas, snapshot.limit_ranges, pods[0], surge):
        return objection
    if not unavailable and (homeless := without_room(pods[:surge], snapshot.nodes, _staying(snapshot))):
        return (
            f"There is no room for {len(homeless)} more of the site's pods beside those of now (maxSurge), "
            "and none of these may go first (maxUnavailable 0): add a node, or lower site_replicas or "
            "site_resources."
        )
    return None


def _staying(snapshot: Snapshot) -> list[Object]:
    """All pods; those of the site are of another template, whose hash spreads and wishes go by."""
    ours = {pod["metadata"]["uid"] for pod in snapshot.site_pods}
    return [
        pod | {"metadata": pod["metadata"] | {"labels": of(pod, "metadata", "labels", default={}) | _OLD}}
        if pod["metadata"]["uid"] in ours
        else pod
        for pod in snapshot.pods
    ]


_OLD = {"pod-template-hash": "old"}
