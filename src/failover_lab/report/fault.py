"""What was done to the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from failover_lab.faults import kinds


class Hampered(NamedTuple):
    """What a node was short of: the cause of what failed because of it, and the words for that."""

    cause: str
    words: str


# By what the node showed.
_HAMPERED = {
    "lossy": Hampered("packet_loss", "dropped a part of all packets"),
    "slow": Hampered("slow_node", "had a fraction of a processor for its pods"),
}


@dataclass(frozen=True)
class Fault:
    """What was done; ``at`` is None where nothing was, ``back`` where the node was not seen to return."""

    kind: str | None
    node: str | None
    at: float | None
    back: float | None = None

    @property
    def what(self) -> kinds.Kind:
        """The row of its kind."""
        return kinds.of(self.kind)

    @property
    def takes_connections(self) -> bool:
        """Whether the node's kernel lives on, and may take a connection that no process ever answers."""
        return self.what.takes != "machine" or self.what.symptom == "paused"

    def hampered(self, node: str | None, at: float) -> Hampered | None:
        """What a node was short of at an instant; None: it was not, as far as this fault goes."""
        if self.what.takes != "share" or not node or node != self.node or self.at is None or at < self.at:
            return None
        if self.back is not None and at >= self.back:
            return None
        return _HAMPERED.get(self.what.symptom or "")
