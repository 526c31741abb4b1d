"""Lets the tests import the benches, which are run as modules of the repository; a probe's record."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from failover_lab.run import instants
from failover_lab.run.records import COLUMNS, HEADER

sys.path.append(str(Path(__file__).resolve().parents[3]))

FAULT_AT = 1_800_000_000.0


def _row(number: int, after_s: float, outcome: str, kind: str = "new", done_s: float | None = None) -> str:
    due, done = (instants.text(FAULT_AT + at) for at in (after_s, after_s if done_s is None else done_s))
    fields = dict.fromkeys(COLUMNS, "") | {"prior_requests": "0", "late_ms": "0.0", "status": "200"}
    values = {"number": str(number), "due": due, "done": done, "outcome": outcome, "connection_kind": kind}
    return ",".join((fields | values).values())


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., float]:
    """Writes requests, each by when it was due after the fault and what came of it; gives its instant."""

    def write(*requests: tuple[Any, ...]) -> float:
        lines = [HEADER, *(_row(number, *request) for number, request in enumerate(requests, 1)), ""]
        (tmp_path / "requests.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
        return FAULT_AT

    return write
