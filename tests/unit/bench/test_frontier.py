"""What the frontier makes of its runs. The runs themselves need a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench import frontier, frontier_page
from bench.bench import ROOT
from bench.cases import CASES
from bench.goals import lost_percent
from tests.declared import added

CONDITIONS = {"rate": 200, "seconds": 180, "cores": 2}


def run(case: str, role: str, number: int, endpoints: float | None, failed: int = 0) -> dict[str, Any]:
    return {
        "case": case,
        "role": role,
        "round": number,
        "kubernetes": "v1.99.1",
        "nodes": 3,
        "clocks_s": {"address": 0.0, "endpoints": endpoints, "capacity": 13.0, "stale_flows": None},
        "predicted_s": dict.fromkeys(frontier_page.CLOCKS),
        "clock_reasons": dict.fromkeys(frontier_page.CLOCKS),
        "lost": {"failed": failed, "total": 12000},
        "passed": True,
        "reasons": [],
    }


def results(*runs: dict[str, Any]) -> dict[str, Any]:
    more = {"kubernetes": "v1.99.1", "nodes": 3, "measured": "2026-01-01"}
    return {"conditions": CONDITIONS | more, "runs": list(runs)}


def row_of(page: str, begin: str) -> list[str]:
    found = next(line for line in page.splitlines() if line.startswith(begin))
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_medians_and_their_range() -> None:
    runs = [run("fast", "other", n, s, f) for n, s, f in ((1, 6.0, 480), (2, 9.0, 120), (3, 6.5, 240))]
    page = frontier_page.page(results(*runs), "x.svg")
    assert row_of(page, "| fast |") == [
        "fast",
        "other",
        "3",
        "0.0 s",
        "6.5 s (6.0 to 9.0)",
        "13.0 s",
        frontier_page.NOTHING,
        "2.00% (1.00 to 4.00)",
    ]
    assert "predicted" not in page
    assert "default |" not in page, "what was not measured has no row"


def test_predictions_stand_below() -> None:
    foretold = run("fast", "other", 1, 6.0) | {
        "predicted_s": {"address": 0.0, "endpoints": 5.2, "capacity": 12.0, "stale_flows": None}
    }
    page = frontier_page.page(results(foretold), "x.svg")
    row = row_of(page, "| | *predicted*")
    assert row[4] == "*5.2 s*"
    assert row[3] == f"*{frontier_page.NOTHING}*", "an address that is not to move"


def test_a_clock_that_was_not_seen_is_no_nought() -> None:
    page = frontier_page.page(results(run("fast", "other", 1, None), run("fast", "other", 2, 7.0)), "x.svg")
    assert row_of(page, "| fast |")[4] == "7.0 s in 1 of 2"
    page = frontier_page.page(results(run("fast", "other", 1, None)), "x.svg")
    assert row_of(page, "| fast |")[4] == frontier_page.NOTHING


def test_a_run_that_did_not_pass_is_told_of() -> None:
    bad = run("fast", "other", 1, 6.0) | {"passed": False, "reasons": ["the spread is uneven"]}
    page = frontier_page.page(results(bad, run("fast", "other", 2, 6.0)), "x.svg")
    assert "1 of the 2 runs was no" in page
    assert "- the spread is uneven" in page


def test_what_the_cluster_forgets_meanwhile_takes_nothing_away() -> None:
    assert added({"old": 3, "kept": 1, "again": 1}, {"kept": 1, "again": 3, "new": 1}) == {
        "again": 2,
        "new": 1,
    }
    assert added({"old": 3}, {}) == {}


def test_false_alarms_stand_with_how_they_were_looked_for() -> None:
    found = {
        "seconds": 600,
        "busy": 2,
        "cores": 2,
        "events": 0,
        "silence_s": 2.14,
        "grace_s": 5.0,
        "moves": 1,
    }
    page = frontier_page.page(results(run("fast", "other", 1, 6.0)) | {"false_alarms": found}, "x.svg")
    assert "during 10 minutes in which 2 busy loops" in page
    assert "taken for dead 0 times" in page
    assert "was 2.1 s, of the 5 s allowed" in page
    assert "moved 1 times" in page


def test_the_chart_is_drawn() -> None:
    svg = frontier_page.chart([run("fast", "other", 1, 6.0, 480), run("default", "announcer", 1, 51.0, 4000)])
    assert svg.startswith("<svg")
    begin = "\N{LESS-THAN OR EQUAL TO} 0.1"
    for words in ("another node is hit", "watchdog", "requests lost in 60 s, %", "stale flows", begin):
        assert words in svg


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    first = frontier.Results(path, CONDITIONS)
    first.content["runs"].append(run("fast", "other", 1, 6.0))
    first.keep()
    second = frontier.Results(path, CONDITIONS)
    assert second.has("fast", "other", 1)
    assert not second.has("fast", "other", 2)
    assert not second.has("fast", "announcer", 1)
    # What the page adds is no condition.
    second.content["conditions"] |= {"nodes": 3}
    second.keep()
    frontier.Results(path, CONDITIONS)
    with pytest.raises(SystemExit, match="give another --folder"):
        frontier.Results(path, CONDITIONS | {"rate": 100})


def test_the_minute_after_the_fault_is_counted(tmp_path: Path, recorded: Callable[..., float]) -> None:
    begin = [
        (-1.0, "connect_timeout"),
        (0.0, "connect_timeout"),
        (0.5, "connect_timeout", "reused"),
        (1.0, "unfinished"),
        (2.0, "ok"),
    ]
    fault_at = recorded(*begin, (59.9, "reset"), (60.0, "reset"))
    assert frontier.lost(tmp_path, fault_at) == {"failed": 2, "total": 3}
    assert frontier.lost(tmp_path, recorded(*begin)) == {"failed": 0, "total": 0}, "cut short: no share"
    assert lost_percent({"lost": {"failed": 0, "total": 0}}) is None


def test_what_the_lab_asks_for_is_typed() -> None:
    line = "cd /a/lab && KUBECONFIG=/k .venv/bin/ansible-playbook recover.yml -e lab_profile=x"
    found = frontier.TYPED.search(f"    {line}\n")
    assert found
    assert found[1] == line
    assert not frontier.TYPED.search("nobody ran `ansible-playbook recover.yml` to its end")


def test_the_grace_is_the_one_that_is_set() -> None:
    variables = yaml.safe_load((ROOT / "roles" / "cluster" / "vars" / "main.yml").read_text())
    assert variables["__cluster_detection_settings"]["fast"]["grace_s"] == frontier.GRACE_S


def test_every_case_has_its_words() -> None:
    page = frontier_page.page(results(run("fast", "other", 1, 6.0)), "x.svg")
    assert all(f"- **{name}**: " in page for name in CASES)
    assert json.dumps(frontier_page.specification([]))
