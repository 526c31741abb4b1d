"""How long the connections lived that were to be kept open."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.run.records import REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.run.records import Record


@dataclass
class _Connection:
    began: float
    ended: float
    requests: int
    answered: bool = False


def connections(records: list[Record]) -> dict[str, Any] | None:
    """How many there were, and of the middle one how long it lived and what it served; None: there were none.

    Args:
        records: in the order of their due times.
    """
    found: list[_Connection] = []
    current: dict[int, _Connection] = {}
    for record in records:
        if record.kind != REUSED or record.local_port is None:
            continue
        if not record.prior or record.local_port not in current:
            current[record.local_port] = _Connection(record.due, record.done, record.prior)
            found.append(current[record.local_port])
        connection = current[record.local_port]
        connection.ended = record.done
        connection.requests += 1
        connection.answered |= record.outcome is Outcome.OK
    # What never carried an answer says nothing of how long the server keeps one open.
    found = [connection for connection in found if connection.answered]
    if not found:
        return None
    return {
        "count": len(found),
        "requests_each": statistics.median_low(entry.requests for entry in found),
        "lived_s": round(statistics.median_low(entry.ended - entry.began for entry in found), 3),
    }
