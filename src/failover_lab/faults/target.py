"""What a fault takes: a node, all nodes of a zone at once, or none, as where a whole application is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How ``fault_node`` begins where a zone is meant.
PREFIX = "zone:"


@dataclass(frozen=True)
class Target:
    """The nodes that are struck at the same time.

    Attributes:
        nodes: their names, in order; none where no node is chosen.
        zone: that they make up; empty: a node alone.
    """

    nodes: tuple[str, ...] = ()
    zone: str = ""

    def __contains__(self, node: str | None) -> bool:
        """Whether a node is one of them."""
        return node in self.nodes

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.nodes)

    def __str__(self) -> str:
        """As sentences have it: ``m02``, or ``zone-b (m02, m03)``."""
        listed = ", ".join(self.nodes)
        return f"{self.zone} ({listed})" if self.zone else listed

    @property
    def name(self) -> str:
        """What is typed to have the same again."""
        return f"{PREFIX}{self.zone}" if self.zone else ", ".join(self.nodes)


def of(fault: Mapping[str, Any]) -> Target:
    """What a run's account says that it took; an account of before zones names one node at most."""
    name = str(fault.get("node") or "")
    if not name.startswith(PREFIX):
        return Target((name,) if name else ())
    return Target(tuple(map(str, fault.get("nodes") or [])), name.removeprefix(PREFIX))
