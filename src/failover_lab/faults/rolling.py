"""May an application be rolled out, and in how many steps? By its owners' own strategies, beforehand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from failover_lab.faults import kinds, quota
from failover_lab.faults.capacity import without_room
from failover_lab.kube.application import ROLLABLE
from failover_lab.kube.objects import Object, of
from failover_lab.kube.rollout import missing_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from failover_lab.faults.snapshot import Snapshot, Wanted
    from failover_lab.faults.target import Target
    from failover_lab.kube.application import Application, Owner

#: How a sentence ends that tells of an outage.
NOT_JUDGED = "so lost requests are expected, counted and not judged (witness_max_lost sets a limit)"
_ON_DELETE, _RECREATE = "OnDelete", "Recreate"
# How many pods more than wanted there may be, and how many fewer, where nothing is said of it.
_USUAL = {"Deployment": ("25%", "25%"), "StatefulSet": (0, 1), "DaemonSet": (0, 1)}


def _share(value: int | str, replicas: int, *, up: bool) -> int:
    """A number of pods, which may be written as a percentage."""
    if isinstance(value, str) and value.endswith("%"):
        part = replicas * float(value[:-1]) / 100
        return math.ceil(part) if up else math.floor(part)
    return int(value)


def _strategy(owner: Owner) -> Object:
    """What it says of how its pods are replaced; Deployments have another word for it."""
    spec = of(owner.found or {}, "spec", default={})
    return dict(spec.get("strategy") or spec.get("updateStrategy") or {})


def steps_of(owner: Owner) -> tuple[int, int]:
    """How many pods more than wanted there may be, and how many fewer, as its controller rounds them."""
    rolling = of(_strategy(owner), "rollingUpdate", default={})
    more, fewer = _USUAL[owner.kind]
    surge = _share(rolling.get("maxSurge", more), owner.wanted, up=True)
    unavailable = _share(rolling.get("maxUnavailable", fewer), owner.wanted, up=owner.kind == "DaemonSet")
    # Not both may be none.
    return (surge, unavailable) if surge or unavailable else (0, 1)


def waves(app: Application) -> int:
    """How often one after the other new pods have to start; owners roll out beside each other."""
    return max((_waves(owner) for owner in app.owners if owner.kind in ROLLABLE), default=1)


def _waves(owner: Owner) -> int:
    return max(1, math.ceil(owner.wanted / max(1, sum(steps_of(owner)))))


def outage(app: Application) -> str:
    """Why a rollout leaves nobody for a while; empty: somebody serves at any time."""
    if not app.owners or not all(map(_leaves_nobody, app.owners)):
        return ""
    who = ", ".join(owner.title for owner in app.owners)
    takes = "takes" if len(app.owners) == 1 else "take"
    return (
        f"by its own strategy, {who} {takes} all pods away before the first new one is ready: until then "
        f"nobody serves, {NOT_JUDGED}"
    )


def _leaves_nobody(owner: Owner) -> bool:
    if _strategy(owner).get("type") == _RECREATE:
        return True
    return owner.kind in ROLLABLE and owner.wanted <= steps_of(owner)[1]


def cannot(snapshot: Snapshot, _node: Target, wanted: Wanted) -> str | None:
    """Why a rollout would do nothing, or something else; nothing overrides it."""
    if wanted.fault.takes != "application":
        return None
    owners = snapshot.application.owners
    if wanted.image and len(owners) > 1:
        return (
            f"fault_image is one image, and {', '.join(owner.title for owner in owners)} would be given it: "
            "leave it out, or name one Deployment by fault_deployment."
        )
    return next(filter(None, map(_cannot, owners)), None)


def _cannot(owner: Owner) -> str | None:
    if owner.kind not in ROLLABLE or owner.found is None:
        other = kinds.first(lambda kind: kind.evicts)
        # A kind of another group, say an operator's, may have one of its own that nobody here knows.
        return (
            f"{owner.title} has no rolling update that the lab knows, so its pods would stay as they are: "
            f"name a Deployment by fault_deployment, or choose fault_kind={other}."
        )
    partition = of(_strategy(owner), "rollingUpdate", "partition", default=0)
    told = {
        "makes pods without the labels that the Service selects, so nobody would be asked after a rollout: "
        "add them to its template": owner.partly,
        "is paused, so nothing would be rolled out: `kubectl rollout resume` it": of(
            owner.found, "spec", "paused", default=False
        ),
        f"replaces a pod once somebody deletes it (strategy {_ON_DELETE}), so nothing would be rolled out: "
        "set the strategy RollingUpdate": _strategy(owner).get("type") == _ON_DELETE,
        f"replaces only pods from number {partition} on (partition), so the rollout would never be over: "
        "set it to 0": partition,
    }
    lack = missing_in(owner)
    told |= {f"is being rolled out already ({lack}): wait until that is over": lack}
    return next((f"{owner.title} {sentence}." for sentence, holds in told.items() if holds), None)


def had_better_not(snapshot: Snapshot, _node: Target, wanted: Wanted) -> str | None:
    """Why a rollout would be an outage, or would not get on."""
    if wanted.fault.takes != "application":
        return None
    return next(_objections(snapshot, wanted), None)


def _objections(snapshot: Snapshot, wanted: Wanted) -> Iterator[str]:
    app = snapshot.application
    for owner in app.owners:
        if _strategy(owner).get("type") == _RECREATE:
            # Of an application as it is, that is what somebody wants to see: ``outage`` tells of it.
            if app.own:
                yield (
                    f"{owner.title} ends all its pods before it makes the first new one (strategy "
                    f"{_RECREATE}): a {wanted.kind} is an outage. Set the strategy RollingUpdate, or "
                    "fault_force=true."
                )
            continue
        pods = [pod for pod in snapshot.site_pods if owner.owns(pod)]
        surge, unavailable = steps_of(owner)
        # A DaemonSet's new pod is told its node, and has its place there.
        if not surge or not pods or owner.kind == "DaemonSet":
            continue
        if objection := quota.objection(snapshot.quotas, snapshot.limit_ranges, pods[0], surge):
            yield objection
        if not unavailable and (homeless := without_room(pods[:surge], snapshot.nodes, _staying(snapshot))):
            yield (
                f"There is no room for {len(homeless)} more of {app.called}'s pods beside those of now "
                "(maxSurge), and none of these may go first (maxUnavailable 0): add a node, or "
                + ("lower site_replicas or site_resources." if app.own else "make room.")
            )


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
