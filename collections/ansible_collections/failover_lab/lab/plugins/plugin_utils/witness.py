"""What the witness of a run says of its requests by now: no Ansible inside."""

from __future__ import annotations

import json
import time
from pathlib import Path

from failover_lab.run.layout import Run

#: The probe renews its status several times a second; where it is older, in seconds, the probe is gone.
STALE_S = 5.0


def figures(run_dir: str | None) -> str | None:
    """Say how the requests fare, in the words of ``failover_lab.probe.wait``.

    Args:
        run_dir: The run's folder.

    Returns:
        None where nobody asks: without a run, before its probe has begun, and after its end.
    """
    if not run_dir:
        return None
    path = Run(Path(run_dir)).probe().status
    try:
        age_s = time.time() - path.stat().st_mtime
        status = json.loads(path.read_text(encoding="utf-8"))
        if status["state"] == "ended" or age_s > STALE_S:
            return None
        return f"{status['elapsed_s']:.0f} s, {status['sent']} requests, {status['failed']} failed"
    except (OSError, ValueError, KeyError, TypeError):
        return None
