"""How an application is run: what its image asks for, and what somebody has set instead."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from failover_lab.application.image import Image

#: What a pod gets where nobody says. It asks for little, so that it finds room, and may take what a small
#: program needs.
RESOURCES: dict[str, Any] = {
    "requests": {"cpu": "25m", "memory": "24Mi"},
    "limits": {"memory": "512Mi"},
}
#: Below this, a port is root's on Linux, unless the pod's own network says otherwise.
_PRIVILEGED = 1024
_OPEN_PORTS = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
_RUN_AS = re.compile(r"(?P<uid>\d{1,10})(:(?P<gid>\d{1,10}))?")


@dataclass(frozen=True)
class Wanted:
    """What somebody has set; empty or None for what the image says.

    Attributes:
        port: of the container, TCP.
        health_path: a path that answers once it serves; empty for a connection alone.
        run_as: ``UID`` or ``UID:GID``.
        read_only: whether its root file system is read-only.
        writable: folders that it may write to all the same, each its own and empty at the start.
        resources: as in a container's specification.
    """

    port: int | None = None
    health_path: str | None = None
    run_as: str = ""
    read_only: bool | None = None
    writable: Sequence[str] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """How the application is run.

    Attributes:
        port: that it listens on.
        health_path: that the probes ask; empty for a connection alone.
        identity_path: that says which pod and node answered; empty if none does.
        writable: folders with room of their own.
        pod_security: the strictest of Kubernetes' pod security standards that lets it run.
        pod: the pod's security context.
        container: the container's security context.
        resources: of the container.
        line: all of this in a sentence.
    """

    port: int
    health_path: str
    identity_path: str
    writable: list[str]
    pod_security: str
    pod: dict[str, Any]
    container: dict[str, Any]
    resources: dict[str, Any]
    line: str


def choose(image: Image, wanted: Wanted) -> Profile:
    """How an application is run.

    Args:
        image: what its image says.
        wanted: what somebody has set instead.

    Raises:
        UserError: the image leaves open what has to be known, or a setting is none.
    """
    port, whence = _port(image, wanted)
    health = image.health_path if wanted.health_path is None else wanted.health_path
    if health and not health.startswith("/"):
        raise UserError(f"site_health_path is '{health}': a path begins with /")
    uid, gid, who, why = _who(image, wanted)
    read_only = image.read_only if wanted.read_only is None else wanted.read_only
    writable = list(wanted.writable or (image.writable if read_only else ()))
    for folder in writable:
        if not folder.startswith("/"):
            raise UserError(f"site_writable has '{folder}': give folders of the container, from / on")
    restricted = bool(uid)
    pod: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    container: dict[str, Any] = {"readOnlyRootFilesystem": read_only}
    if uid is not None and (uid or wanted.run_as):
        pod |= {"runAsUser": uid} | ({} if gid is None else {"runAsGroup": gid})
    if restricted:
        pod["runAsNonRoot"] = True
        container |= {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    if uid != 0 and port < _PRIVILEGED:
        pod["sysctls"] = [_OPEN_PORTS]
    standard = "restricted" if restricted else "baseline"
    line = (
        f"port {port} ({whence}), {f'health check {health}' if health else 'a connection as health check'}, "
        f"as {who}, root file system {'read-only' if read_only else 'writable'}"
        f"{' but for ' + ', '.join(writable) if read_only and writable else ''}; "
        f"pod security standard {standard}{f', since {why}' if why else ''}"
    )
    resources = dict(wanted.resources) or RESOURCES
    return Profile(port, health, image.identity_path, writable, standard, pod, container, resources, line)


def _port(image: Image, wanted: Wanted) -> tuple[int, str]:
    """The container's port, and who says so."""
    if wanted.port is not None:
        if wanted.port not in range(1, 65536):
            raise UserError(f"site_container_port is {wanted.port}: give 1 to 65535")
        return wanted.port, "site_container_port"
    if not image.ports:
        raise UserError("the image exposes no port: set site_container_port to the one that it listens on")
    if len(image.ports) > 1:
        raise UserError(
            f"the image exposes the ports {', '.join(map(str, image.ports))}: set site_container_port to "
            "the one that answers users"
        )
    return image.ports[0], "EXPOSE"


def _who(image: Image, wanted: Wanted) -> tuple[int | None, int | None, str, str]:
    """Number of user and group where known, who that is, and what of it forbids the strictest standard."""
    if wanted.run_as:
        match = _RUN_AS.fullmatch(wanted.run_as)
        if not match:
            raise UserError(f"site_run_as is '{wanted.run_as}': give a number, or two as UID:GID")
        number, group = int(match["uid"]), int(match["gid"]) if match["gid"] else None
        why = "" if number else "site_run_as is root's number"
        return number, group, f"user {number} (site_run_as)", why
    uid = image.uid
    gid = int(image.group) if image.group.isdecimal() else None
    if uid is None:
        return (
            None,
            None,
            f"user {image.user}",
            (
                f"USER {image.user} is a name, of which Kubernetes cannot tell that it is not root's "
                "(site_run_as takes its number)"
            ),
        )
    return uid, gid, f"user {uid}" if uid else "root", "" if uid else "its image runs as root"
