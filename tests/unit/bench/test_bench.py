"""What the benchmarks tell of a play, and which of its reports they take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.bench import Bench, why

TIMES = "TASKS RECAP ****\nTuesday\n====\nfault : Preflight | Choose the node, or refuse --- 1.08s\n"


@pytest.mark.parametrize("begins", ["  \u2715 Choose the node", "  FAILED: Choose the node", "[ERROR]: no"])
def test_what_failed_is_told_and_not_how_long_each_task_took(begins: str) -> None:
    told = why(f"\u25b8 Preflight\nTuesday 01\n{begins}\n    Only 1 of them is ready.\n{TIMES}")
    assert told == f"{begins.strip()}\n    Only 1 of them is ready."


def test_of_a_play_that_says_of_nothing_that_it_failed_the_last_words_are_told() -> None:
    assert why("\u25b8 Preflight\nKilled\n") == "\u25b8 Preflight\nKilled"


class Played(Bench):
    """A bench whose plays are not played: each leaves a report, or none."""

    def __init__(self, home: Path, *runs: str) -> None:
        super().__init__(home)
        self.runs = list(runs)

    def play(self, playbook: str, *, may_fail: bool = False, **settings: object) -> tuple[float, str]:
        assert may_fail  # Its verdict may be any.
        reports = self.home / "reports"
        if name := self.runs.pop(0):
            (reports / name).mkdir(parents=True)
            (reports / name / "report.json").write_text(json.dumps({"run": name, **settings}))
            (reports / "latest").unlink(missing_ok=True)
            (reports / "latest").symlink_to(name)
        return 1.0, f"  \u2715 {playbook}\n    Refused.\n{TIMES}"


def test_a_run_without_a_report_says_why_and_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    bench = Played(tmp_path, "one", "", "two")
    folder, report = bench.failover("a kill", fault_kind="kill")
    assert (folder.name, report) == ("one", {"run": "one", "fault_kind": "kill"})
    with pytest.raises(SystemExit, match=r"^a kill made no report:\n\u2715 failover\n    Refused\.$"):
        bench.failover("a kill")
    assert bench.failover("a kill")[1] == {"run": "two"}
