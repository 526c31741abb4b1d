"""How long source ports rested before they were used again."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from failover_lab.report.rows import Rows


def rests(records: Rows, wanted: Collection[int] = ()) -> tuple[float | None, dict[int, float]]:
    """How long the ports of requests that opened a connection had rested, where they were used before.

    Args:
        records: in the order of their due times.
        wanted: numbers of requests.

    Returns:
        the shortest time from the end of the last request from a port to the due time of the next, None where
        none was used twice; and those of the requests that were wanted, in seconds.
    """
    ended: dict[int, float] = {}
    least: float | None = None
    result: dict[int, float] = {}
    columns = records.columns("number", "local_port", "prior", "due", "done")
    for number, port, prior, due, done in itertools.chain.from_iterable(
        itertools.starmap(functools.partial(zip, strict=True), columns)
    ):
        # None.
        if port < 0:
            continue
        if not prior and port in ended:
            rest = max(0.0, due - ended[port])
            if least is None or rest < least:
                least = rest
            if number in wanted:
                result[number] = rest
        ended[port] = done
    return least, result
