"""Which requests met a move of the address: each is asked by itself, for a row of failures outlasts it."""

from __future__ import annotations

import bisect
import functools
import itertools
from typing import TYPE_CHECKING

from failover_lab.report.groups import connection
from failover_lab.run.records import REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.report.cluster import Cluster
    from failover_lab.report.fault import Fault
    from failover_lab.run.records import Record

    # The instant, from, to.
    Move = tuple[float, str, str]

# What the cluster says comes a moment after it is so; what a user sees of it, a moment later still: an
# announcement has to reach the neighbours.
_BEFORE_S, MARGIN_S = 1.0, 2.0
# An address that is away lets nothing through for far longer than there is between two requests.
_AWAY_S, _AWAY_TIMES = 0.3, 5.0
# These come only once a connection is there.
ESTABLISHED = frozenset({Outcome.READ_TIMEOUT, Outcome.RESET, Outcome.CLOSED_EARLY})


class Address:
    """The moves of the address, and when it led nowhere."""

    def __init__(self, cluster: Cluster, fault: Fault, connected: list[float]) -> None:
        """The instants, ascending, at which somebody who was answered had been connected."""
        self._fault = fault
        self._cluster = cluster
        self._moves = cluster.moves()
        self._connected = connected

    def move(self, record: Record) -> Move | None:
        """The move that this request met."""
        for move in self._moves:
            if self.led_nowhere_until(move) and self._away is not None:
                began, back = self._away
                if record.done >= began and record.due < back:
                    return move
                # What was kept open through the dead node says so at its next request.
                if connection(record) == REUSED and _meets(record, move[0]):
                    return move
            elif _meets(record, move[0]):
                return move
        return None

    def led_nowhere_until(self, move: Move) -> bool:
        """Whether this move took the address away from a node that was dead."""
        return move == self._left_the_dead and self._away is not None

    @functools.cached_property
    def _left_the_dead(self) -> Move | None:
        at = self._fault.at
        if at is None or not self._fault.what.silent:
            return None
        if self._cluster.announcer(at) not in self._fault.target:
            return None
        return next((move for move in self._moves if move[0] >= at), None)

    @functools.cached_property
    def _away(self) -> tuple[float, float] | None:
        """From when until when it led to the dead node, by what got through: surer than what was said."""
        at, move = self._fault.at, self._left_the_dead
        if at is None or move is None:
            return None
        last = move[0] + MARGIN_S
        # From who was connected last as it died.
        first = max(0, bisect.bisect_left(self._connected, at) - 1)
        instants = [*self._connected[first : bisect.bisect_right(self._connected, last)], last]
        begin, end = max(itertools.pairwise(instants), key=lambda gap: gap[1] - gap[0], default=(at, last))
        if end - begin < max(_AWAY_S, _AWAY_TIMES * self._usual_s):
            # A node whose kernel lives may pass packets on: nothing stood still.
            return None
        return at, end

    @property
    def _usual_s(self) -> float:
        """Between one connection and the next, in the mean."""
        span_s = self._connected[-1] - self._connected[0] if self._connected else 0.0
        return span_s / max(1, len(self._connected))


def _meets(record: Record, at: float) -> bool:
    """Whether a request was under way as it moved between nodes that live, or so near that it may be why."""
    if record.due > at + MARGIN_S:
        return False
    # Who never got a connection was turned away as it came, not as it was given up.
    return (record.done if record.outcome in ESTABLISHED else record.due) >= at - _BEFORE_S
