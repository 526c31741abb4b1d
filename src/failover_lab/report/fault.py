"""What was done to the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.faults import kinds
from failover_lab.run import marks

if TYPE_CHECKING:
    from failover_lab.report.load import RunData


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


def of(data: RunData) -> Fault:
    """What was done in a run, as far as it is known."""
    told = (data.play or {}).get("fault") or {}
    # The instant at which it struck; where nobody could tell that, when it was begun.
    struck = data.mark(marks.INJECTED) or data.mark(marks.FAULT_BEGIN)
    return Fault(told.get("kind"), told.get("node"), struck, data.mark(marks.RETURNED))
