"""How long source ports rested before they were used again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from failover_lab.run.records import Record


def rests(records: list[Record]) -> dict[int, float]:
    """For each request that opened a connection from a port used before in this run: seconds since that.

    Args:
        records: in the order of their due times.

    Returns:
        number of the request to seconds from the end of the last request from that port to the due time.
    """
    ended: dict[int, float] = {}
    result: dict[int, float] = {}
    for record in records:
        port = record.local_port
        if port is None:
            continue
        if not record.prior and port in ended:
            result[record.number] = max(0.0, record.due - ended[port])
        ended[port] = record.done
    return result
