"""How long the connections lived that were to be kept open."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.report.rows import only
from failover_lab.run.records import REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.report.rows import Rows


@dataclass
class _Connection:
    began: float
    ended: float
    requests: int
    answered: bool = False


def connections(records: Rows) -> dict[str, Any] | None:
    """How many there were, and of the middle one how long it lived and what it served; None: there were none.

    Args:
        records: in the order of their due times.
    """
    found: list[_Connection] = []
    current: dict[int, _Connection] = {}
    good = [record.outcome is Outcome.OK for record in records.said]
    reused = [record.kind == REUSED for record in records.said]
    for sorts, *figures in records.columns("said", "local_port", "prior", "due", "done"):
        for sort, port, prior, due, done in only(zip(sorts, *figures, strict=True), sorts, reused):
            # None.
            if port < 0:
                continue
            if not prior or port not in current:
                current[port] = _Connection(due, done, prior)
                found.append(current[port])
            connection = current[port]
            connection.ended = done
            connection.requests += 1
            connection.answered |= good[sort]
    # What never carried an answer says nothing of how long the server keeps one open.
    found = [connection for connection in found if connection.answered]
    if not found:
        return None
    return {
        "count": len(found),
        "requests_each": statistics.median_low(entry.requests for entry in found),
        "lived_s": round(statistics.median_low(entry.ended - entry.began for entry in found), 3),
    }
