"""A watchdog that a user keeps on, as a page tells: nodes are given away without any run."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.pages import all_typed

from .conftest import PROFILE, ROOT, docker
from .detection import within
from .sudden import broken, is_tainted, is_true_to_the_cluster, nothing_is_left, of_any, state

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly, pytest.mark.usefixtures("faster")]


@contextlib.contextmanager
def kept_on(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    """The watchdog by the command that a page tells of, watching every node; ended if it still runs."""
    (told,) = {line for _, line in all_typed() if line.startswith("python -m failover_lab watchdog")}
    with subprocess.Popen(
        [sys.executable, *shlex.split(told)[1:], f"--profile={PROFILE}"],
        cwd=ROOT,
        env=lab.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:

        def is_ready() -> bool:
            assert process.poll() is None, process.communicate()[0]
            path = lab.state / "watchdog.json"
            status = json.loads(path.read_text()) if path.exists() else {}
            return status.get("pid") == process.pid and status["ready"]

        try:
            within(30, is_ready)
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def end(watchdog: subprocess.Popen[str]) -> list[str]:
    """End it as a user does; what it had said."""
    watchdog.send_signal(signal.SIGTERM)
    said = watchdog.communicate(timeout=30)[0].splitlines()
    assert watchdog.returncode == 0, said
    return said


def test_a_watchdog_that_is_kept_on(lab: Lab) -> None:
    with kept_on(lab) as watchdog:
        # One with pods: recover spreads none, and without any there are no flows to clear.
        node = next(where for _, where in lab.pods().values() if where != PROFILE)
        docker("kill", node)
        within(10, lambda: is_tainted(lab))
        assert lab.cordoned() == [node]
        refused = lab.play("teardown")
        assert refused.returncode != 0
        assert f"kill {watchdog.pid}" in refused.error
        assert refused.changed == 0
        recovered = lab.play("recover")
        assert recovered.returncode == 0, recovered.output[-6000:]
        nothing_is_left(lab)
        said = end(watchdog)
    # On a busy machine it may have had to look or to try again.
    steps = [step for line in said[:-1] if (step := line.split()[1]) not in {"refused", "stuck"}]
    assert steps[:4] == ["watching", "dead", "fenced", "marked"], said
    assert {*steps[4:6]} == {"pods_deleted", "flows_cleared"}, said
    assert steps[6:] in (["released"], ["closed"]), said
    assert said[-1].endswith(f"nodes given away: {node}; stopped: SIGTERM")


def test_a_run_relies_on_a_watchdog_that_is_kept_on(lab: Lab) -> None:
    before = lab.pods()
    with kept_on(lab) as watchdog:
        _, report = broken(
            lab,
            *("-e", "fault_kind=kill", "-e", "fault_node=other", "-e", "fault_recovery=watchdog"),
            bitten=of_any(lambda node: state(node) == "exited"),
        )
        end(watchdog)
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert report["fault"]["node"] != report["fault"]["announcer"]
    assert report["clocks_s"]["capacity"] < 10, report["clocks_s"]
    marks = [json.loads(line) for line in (lab.reports / "latest" / "marks.jsonl").read_text().splitlines()]
    of_it = [mark for mark in marks if mark["event"].startswith("watchdog_")]
    assert of_it[0]["event"] == "watchdog_kept_on"
    assert of_it[0]["process"] == str(watchdog.pid)
    given = {mark["event"] for mark in of_it if mark.get("node") == report["fault"]["node"]}
    assert given >= {"watchdog_dead", "watchdog_fenced", "watchdog_marked", "watchdog_pods_deleted"}
    assert not (lab.reports / "latest" / "watchdog.json").exists(), "the run started one of its own"
