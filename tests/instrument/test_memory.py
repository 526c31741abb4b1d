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
from tests.instrument.simulated_day import reported

pytestmark = pytest.mark.nightly

HERE = Path(__file__).parent


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


def test_a_day_at_220_requests_a_second_is_reported_in_1_gib_and_5_min(tmp_path: Path) -> None:
    told = reported(tmp_path / "day", 24.0)
    assert told["requests"] > 19_000_000
    assert told["mib"] < 1024
    assert told["seconds"] < 300
