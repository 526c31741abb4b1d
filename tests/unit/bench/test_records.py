"""When users were answered again, from what the probe has recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bench.records import last_lost_s

from failover_lab.run import instants


@pytest.mark.parametrize(
    ("requests", "healed_s", "last_s"),
    [
        ([(0.1, "ok"), (6.0, "refused"), (7.4, "connect_timeout"), (7.5, "ok")], None, 7.4),
        # What was lost before the fault, or on a connection that was kept, is another matter.
        ([(-1.0, "refused"), (3.0, "reset", "reused"), (3.1, "ok")], None, None),
        # And so is what the node's way back has cost.
        ([(1.0, "refused"), (30.0, "refused"), (31.0, "ok")], 20.0, 1.0),
    ],
)
def test_the_last_request_that_a_fault_has_cost(
    tmp_path: Path,
    recorded: Callable[..., float],
    requests: list[tuple[float, str]],
    healed_s: float | None,
    last_s: float | None,
) -> None:
    at = recorded(*requests)
    fault = {
        "injected_at": instants.text(at),
        "healed_at": None if healed_s is None else instants.text(at + healed_s),
    }
    assert last_lost_s(tmp_path, {"fault": fault}) == last_s
