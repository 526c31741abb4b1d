"""What was done to the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from failover_lab.faults import kinds, target
from failover_lab.run import marks

if TYPE_CHECKING:
    from failover_lab.faults.target import Target
    from failover_lab.report.load import RunData


class Hampered(NamedTuple):
    """What a node was short of: the cause of what failed because of it, and the words for that."""

    cause: str
    words: str


# By what the node showed.
_HAMPERED = {
    "lossy": Hampered("packet_loss", "dropped a part of all packets"),
    "slow": Hampered("slow_node", "had a fraction of a processor for its pods"),
}


# By what the fault takes.
_KILLED = {"program": "the process", "namespaces": "the sandbox"}
# Where nobody saw when it served again; and once it does, the rules on the nodes follow.
_AGAIN_S, _RULES_S = 30.0, 1.5


@dataclass(frozen=True)
class Fault:
    """What was done; ``at`` is None where nothing was, ``back`` where the node was not seen to return.

    Attributes:
        target: the nodes that it took.
        struck: the pods whose containers had to start again where they were.
        again: when they served again, as far as that was seen.
    """

    kind: str | None
    target: Target
    at: float | None
    back: float | None = None
    struck: frozenset[str] = frozenset()
    again: float | None = None

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
        if self.what.takes != "share" or node not in self.target or self.at is None or at < self.at:
            return None
        if self.back is not None and at >= self.back:
            return None
        return _HAMPERED.get(self.what.symptom or "")

    def killed(self, pod: str, begin: float, end: float) -> str | None:
        """What of a pod had been killed and did not serve yet between these instants; None: nothing."""
        if pod not in self.struck or self.at is None or end < self.at:
            return None
        if begin > (self.at + _AGAIN_S if self.again is None else self.again + _RULES_S):
            return None
        return _KILLED.get(self.what.takes)


def of(data: RunData) -> Fault:
    """What was done in a run, as far as it is known."""
    told = (data.play or {}).get("fault") or {}
    # The instant at which it struck; where nobody could tell that, when it was begun.
    struck = data.mark(marks.INJECTED) or data.mark(marks.FAULT_BEGIN)
    return Fault(told.get("kind"), target.of(told), struck, data.mark(marks.RETURNED))
