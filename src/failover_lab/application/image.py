"""What an image says of itself, of which the way to run it follows."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from failover_lab.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What an image may say besides, in its labels: ``health-path``, that answers once it serves;
#: ``identity-path``, that answers with pod and node; ``read-only``, whether its file system may be;
#: ``writable``, folders that it writes to all the same.
LABELS = "failover-lab."
_ROOTS = ("", "0", "root")


@dataclass(frozen=True)
class Image:
    """What of an image's configuration matters for running it.

    Attributes:
        ports: the TCP ports that it exposes, in order.
        user: as its Dockerfile says it, without the group; empty for root.
        group: the same.
        health_path: the path that its own health check asks, or a label names; empty if neither does.
        identity_path: the path that says which pod and node answered; empty if none does.
        read_only: whether its root file system may be read-only.
        writable: folders that it writes to, where its root file system is read-only.
    """

    ports: tuple[int, ...] = ()
    user: str = ""
    group: str = ""
    health_path: str = ""
    identity_path: str = ""
    read_only: bool = False
    writable: tuple[str, ...] = ()

    @property
    def is_root(self) -> bool:
        """Whether its processes are root's."""
        return self.user in _ROOTS

    @property
    def uid(self) -> int | None:
        """The number of its user; None where it gives a name, since only the image knows whose."""
        if self.is_root:
            return 0
        return int(self.user) if self.user.isdecimal() else None


def read(config: Mapping[str, Any]) -> Image:
    """What an image's configuration says.

    Args:
        config: as the engine and registries have it: ``ExposedPorts``, ``User``, ``Healthcheck``, ``Labels``.

    Raises:
        UserError: a label of ours holds what it cannot.
    """
    user, _, group = str(config.get("User") or "").partition(":")
    labels = config.get("Labels") or {}
    return Image(
        ports=_ports(config.get("ExposedPorts") or {}),
        user=user,
        group=group,
        health_path=_path(labels, "health-path") or _asked(config.get("Healthcheck") or {}),
        identity_path=_path(labels, "identity-path"),
        read_only=_truth(labels.get(f"{LABELS}read-only", "false")),
        writable=tuple(str(labels.get(f"{LABELS}writable", "")).split()),
    )


def _ports(exposed: Mapping[str, Any]) -> tuple[int, ...]:
    named = (name.partition("/") for name in exposed)
    return tuple(sorted({int(port) for port, _, kind in named if kind in ("", "tcp") and port.isdecimal()}))


def _truth(text: str) -> bool:
    words = {"true": True, "false": False}
    if text not in words:
        raise UserError(f"the image's label {LABELS}read-only is '{text}': it is true or false")
    return words[text]


def _path(labels: Mapping[str, Any], name: str) -> str:
    text = str(labels.get(LABELS + name, ""))
    if text and not text.startswith("/"):
        raise UserError(f"the image's label {LABELS}{name} is '{text}': a path begins with /")
    return text


def _asked(check: Mapping[str, Any]) -> str:
    """The path that a Dockerfile's health check asks of the container itself; empty if it asks otherwise."""
    test = check.get("Test") or []
    words = test[1:] if test[:1] == ["CMD"] else _words(" ".join(map(str, test[1:])))
    for word in words:
        match = re.search(
            r"https?://(localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0)(:\d+)?(/[^\s'\"|;&)]*)?", word
        )
        if match:
            return urlsplit(match[0]).path or "/"
    return ""


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return [command]
