"""Neither the probe's memory nor the report's grows with the length of a run."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_an_hour_at_200_requests_a_second_is_flat(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "simulated_hour.py", tmp_path / "run"],
        env=os.environ | {"PYTHONPATH": str(HERE.parents[1] / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    with gzip.open(tmp_path / "run" / "requests.csv.gz", "rt", encoding="ascii") as file:
        next(file)
        outcomes = Counter((row.split(",", 7)[1], row.split(",", 7)[6]) for row in file)
    # All of it went the real way: through the loop and the counts to the disk, and back.
    assert told["recorded"] == outcomes.total()
    new = Counter({outcome: n for (kind, outcome), n in outcomes.items() if kind == "new"})
    assert new.total() == pytest.approx(720_000, abs=50)
    assert new["reset"] == pytest.approx(new.total() / 50, rel=0.01)
    assert new["read_timeout"] == pytest.approx(new.total() / 1000, rel=0.01)
    assert max(told["mib"]) <= 150
    # From the sixth minute on: less than a byte for each further request.
    assert told["mib"][-1] - told["mib"][0] < 0.6


def reported(directory: Path, hours: float) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, HERE / "simulated_day.py", directory, str(hours)],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1] / "src"), str(HERE.parents[1])])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, float] = json.loads(done.stdout)
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    assert report["requests"]["total"] == told["requests"]
    assert report["measurement"]["whole_record"] is True
    assert (directory / "report.html").exists()
    # What it kept on the disk meanwhile is gone.
    assert not [path.name for path in directory.iterdir() if path.name.startswith((".", "tmp"))]
    return told


def test_an_hour_at_220_requests_a_second_is_reported_in_flat_memory(tmp_path: Path) -> None:
    short, long = reported(tmp_path / "short", 0.1), reported(tmp_path / "long", 1.0)
    # As objects they were 390 bytes each.
    assert (long["mib"] - short["mib"]) * 2**20 / (long["requests"] - short["requests"]) < 40


@pytest.mark.nightly
def test_a_day_at_220_requests_a_second_is_reported_in_1_gib_and_5_min(tmp_path: Path) -> None:
    told = reported(tmp_path / "day", 24.0)
    assert told["requests"] > 19_000_000
    assert told["mib"] < 1024
    assert told["seconds"] < 300
