"""What users asked in a run after the fault, from the probe's own record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from failover_lab.run import instants
from failover_lab.run.layout import Probe
from failover_lab.run.records import NEW, NOT_SEEN_BY_USERS, Record, RecordFile


def asked_after(folder: Path, fault_at: float) -> list[Record]:
    """The requests on connections of their own that were due from the fault on.

    Args:
        folder: of the run.
        fault_at: the instant, in seconds.
    """
    return [
        record
        for record in RecordFile(Probe(folder).records).records()
        if record.kind == NEW and record.outcome not in NOT_SEEN_BY_USERS and record.due >= fault_at
    ]


def last_lost_s(folder: Path, report: dict[str, Any]) -> float | None:
    """When the last request was due that the fault has cost, in seconds after it; None: it cost none.

    What is lost as the node comes back is not the fault's.
    """
    fault = report["fault"]
    at, healed = (fault[name] and instants.parse(fault[name]) for name in ("injected_at", "healed_at"))
    lost = [one.due for one in asked_after(folder, at) if one.failed and (not healed or one.due < healed)]
    return round(max(lost) - at, 3) if lost else None
