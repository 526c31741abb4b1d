"""Asks the system to let the probe run when a request is due, whatever else the machine has to do."""

from __future__ import annotations

import contextlib
import os

REAL_TIME, NICE, NORMAL = "real_time", "nice", "normal"
_NICENESS = -10


def hasten(level: int) -> str:
    """Have the calling thread scheduled before others, as far as the system permits.

    A fault keeps the machine busy. Real time, at the lowest priorities there are, is what helps: niceness
    counts only among the processes of one session, and containers and plays are others. What is started from
    here on does not inherit real time.

    Args:
        level: 1 or 2; 2 goes before 1.

    Returns:
        what it got: real_time, nice or normal.
    """
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, policy, os.sched_param(level))
            return REAL_TIME
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
        return NICE
    return NORMAL
