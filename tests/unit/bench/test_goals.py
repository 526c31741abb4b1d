"""What was asked of the frontier, and what its page and its end make of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from bench import frontier, frontier_page
from bench.cases import CASES, LIMITS, Limits
from bench.goals import Goal, goals

STEPS = "the watchdog found the node dead at +1.1 s, marked it out of service at +1.1 s"
CLOCKS_S = {"address": 5.7, "endpoints": 5.9, "capacity": 13.5, "stale_flows": None}
NO_ANSWER = "how many replicas there should be is not known"


def run(case: str, role: str, failed: int = 60, **clocks_s: float | None) -> dict[str, Any]:
    return {
        "case": case,
        "role": role,
        "round": 1,
        "clocks_s": CLOCKS_S | ({"address": None} if role == "other" else {}) | clocks_s,
        "predicted_s": dict.fromkeys(frontier_page.CLOCKS),
        "clock_reasons": dict.fromkeys(frontier_page.CLOCKS),
        "lost": {"failed": failed, "total": 12000},
        "passed": True,
        "reasons": [],
    }


def page(*runs: dict[str, Any]) -> str:
    more = {"kubernetes": "v1.99.1", "nodes": 3, "measured": "2026-01-01", "rate": 200, "cores": 2}
    return frontier_page.page({"conditions": more, "runs": list(runs)}, "x.svg")


def missed(*runs: dict[str, Any]) -> list[str]:
    return [goal.what for goal in goals(frontier_page.groups(runs)) if not goal.kept]


def test_every_limit_is_of_a_case_that_is_measured() -> None:
    for case, role in LIMITS:
        assert role in CASES[case].roles
    assert [field.name for field in fields(Limits)] == list(frontier_page.LIMITED)


@pytest.mark.parametrize(
    ("clocks_s", "failed", "broken"),
    [
        ({"endpoints": 7.0, "capacity": 15.0, "stale_flows": 8.0}, 480, []),
        ({"endpoints": 7.001}, 0, ["endpoints"]),
        ({"endpoints": None}, 0, ["endpoints", "tail"]),
        ({"capacity": 15.001}, 0, ["capacity"]),
        ({"capacity": None}, 0, ["capacity"]),
        # One second more than the endpoints, which a difference of binary fractions would exceed.
        ({"endpoints": 3.001, "stale_flows": 4.001}, 0, []),
        ({"endpoints": 5.374, "stale_flows": 6.375}, 0, ["tail"]),
        ({"address": 0.1}, 0, ["address"]),
        ({}, 481, ["lost"]),
    ],
)
def test_each_limit_can_be_broken(clocks_s: dict[str, float | None], failed: int, broken: list[str]) -> None:
    assert missed(run("fast", "other", failed, **clocks_s)) == broken


def test_the_median_counts_and_what_was_not_seen_is_endless() -> None:
    def with_endpoints(*seconds: float | None) -> Sequence[dict[str, Any]]:
        return [run("fast", "other", endpoints=s) for s in seconds]

    assert missed(*with_endpoints(6.0, 6.5, 60.0)) == []
    assert missed(*with_endpoints(6.0, 6.5, None)) == []
    assert missed(*with_endpoints(6.0, None, None)) == ["endpoints", "tail"]
    cut_short = run("fast", "other") | {"lost": {"failed": 0, "total": 0}}
    assert missed(cut_short) == ["lost"]


def test_an_address_that_had_to_move_and_was_not_seen_to_is_no_nought() -> None:
    assert missed(run("watchdog", "other", endpoints=1.0, capacity=3.0)) == []
    assert missed(run("watchdog", "announcer", address=None, endpoints=1.0, capacity=3.0)) == ["address"]


def test_no_tail_at_all_is_asked_for_where_a_pod_is_killed() -> None:
    assert missed(run("pod", "other", endpoints=0.1, capacity=2.0)) == []
    assert missed(run("pod", "other", endpoints=0.1, capacity=2.0, stale_flows=0.11)) == ["tail"]


@pytest.mark.parametrize(
    ("value", "limit", "what", "text"),
    [
        (5.94, 7, "endpoints", "5.9 \N{LESS-THAN OR EQUAL TO} 7 s"),
        (1.015, 1, "tail", "**1.01 > 1 s: missed**"),
        (4.0001, 4, "lost", "**4.0001 > 4%: missed**"),
        (0.017, 2, "lost", "0.02 \N{LESS-THAN OR EQUAL TO} 2%"),
        (0.0, 0, "address", "none"),
        (0.2, 0, "address", "**0.2 > 0 s: missed**"),
        (float("inf"), 7, "endpoints", "**not seen, 7 s wanted: missed**"),
    ],
)
def test_rounding_hides_no_miss(value: float, limit: float, what: str, text: str) -> None:
    assert frontier_page.beside(Goal("fast", "other", what, value, limit)) == text


def test_the_page_says_what_was_asked_for() -> None:
    text = page(run("fast", "announcer"), run("default", "announcer"))
    row = next(line for line in text.splitlines() if "missed" in line)
    assert row.startswith("| fast | announcer | **5.7 > 4 s: missed** | 5.9 ")
    assert "4 of 5 goals are kept" in text
    assert "## Goals" not in page(run("default", "announcer")), "a case without limits"


def test_the_end_tells_of_every_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert frontier.within_limits([run("fast", "announcer", address=3.9), run("manual", "other")])
    assert capsys.readouterr().out.count(": yes\n") == 5
    assert not frontier.within_limits([run("fast", "announcer")])
    said = capsys.readouterr().out
    assert "fast, announcer: address                    5.70 s  at most 4 s: NO\n" in said
    assert said.count(": yes\n") == 4
    assert not frontier.within_limits([run("fast", "announcer", capacity=16.0)])
    assert not frontier.within_limits([run("fast", "other", failed=600), run("pod", "other", endpoints=0.1)])
    assert frontier.within_limits([])


@pytest.mark.parametrize(("failed", "status"), [(480, 0), (481, 1)])
def test_the_status_tells_whether_the_limits_are_kept(
    failed: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions = {"rate": frontier.RATE, "seconds": 90, "cores": os.cpu_count()}
    results = frontier.Results(tmp_path / "results.json", conditions)
    results.content["runs"].append(run("fast", "other", failed))
    results.keep()
    pages: list[dict[str, Any]] = []
    monkeypatch.setattr(frontier, "write", lambda content, _: pages.append(content))
    monkeypatch.setattr("sys.argv", ["frontier", "--page", f"--folder={tmp_path}"])
    assert frontier.main() == status
    assert pages == [results.content], "the page is written whatever the limits say"


def test_what_was_not_as_predicted_is_made_of_the_median_runs_steps() -> None:
    def watched(number: int, capacity: float | None) -> dict[str, Any]:
        made = run("watchdog", "other", endpoints=1.2, capacity=capacity)
        made["predicted_s"] |= {"endpoints": 0.4}
        made["clock_reasons"] |= {
            "endpoints": f"{STEPS}, its endpoints were out of the list at +1.2 s",
            "capacity": f"{STEPS}, replacement {number} was ready 1.8 s later",
        }
        return made

    text = page(watched(1, 9.0), watched(2, None), watched(3, 3.5), run("fast", "other"))
    begin = text.index("- **watchdog, other**")
    assert text[begin:].splitlines()[:3] == [
        "- **watchdog, other**",
        f"  - endpoints 1.2 s (0.4 s predicted): {STEPS}, its endpoints were out of the list at +1.2 s",
        f"  - capacity 9.0 s: {frontier_page.SAME}, replacement 1 was ready 1.8 s later",
    ]
    assert "**fast" not in text[begin:]
    assert "made of" not in page(run("fast", "other")), "all as predicted"


def test_of_two_runs_the_quicker_is_told_of() -> None:
    runs = [run("fast", "other", capacity=s) for s in (12.0, 11.0)]
    assert frontier_page.middle_run(runs) is runs[1]


def test_a_clock_that_was_not_seen_is_told_of() -> None:
    made = run("fast", "other", capacity=None)
    made["clock_reasons"] |= {"capacity": NO_ANSWER}
    assert f"  - capacity not seen: {NO_ANSWER}" in page(made)
