"""What was done to the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from failover_lab.faults import kinds


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
