"""What the frontier's runs came to, beside the limits of its cases."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, fields
from typing import Any

from bench.cases import LIMITS, Limits

Run = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """One median beside its limit.

    Attributes:
        case: its name.
        role: of the node that was broken.
        what: which of the limits.
        value: seconds or percent; endless if it was not seen.
        limit: the most that it should be.
    """

    case: str
    role: str
    what: str
    value: float
    limit: float

    @property
    def unit(self) -> str:
        """Of both."""
        return "%" if self.what == "lost" else " s"

    @property
    def kept(self) -> bool:
        """Whether it is within its limit."""
        return self.value <= self.limit


def lost_percent(run: Run) -> float | None:
    """How many of the requests in the minute after the fault failed, in percent; None if cut short."""
    lost = run["lost"]
    return 100.0 * lost["failed"] / lost["total"] if lost["total"] else None


def _measured(run: Run) -> dict[str, float | None]:
    """One run's figures, by the names of the limits; None for what should have been seen and was not."""
    clocks = run["clocks_s"]
    address, endpoints, stale = clocks["address"], clocks["endpoints"], clocks["stale_flows"]
    tail = None
    if endpoints is not None:
        tail = 0.0 if stale is None else round(stale - endpoints, 3)
    return {
        # It had not to move.
        "address": 0.0 if address is None and run["role"] != "announcer" else address,
        "endpoints": endpoints,
        "capacity": clocks["capacity"],
        "tail": tail,
        "lost": lost_percent(run),
    }


def goals(groups: dict[tuple[str, str], list[Run]]) -> list[Goal]:
    """The median of each figure that has a limit; what was not seen in a run counts as endless.

    Args:
        groups: the runs by case and role.
    """
    found = []
    for (case, role), members in groups.items():
        limits = LIMITS.get((case, role), Limits())
        figures = [_measured(run) for run in members]
        for name in (field.name for field in fields(limits)):
            values = (figure[name] for figure in figures)
            median = statistics.median(math.inf if value is None else value for value in values)
            if (limit := getattr(limits, name)) is not None:
                found.append(Goal(case, role, name, median, limit))
    return found
