"""The containers of pods that are to be struck and start again where they are: which, and how soon."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.objects import Object, is_ready, name_of, of
from failover_lab.run import instants

if TYPE_CHECKING:
    from failover_lab.faults import kinds

#: Whose containers are told to kubectl as the application's, where it is not the first.
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_KINDS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
# A container that ends again within so long is not started at once, but after 10 s, 20 s, 40 s, up to 5 min.
_REMEMBERED_S = 600.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 10.0, 300.0


def application_of(pod: Object) -> Object:
    """The status of a pod's application's container: kubectl's own choice among them.

    Raises:
        UserError: it does not run.
    """
    first = of(pod, "spec", "containers", default=[{}])[0].get("name")
    name = of(pod, "metadata", "annotations", _DEFAULT_CONTAINER) or first
    for status in of(pod, "status", "containerStatuses", default=[]):
        if status.get("name") == name and of(status, "state", "running") is not None and _id(status):
            return dict(status)
    raise UserError(
        f"{name_of(pod)} has no container {name} that runs, so nothing of it can be killed: wait until the "
        "site is whole (`ansible-playbook status.yml`), or choose another node."
    )


def restarted(struck: list[Object], fault: kinds.Kind) -> list[Object]:
    """Those of the pods that a fault strikes whose containers are to start again where they are."""
    if fault.comes_back:
        return [pod for pod in struck if is_ready(pod)]
    return struck if fault.in_place else []


def _id(status: Object) -> str:
    return str(status.get("containerID") or "").rpartition("//")[2]


def told(pods: list[Object]) -> list[str]:
    """For each pod its UID and its containers' ids, the application's first, for ``node kill-first``.

    Raises:
        UserError: an application does not run.
    """
    result = []
    for pod in pods:
        first = _id(application_of(pod))
        others = {_id(status) for kind in _KINDS for status in of(pod, "status", kind, default=[])} - {
            first,
            "",
        }
        result.append(f"{pod['metadata']['uid']}={'+'.join([first, *sorted(others)])}")
    return result


def backoff_s(pod: Object, now: float | None = None) -> float:
    """How long a kubelet waits before it starts the application again, if that ends now; at most."""
    status = application_of(pod)
    ended = of(status, "lastState", "terminated", "finishedAt")
    restarts = int(status.get("restartCount") or 0)
    if not ended or not restarts or (now or time.time()) - instants.parse(ended) > _REMEMBERED_S:
        return 0.0
    return float(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(restarts - 1, 10)))


def stop_s(pod: Object) -> float:
    """How long its container serves on once it is told to stop: the sleep before that, if there is one."""
    name = application_of(pod).get("name")
    for container in of(pod, "spec", "containers", default=[]):
        if container.get("name") == name:
            return float(of(container, "lifecycle", "preStop", "sleep", "seconds", default=0))
    return 0.0


def timings_of(pods: list[Object]) -> Object:
    """What the prediction goes by, of the pod that takes longest."""
    return {
        "backoff_s": max(map(backoff_s, pods), default=0.0),
        "stop_s": max(map(stop_s, pods), default=0.0),
    }
