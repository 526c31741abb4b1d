"""What became of the control plane, where there are several: its API, and who leads in it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.kube.leaders import PROGRAMS
from failover_lab.observe import resources
from failover_lab.run.layout import API_KINDS
from failover_lab.run.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_lab.report.fault import Fault
    from failover_lab.report.load import RunData
    from failover_lab.report.rows import Rows

# Answers that are further apart: the API was away. It is asked five times a second and more.
AWAY_S = 0.6
# What begins later than that after the fault is of something else, such as a node that comes back.
_STRUCK_S = 5.0


@dataclass(frozen=True)
class Takeover:
    """That another node leads.

    Attributes:
        program: in which part of the control plane.
        before: who led as the fault struck; empty: nobody knows.
        after: who led next; empty: that was not seen.
        at: since when, in UTC seconds; None: that was not seen.
    """

    program: str
    before: str
    after: str = ""
    at: float | None = None


def takeover(data: RunData, program: str, zero: float) -> Takeover | None:
    """Who leads since the fault; None: who leads was not watched.

    Args:
        data: the run's.
        program: one of ``PROGRAMS``.
        zero: when the fault struck.
    """
    told = [
        (change.at, str(change.facts.get("node", "")))
        for change in data.changes
        if change.kind == resources.LEADER and change.name == program and change.change != "DELETED"
    ]
    if not told:
        return None
    before = next((node for at, node in reversed(told) if at <= zero), "")
    others = ((at, node) for at, node in told if at > zero and node not in {"", before})
    at, after = next(others, (None, ""))
    return Takeover(program, before, after, at)


def away(answered: Iterable[float], zero: float) -> tuple[float, float] | None:
    """The time without an answer that began as a fault struck; None: there was none.

    Args:
        answered: when answers came.
        zero: when it struck.
    """
    return next(
        (
            (before, after)
            for before, after in itertools.pairwise(sorted(answered))
            if after - before > AWAY_S and after > zero and before < zero + _STRUCK_S
        ),
        None,
    )


def _asked(records: Rows, zero: float | None) -> dict[str, Any]:
    answered = [record.done for record in records if record.outcome is Outcome.OK]
    content: dict[str, Any] = {
        "total": len(records),
        "failed": records.count(lambda record: record.failed),
        "back_s": None,
    }
    if zero is None or not answered:
        return content
    gap = away(answered, zero)
    if gap is not None:
        content["back_s"] = round(gap[1] - zero, 3)
    elif max(answered) + AWAY_S > records[-1].due:
        # It never was away; or else it was, to the end.
        content["back_s"] = 0.0
    return content


def described(data: RunData, fault: Fault) -> dict[str, Any] | None:
    """What the report says of it; None: it was not looked at."""
    zero = fault.at
    found = [takeover(data, program, zero) for program in PROGRAMS] if zero is not None else []
    leaders = [
        {
            "program": one.program,
            "before": one.before or None,
            "after": one.after or None,
            "taken_s": None if one.at is None or zero is None else round(one.at - zero, 3),
        }
        for one in found
        if one is not None
    ]
    if not data.api and not leaders and not data.api_trouble:
        return None
    asked = {kind: _asked(data.api[kind].records, zero) if kind in data.api else None for kind in API_KINDS}
    return {
        **asked,
        "leaders": leaders,
        "lost": str(fault.target) or None if fault.what.takes_node else None,
        "trouble": data.api_trouble or None,
    }
