"""Two independent instruments on one failing service, at the same time, must tell the same."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from failover_lab.run.records import RecordFile

pytestmark = pytest.mark.nightly

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
SHARE, SEED = 1 / 50, 20261123
RATE, SECONDS = 500, 12
# Each statistical test below fails a sound instrument once in so many runs.
FALSE_ALARM = 1e-5


def log_choose(total: int, of_them: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(of_them + 1) - math.lgamma(total - of_them + 1)


def two_sided(log_chance: Callable[[int], float], possible: range, seen: int) -> float:
    """How likely is an outcome that is as unlikely as the one seen, or more so?"""
    limit = log_chance(seen) + 1e-9
    return math.fsum(math.exp(chance) for k in possible if (chance := log_chance(k)) <= limit)


def binomial(failed: int, total: int, share: float) -> float:
    """The exact two-sided test of one share; its dual is the exact confidence interval."""
    return two_sided(
        lambda k: log_choose(total, k) + k * math.log(share) + (total - k) * math.log1p(-share),
        range(total + 1),
        failed,
    )


def fisher(failed: int, total: int, other_failed: int, other_total: int) -> float:
    """Fisher's exact test that two shares are the same."""
    both_failed, both = failed + other_failed, total + other_total
    return two_sided(
        lambda k: (
            log_choose(total, k) + log_choose(other_total, both_failed - k) - log_choose(both, both_failed)
        ),
        range(max(0, both_failed - other_total), min(total, both_failed) + 1),
        failed,
    )


@pytest.fixture(scope="session")
def vegeta() -> str:
    """The program; built at the first time, which takes a minute."""
    built = subprocess.run(
        [sys.executable, HERE.parent / "go_module.py", HERE / "vegeta"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()


def attack(vegeta: str, url: str) -> dict[str, Any]:
    """What vegeta counted. It comes from an address of its own, by which the server can tell it apart."""
    options = ["-keepalive=false", "-http2=false", "-laddr=127.0.0.2", "-timeout=5s"]
    attacked = subprocess.run(
        [vegeta, "attack", f"-rate={RATE}", f"-duration={SECONDS}s", *options],
        input=f"GET {url}".encode(),
        capture_output=True,
        check=True,
    )
    reported = subprocess.run(
        [vegeta, "report", "-type=json"], input=attacked.stdout, capture_output=True, check=True
    )
    counts: dict[str, Any] = json.loads(reported.stdout)
    return counts


def test_the_arithmetic_of_these_tests() -> None:
    # 1 of 4 at one half: all but the outcome 2. Fisher's own example, the lady tasting tea: 34 of 70.
    assert binomial(1, 4, 0.5) == pytest.approx(10 / 16)
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)
    # And they would notice: half of the failures missed.
    assert binomial(60, 6000, SHARE) < FALSE_ALARM
    assert fisher(55, 6000, 120, 6000) < FALSE_ALARM


def test_the_probe_and_vegeta_count_the_same_failures(vegeta: str, tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, HERE / "failing_server.py", "--share", str(SHARE), "--seed", str(SEED)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}/whoami"
    command = [sys.executable, "-m", "failover_lab", "probe", "--connections", "new", "--url", url]
    probe = subprocess.Popen(
        [*command, "--rate", str(RATE), "--duration", str(SECONDS), "--out", str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.DEVNULL,
    )
    counted = attack(vegeta, url)
    assert probe.wait(timeout=60) == 0
    server.stdin.close()
    did = json.loads(server.stdout.read())
    server.wait(timeout=10)

    records = list(RecordFile(tmp_path / "run" / "requests.csv.gz").records())
    outcomes = Counter(str(record.outcome) for record in records)
    failed = sum(record.failed for record in records)
    vegeta_failed = counted["requests"] - counted["status_codes"]["200"]

    # The server knows what it did to whom: to the probe and to vegeta. Both must have seen exactly that.
    to_probe, to_vegeta = Counter(did["127.0.0.1"]), Counter(did["127.0.0.2"])
    assert to_probe["no_request"] == to_vegeta["no_request"] == 0
    assert outcomes["ok"] == to_probe["answered"]
    assert outcomes["reset"] == to_probe["reset"] + to_probe["reset_at_once"]
    assert outcomes["closed_early"] == to_probe["closed"]
    assert failed == len(records) - outcomes["ok"]
    assert vegeta_failed == to_vegeta.total() - to_vegeta["answered"]

    # As nobody knows it in a cluster: do the two agree, and does the planted share lie in the interval?
    assert fisher(failed, len(records), vegeta_failed, counted["requests"]) > FALSE_ALARM
    assert binomial(failed, len(records), SHARE) > FALSE_ALARM
