"""Which nodes a cluster has declared dead, as its events tell it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# A kubelet that starts says the same of itself until it is ready, where a busy machine gives it the time.
_NOT_BY_ITSELF = "--field-selector=reason=NodeNotReady,source=node-controller"


def declared_dead(kubectl: Callable[..., str]) -> dict[str, int]:
    """How often each node has been declared not ready by the cluster, as far as it remembers.

    Args:
        kubectl: asks the cluster, and gives back what is printed.

    Returns:
        For each event's name, which begins with the node's, how often it happened.
    """
    text = kubectl("get", "events", "--namespace=default", _NOT_BY_ITSELF, "--output=json")
    return {item["metadata"]["name"]: int(item.get("count") or 1) for item in json.loads(text)["items"]}


def added(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What has happened since, and how often; older events are forgotten after an hour meanwhile."""
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in more.items() if count > 0}
