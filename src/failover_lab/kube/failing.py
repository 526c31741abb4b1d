"""A start that will not succeed: known once it has failed for a while, and told with what would help."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.kube.errors import RefusedError
from failover_lab.kube.objects import condition_of, is_leaving, is_ready, name_of, of

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster
    from failover_lab.kube.objects import Object

_HASH = "pod-template-hash"
_LOG_LINES = 8
_EVENTS_EVERY_S = 2.0
# Time heals none of these.
_NEVER = {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError")
_NOT_STARTED = ("RunContainerError", "CreateContainerError", "PreCreateHookError", "PostStartHookError")
_REFUSED = re.compile(r"connection refused|HTTP probe failed with statuscode: [345]")

# What helps, by what the runtime, the registry or the log says; the first that fits.
_PULLING = (
    (r"40[13]|unauthorized|denied|authentication", "site_pull_username and its like log the nodes in"),
    (r"not found|manifest unknown|404", "there is no such image: look at its name and tag"),
    (r"no such host|dial tcp|timeout|refused", "the nodes do not reach that registry"),
)
_STARTING = (
    (r"not found|no such file", "there is no such command in the image: site_command and site_args name one"),
    (r"permission denied", "its user may not run that: site_run_as names another"),
)
_ENDING = (
    (
        r"read-?only file ?system|EROFS",
        "it writes to its root file system: site_read_only=false, or site_writable names the folders",
    ),
    (r"address already in use|EADDRINUSE", "something else in the pod has that port"),
    (
        r"bind\W.*permission denied|permission denied.*\bbind|EACCES.*\d+\.\d+",
        "its user may not open that port: site_run_as=0, or a port from 1024 on",
    ),
    (
        r"permission denied|not permitted|EACCES|EPERM|must be run as root",
        "its user may not do that: site_run_as=0 makes it root",
    ),
    (r"exec format error", "the image is for another kind of machine"),
)


@dataclass(frozen=True)
class Failure:
    """Why a pod does not start.

    Attributes:
        what: happened, in the cluster's words.
        remedy: what would help; empty where nobody can say.
        log: of which run of the container the log tells more: ``now``, ``before``, or none.
    """

    what: str
    remedy: str = ""
    log: str = ""


def _first(rules: tuple[tuple[str, str], ...], text: str) -> str:
    return next((remedy for pattern, remedy in rules if re.search(pattern, text, re.IGNORECASE)), "")


def _of_container(status: Object) -> Failure | None:
    """What of one container's state is a failure."""
    waiting = of(status, "state", "waiting", default={})
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    ended = of(status, "state", "terminated") or of(status, "lastState", "terminated") or {}
    if reason in _NOT_PULLED:
        return Failure(f"{reason}: {message}", _first(_PULLING, message))
    if reason in _NOT_STARTED or ended.get("reason") in ("StartError", "ContainerCannotRun"):
        said = message or str(ended.get("message", ""))
        return Failure(f"{reason or ended['reason']}: {said}", _first(_STARTING, said))
    if not ended or "running" in of(status, "state", default={}):
        return None
    code = ended.get("exitCode")
    if ended.get("reason") == "OOMKilled":
        limit = "it needs more memory than its limit: site_resources sets it"
        return Failure("the container was killed for its memory (OOMKilled)", limit, "before")
    return Failure(f"the container ended with status {code} ({ended.get('reason')})", log="before")


def failure_of(pod: Object, events: list[Object]) -> Failure | None:
    """Why a pod does not start; None where nothing is wrong with it, or not yet.

    Args:
        pod: that is not ready.
        events: the namespace's warnings, oldest first.
    """
    for status in (
        *of(pod, "status", "initContainerStatuses", default=[]),
        *of(pod, "status", "containerStatuses", default=[]),
    ):
        if found := _of_container(status):
            return found
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        said = str(scheduled.get("message", ""))
        few = re.search(r"Insufficient (memory|cpu|ephemeral-storage)", said)
        remedy = f"no node has that much {few[1]} left: site_resources asks for less" if few else ""
        return Failure(f"Unschedulable: {said}", remedy)
    for event in reversed(events):
        of_it = of(event, "involvedObject", "uid") == pod["metadata"]["uid"]
        said = str(event.get("message", ""))
        if of_it and event.get("reason") == "Unhealthy" and _REFUSED.search(said):
            remedy = (
                "it does not listen there: site_container_port names its port, and it has to listen on every "
                "address, not on 127.0.0.1 alone"
                if "refused" in said
                else "site_health_path names a path that answers with 200 to 399; empty, a connection will do"
            )
            return Failure(said, remedy, "now")
    return None


def _never_starts(pod: Object) -> bool:
    """Whether a pod is in a state that time does not heal."""
    statuses = of(pod, "status", "containerStatuses", default=[])
    return any(of(status, "state", "waiting", "reason") in _NEVER for status in statuses)


def newest(pods: list[Object]) -> list[Object]:
    """The pods of the newest template that are not about to go."""
    living = [pod for pod in pods if not is_leaving(pod)]
    if not living:
        return []
    last = max(living, key=lambda pod: str(of(pod, "metadata", "creationTimestamp", default="")))
    wanted = of(last, "metadata", "labels", _HASH)
    return [pod for pod in living if of(pod, "metadata", "labels", _HASH) == wanted]


class Starts:
    """Looks on while pods start, and says when it is no use to wait."""

    def __init__(self, cluster: Cluster, namespace: str, patience_s: float) -> None:
        """Look at nothing yet.

        Args:
            cluster: where the pods are.
            namespace: theirs.
            patience_s: how long one failure has to last; 0: only what time never heals is hopeless.
        """
        self._cluster = cluster
        self._namespace = namespace
        self._patience_s = patience_s
        self._since: float | None = None
        self._asked_at = 0.0
        self._events: list[Object] = []
        self.told = ""

    def hopeless(self, pods: list[Object]) -> bool:
        """Whether a pod never starts, or has failed for too long; of the latter ``told`` says why."""
        if any(map(_never_starts, pods)):
            return True
        if not self._patience_s:
            return False
        now = time.monotonic()
        if now - self._asked_at >= _EVENTS_EVERY_S:
            self._events, self._asked_at = self._cluster.warnings(self._namespace), now
        making_room = any(map(is_leaving, pods))
        failing = [
            (pod, failure)
            for pod in newest(pods)
            if not is_ready(pod) and (failure := failure_of(pod, self._events))
            # Room may come with those that go.
            if not (making_room and failure.what.startswith("Unschedulable"))
        ]
        if not failing:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now - self._since < self._patience_s:
            return False
        self.told = self._tell(*failing[0], others=len(failing) - 1)
        return True

    def _tell(self, pod: Object, failure: Failure, others: int) -> str:
        """One failure in full: what, the log's last lines, and the remedy."""
        log = self._log(pod, previous=failure.log == "before") if failure.log else []
        remedy = failure.remedy or _first(_ENDING, "\n".join(log))
        if not remedy and failure.log == "before":
            remedy = (
                "a server stays in the foreground: site_command and site_args say how it is started"
                if "status 0" in failure.what
                else "`docker run` of the image shows the same"
            )
        more = f" ({others} more like it)" if others else ""
        node = of(pod, "spec", "nodeName", default="")
        where = f"{name_of(pod)}{f' on {node}' if node else ''}{more}"
        said = "".join(f"\n  | {line}" for line in log)
        return f"{where}: {failure.what}{said}\n{remedy}".rstrip()

    def _log(self, pod: Object, *, previous: bool) -> list[str]:
        names = [str(container["name"]) for container in of(pod, "spec", "containers", default=[])]
        for before in (True, False) if previous else (False,):
            try:
                text = self._cluster.log(
                    self._namespace, name_of(pod), names[0] if names else "", _LOG_LINES, previous=before
                )
            except RefusedError:
                continue
            if text.strip():
                return text.rstrip().splitlines()
        return []
