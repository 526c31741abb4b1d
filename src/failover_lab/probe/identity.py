"""Who answered, as the answer says: the site's /whoami, a header, or a field of JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from failover_lab.probe.http1 import Answer

# What Kubernetes allows as a pod's or node's name; anything else is a wrong answer and reaches no file.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
# Of any other application: whatever can do no harm in a table, a page or a terminal.
_ANY_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._:/]{0,252}")
_SOURCES = "auto, header:NAME, json:FIELD.FIELD or none"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered.

    Attributes:
        in_body: whether it is the body that says so, as that of /whoami does.
    """

    pod: str
    node: str
    in_body: bool = False


def is_name(value: object) -> bool:
    """Whether this may be the name of a pod or a node."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def identify(body: bytes) -> Identity | None:
    """Who answered, or None where the body is not what /whoami answers."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not is_name(said.get("pod")) or not is_name(said.get("node")):
        return None
    return Identity(said["pod"], said["node"], in_body=True)


def _in_site_headers(headers: dict[bytes, bytes]) -> Identity | None:
    """Who sent a page of the lab's site: every one carries these headers."""
    pod = headers.get(b"x-served-by-pod", b"").decode("latin-1")
    node = headers.get(b"x-served-by-node", b"").decode("latin-1")
    return Identity(pod, node) if is_name(pod) and is_name(node) else None


def _named(value: object) -> Identity | None:
    return Identity(value, "") if isinstance(value, str) and _ANY_NAME.fullmatch(value) else None


@dataclass(frozen=True, slots=True)
class Source:
    """Where an answer says who sent it.

    Attributes:
        kind: ``auto``, as the site of the lab does, in its body or its headers; ``header``; ``json``;
            ``none``.
        name: of the header, or the fields on the way to the one that says it, with dots between.
    """

    kind: str = "auto"
    name: str = ""

    def __str__(self) -> str:
        """As it is given."""
        return f"{self.kind}:{self.name}" if self.name else self.kind

    def who(self, answer: Answer) -> Identity | None:
        """Who sent this answer; None where it does not say."""
        if self.kind == "header":
            return _named(answer.headers.get(self.name.lower().encode(), b"").decode("latin-1"))
        if self.kind == "json":
            return self._in_json(answer) if answer.whole else None
        if self.kind == "none":
            return None
        # Any page may come without either, and most do: looking must cost nothing.
        said = identify(answer.body) if answer.whole and answer.body[:64].lstrip()[:1] == b"{" else None
        return said or _in_site_headers(answer.headers)

    def _in_json(self, answer: Answer) -> Identity | None:
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):
            return None
        for field in self.name.split("."):
            found = found.get(field) if isinstance(found, dict) else None
        return _named(found)


AUTO = Source()


def source(value: str) -> Source:
    """Read one as it is given.

    Raises:
        ValueError: it is none; the message says what one is.
    """
    kind, colon, name = value.partition(":")
    named = kind in {"header", "json"}
    if kind not in {"auto", "none", "header", "json"} or named != bool(colon):
        raise ValueError(f"{value!r} is no identity; give {_SOURCES}")
    if kind == "header" and not re.fullmatch(r"[-A-Za-z0-9_.]+", name):
        raise ValueError(f"{name!r} is no name of a header; give header:X-Served-By, for example")
    if kind == "json" and not all(name.split(".")):
        raise ValueError(f"{name!r} names no field; give json:host.name, for example")
    return Source(kind, name)
