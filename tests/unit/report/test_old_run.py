"""A folder that the version before recorded on a real cluster: it is reported as it was then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from failover_lab import cli
from failover_lab.report import load
from failover_lab.run.layout import Run

RECORDED = Path(__file__).with_name("old_run")


def as_then(now: Any, then: Any) -> Any:
    """The same without fields that have been added."""
    if isinstance(now, dict) and isinstance(then, dict):
        return {key: as_then(value, then[key]) for key, value in now.items() if key in then}
    return now


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "20261129T182043Z-drain"
    shutil.copytree(RECORDED, folder)
    return folder


def test_it_is_reported_as_it_was_then(run: Path) -> None:
    then = json.loads((run / "report.json").read_text(encoding="utf-8"))
    (run / "report.json").unlink()
    # It was cut short.
    assert cli.main(["report", str(run)]) == 1
    now = json.loads((run / "report.json").read_text(encoding="utf-8"))
    # What was not asked is null since, and who opened a connection for a request counts as new.
    checks = {name: found or [] for name, found in now["verdict"].pop("checks").items()}
    assert checks == then["verdict"].pop("checks")
    before, by_kind = then["requests"].pop("by_connection"), now["requests"].pop("by_connection")
    opened = then["requests"]["total"] - by_kind["reused"]["total"] - before["new"]["total"]
    assert (opened, by_kind["new"]["total"]) == (20, before["new"]["total"] + 20)
    assert as_then(now, then) == then
    assert then["requests"]["total"] == 1075


def test_its_probe_is_the_only_one(run: Path) -> None:
    data = load.load(run)
    assert [(probe.name, len(probe.records), probe.whole) for probe in data.probes] == [("", 1075, True)]
    assert data.records is data.probes[0].records


def test_a_second_vantage_point_changes_no_figure_of_the_first(run: Path) -> None:
    assert cli.main(["report", str(run)]) == 1
    then = json.loads((run / "report.json").read_text(encoding="utf-8"))
    far = Run(run).probe("far")
    far.directory.mkdir(parents=True)
    for name in ("probe.json", "requests.csv.gz", "status.json"):
        shutil.copy(RECORDED / name, far.directory / name)
    assert [probe.name for probe in load.load(run).probes] == ["", "far"]
    assert cli.main(["report", str(run)]) == 1
    assert json.loads((run / "report.json").read_text(encoding="utf-8")) == then
