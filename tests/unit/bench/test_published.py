"""The page of others' tables: what was measured is on it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from bench import published
from bench.published_page import SOURCES, page


def report(endpoints: float | None, capacity: float | None, failed: int = 5) -> dict[str, Any]:
    return {
        "clocks_s": {"address": 1.5, "endpoints": endpoints, "capacity": capacity, "stale_flows": None},
        "predicted_s": {},
        "requests": {"failed": failed, "total": 1000},
        "lab": {"kubernetes": "v1.2.3"},
        "verdict": {"passed": True, "reasons": []},
    }


@pytest.mark.parametrize(
    ("clocks", "silences", "told"),
    [
        ((0.7, 1.9), [(0.0, 1.8)], (0.7, 1.2, 1.1, 1.8)),
        # The outage began as the cluster knew, and not with the fault; a short answer is no end of it.
        ((7.1, 8.2), [(6.0, 7.3), (7.4, 9.1)], (7.1, 1.1, 2.0, 3.0)),
        # Users were answered before the list was clean.
        ((5.2, 12.0), [(0.0, 1.0)], (5.2, 6.8, 0.0, 1.0)),
        ((0.2, 1.2), [], (0.2, 1.0, 0.0, 0.0)),
        ((None, None), [], (None, None, None, 0.0)),
    ],
)
def test_a_run_in_their_words(
    clocks: tuple[float | None, float | None],
    silences: list[tuple[float, float]],
    told: tuple[float | None, ...],
) -> None:
    assert tuple(published.parts(report(*clocks), silences).values()) == told


def test_the_cells() -> None:
    cells = published.cells(10, 3)
    assert sum(cell.table == "vayghan" for cell in cells) == 9
    assert sum(cell.table == "policy" for cell in cells) == 12
    # A container that has ended a moment ago would wait before it is started again.
    assert all(cell.anew for cell in cells if cell.fault["fault_kind"] in ("process", "sandbox"))
    assert {cell.runs for cell in cells if cell.table == "vayghan"} == {10}


def runs(*names: str) -> list[dict[str, Any]]:
    cells = {cell.name: cell for cell in published.cells(1, 1)}
    return [published.kept(cells[name], 1, report(0.7, 1.9), [(0.0, 1.8)]) for name in names]


def test_what_was_not_measured_is_not_on_the_page() -> None:
    text = page(runs("default process"))
    # And no source of a table that is not there.
    assert [line for line in text.partition("## Sources")[2].splitlines() if line] == [
        f"- {source}" for source in SOURCES["## One replica, and four"]
    ]
    assert "| application's process | theirs | 10 | 0.716 s |" in text
    assert (
        "| application's process | here, Kubernetes' own settings | 1 | 0.7 s | 1.2 s | 1.1 s | 1.8 s |"
        in text
    )
    assert not [word for word in ("sandbox process |", "Traffic", "## A rolling", "cited") if word in text]


def test_the_whole_page() -> None:
    text = page(runs("rollout", "Local iptables kill fast", "Cluster iptables kill fast"))
    assert "| theirs | 1 | 28 of 388 | \u2013 |" in text
    assert "| here | 1 | 5 of 1000 | 1 in " in text
    assert "| Local | iptables | kill | fast | 1 | 5 | 1.8 s | 1.5 s | 0.7 s | 1.9 s |" in text
    assert "| kube-vip, until the address has moved | about 3 s | address: 1.5 s |" in text
