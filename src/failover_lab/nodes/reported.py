"""What the container engine says of the nodes, as the role fault hands it over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.nodes import symptoms

if TYPE_CHECKING:
    from failover_lab.kube.objects import Object

_STATES = {
    "paused": "its container is paused",
    "exited": "its container is stopped",
    "off": "its machine is off",
    "unreachable": "nobody reaches its machine",
}
_CUTS = {
    (True, True): "it is cut off from the network",
    (True, False): "it hears nothing from the network",
    (False, True): "nothing of it reaches the network",
}


@dataclass(frozen=True)
class Seen:
    """One node's container.

    Attributes:
        state: in the engine's word, such as ``running``.
        faults: what is wrong, in words.
    """

    id: str
    state: str
    faults: tuple[str, ...]


def by_name(found: list[Object]) -> dict[str, Seen]:
    """The nodes' containers by name.

    Args:
        found: each with ``name``, ``id``, ``state`` and, of those that run, ``incoming`` and ``outgoing``
            (bool, whether the lab cuts that direction off), ``kubelet`` (systemd's word) and ``nameless``
            (bool, whether it was not told where the control plane is).
    """
    return {str(item["name"]): Seen(str(item["id"]), str(item["state"]), _faults(item)) for item in found}


def _faults(item: Object) -> tuple[str, ...]:
    state = str(item["state"])
    if state != "running":
        return (_STATES.get(state, f"its container is {state}"),)
    cut = _CUTS.get((bool(item.get("incoming")), bool(item.get("outgoing"))))
    kubelet = "its kubelet is stopped" if "no_kubelet" in symptoms.of(item) else None
    lossy = "it drops a part of all packets" if item.get("lossy") else None
    slow = "its pods have a fraction of a processor" if item.get("slow") else None
    start = "its start was not brought to its end" if item.get("nameless") else None
    return tuple(filter(None, (cut, kubelet, lossy, slow, start)))
