"""What users asked in a run after the fault, from the probe's own record."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from failover_lab.run import instants
from failover_lab.run.layout import Probe
from failover_lab.run.records import NEW, NOT_SEEN_BY_USERS, Record, RecordFile

# Of twenty requests in a row, at the rate of the lab, none was answered.
SILENT_S = 0.1
# The last answer before the fault is no older.
BEFORE_S = 5.0


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


def silences_s(folder: Path, report: dict[str, Any]) -> list[tuple[float, float]]:
    """The stretches in which no answer came: their begin and end, in seconds after the fault.

    An answer counts as it arrives: one whose connection the kernel had to try again until somebody took it
    ends an outage, and does not shorten it. What begins once all replicas are ready is the cost of the node's
    way back, and not the fault's.
    """
    at, ready = instants.parse(report["fault"]["injected_at"]), report["clocks_s"]["capacity"]
    answered = sorted(one.done - at for one in asked_after(folder, at - BEFORE_S) if not one.failed)
    end = math.inf if ready is None else ready
    return [
        (round(last, 3), round(following, 3))
        for last, following in itertools.pairwise(answered)
        if following - last >= SILENT_S and following > 0 and last < end
    ]
