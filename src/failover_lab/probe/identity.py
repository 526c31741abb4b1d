"""What the site says about itself at /whoami: which pod on which node answered."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

# What Kubernetes allows as a pod's or node's name; anything else is a wrong answer and reaches no file.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered."""

    pod: str
    node: str


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
    return Identity(said["pod"], said["node"])
