"""How long no answer came, from what the probe has recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.records import silences_s

from failover_lab.run import instants


@pytest.mark.parametrize(
    ("requests", "ready_s", "silences"),
    [
        # The outage begins where the application does not answer any more, and not with the fault.
        ([(0.0, "ok"), (6.0, "ok"), (6.1, "refused"), (7.4, "ok")], None, [(0.0, 6.0), (6.0, 7.4)]),
        # A short answer in between parts one from the other.
        (
            [(-0.01, "ok"), (0.0, "refused"), (0.6, "ok"), (0.65, "ok"), (2.6, "ok")],
            None,
            [(-0.01, 0.6), (0.65, 2.6)],
        ),
        # A request that waited does not shorten it: it was answered no earlier than the others.
        ([(-0.01, "ok"), (0.5, "refused"), (0.7, "ok", "new", 2.7), (2.68, "ok")], None, [(-0.01, 2.68)]),
        # What was before the fault, or on a connection that was kept, is another matter.
        ([(-2.0, "ok"), (-1.0, "ok"), (-0.01, "ok"), (0.02, "ok"), (0.04, "ok", "reused")], None, []),
        # And so is what the node's way back has cost.
        ([(-0.01, "ok"), (1.0, "ok"), (1.05, "ok"), (1.1, "ok"), (2.0, "ok")], 1.07, [(-0.01, 1.0)]),
    ],
)
def test_the_stretches_in_which_no_answer_came(
    tmp_path: Path,
    recorded: Callable[..., float],
    requests: list[tuple[Any, ...]],
    ready_s: float | None,
    silences: list[tuple[float, float]],
) -> None:
    at = recorded(*requests)
    report = {"fault": {"injected_at": instants.text(at)}, "clocks_s": {"capacity": ready_s}}
    assert silences_s(tmp_path, report) == silences
