"""A run that is cut short, at any moment: nothing of it is left, and what there was is reported."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from failover_lab.run import instants

from .conftest import BUSY, PROFILE, docker
from .engine_relay import relayed
from .sudden import (
    OF_WORKERS,
    at,
    awaits_operator,
    comes,
    drops_some,
    is_cut_off,
    is_faulted,
    is_on_its_way_back,
    is_slow,
    is_steady_before,
    is_tainted,
    marks_of,
    nothing_is_left,
    running,
    state,
    within_node,
    workers,
)

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.nightly,
    pytest.mark.shares,
    pytest.mark.usefixtures("faster", "large_scenario_ahead"),
]


def of_kind(bites: Callable[[str], bool]) -> Callable[[Lab], bool]:
    return lambda _lab: any(bites(node) for node in workers())


def joins(lab: Lab) -> bool:
    """A node's container is newer than the run: minikube has made it, and goes on."""
    began = re.match(r"\d+T\d+Z", Path(lab.journal().get("run_dir", "")).name)
    made = docker("ps", "--all", OF_WORKERS, "--format={{.CreatedAt}}").splitlines()
    # As 2026-11-27 03:17:49 +0000 UTC.
    return began is not None and any(
        instants.parse(one[:19] + one[20:25]) > instants.parse(began[0]) for one in made
    )


def spreads(lab: Lab) -> bool:
    marked = marks_of(lab)
    return "returned" in marked and "healed" not in marked


def has_stopped_asking(lab: Lab) -> bool:
    """What is left to do is the report."""
    return Path(lab.journal().get("run_dir", "/nonexistent"), "probe.json").exists()


MOMENTS: dict[str, tuple[list[str], Callable[[Lab], bool], str, bool]] = {
    "kill": (["fault_kind=kill"], of_kind(lambda node: state(node) == "exited"), "recover", True),
    "freeze": (["fault_kind=freeze"], of_kind(lambda node: state(node) == "paused"), "recover", True),
    # Both ways, and inwards alone, are other tests'.
    "partition": (
        ["fault_kind=partition", "fault_partition_direction=outgoing"],
        of_kind(lambda node: is_cut_off(node, "egress") and not is_cut_off(node, "ingress")),
        "failover",
        True,
    ),
    "kubelet": (
        ["fault_kind=kubelet"],
        of_kind(lambda node: within_node(node, "systemctl", "is-active", "kubelet").strip() == "inactive"),
        "recover",
        True,
    ),
    "loss": (["fault_kind=loss"], of_kind(drops_some), "recover", True),
    "slow": (["fault_kind=slow"], of_kind(is_slow), "failover", True),
    # Nobody starts it again but whoever comes next.
    "reboot": (
        ["fault_kind=reboot", "fault_reboot_s=20"],
        of_kind(lambda node: state(node) == "exited"),
        "recover",
        True,
    ),
    "given away": (["fault_kind=freeze", "fault_recovery=watchdog"], is_tainted, "recover", True),
    "waiting for the operator": (
        ["fault_kind=kill", "fault_recovery=manual"],
        awaits_operator,
        "recover",
        True,
    ),
    "on its way back": (["fault_kind=kill"], is_on_its_way_back, "recover", False),
    # Removed, and none in its place yet.
    "between two nodes": (
        ["fault_kind=kill", "fault_node_return=replace"],
        lambda _lab: len(workers()) == 1,
        "recover",
        False,
    ),
    "a new one joins": (["fault_kind=kill", "fault_node_return=replace"], joins, "failover", False),
    "spread again": (["fault_kind=kill"], spreads, "recover", False),
    "pods are gone": (["fault_kind=pod"], lambda lab: "injected" in marks_of(lab), "failover", False),
    "the report": (["fault_kind=pod"], has_stopped_asking, "recover", False),
}


def is_reported_as_aborted(run: Path) -> None:
    verdict = json.loads((run / "report.json").read_text())["verdict"]
    assert verdict["passed"] is False
    assert verdict["aborted"] is True
    assert any("aborted" in reason for reason in verdict["reasons"])


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_a_run_that_is_killed_is_put_right(lab: Lab, moment: str) -> None:
    settings, has_come, healer, breaks = MOMENTS[moment]
    at(lab, signal.SIGKILL, settings, has_come)
    run = Path(lab.journal()["run_dir"])
    told = lab.play("status").output.partition("left     ")[2]
    if breaks:
        left = [node for node in workers() if is_faulted(node)]
        assert len(left) == 1
        assert left[0] in told
    assert "a run was interrupted" in told
    healed = lab.play(healer, *BUSY)
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)
    is_reported_as_aborted(run)
    assert ((lab.reports / "latest").resolve() == run) is (healer == "recover")


INTERRUPTED: dict[str, tuple[list[str], Callable[[Lab], bool]]] = {
    "the steady state before": (["fault_kind=drain"], is_steady_before),
    "mid-drain": (["fault_kind=drain"], lambda lab: lab.cordoned() != []),
    "waiting for the operator": (["fault_kind=kill", "fault_recovery=manual"], awaits_operator),
    "the steady state after": (["fault_kind=drain"], lambda lab: lab.journal().get("healed") is True),
}


@pytest.mark.parametrize("moment", list(INTERRUPTED))
def test_control_c_puts_right_and_reports_at_once(lab: Lab, moment: str) -> None:
    # Into a task that takes its time. Between two, one Ctrl-C in ten is lost: Python passes over
    # what is raised in a handler of its own for a fork, and Ansible forks for every task.
    played = at(lab, signal.SIGINT, *INTERRUPTED[moment], settle_s=1.0)
    assert played.returncode != 0
    assert "Interrupted: putting right" in played.output
    nothing_is_left(lab)
    run = (lab.reports / "latest").resolve()
    assert run == max(lab.reports.glob("2*")), "reports/latest leads to an older run"
    is_reported_as_aborted(run)


def test_a_run_killed_in_the_steady_state_after_is_reported(lab: Lab) -> None:
    at(lab, signal.SIGKILL, ["fault_kind=drain"], lambda lab: lab.journal().get("healed") is True)
    run = Path(lab.journal()["run_dir"])
    healed = lab.play("recover")
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)
    is_reported_as_aborted(run)
    assert (lab.reports / "latest").resolve() == run


def test_a_node_that_vanishes_before_the_fault_is_not_looked_for_elsewhere(lab: Lab) -> None:
    with running(lab, "-e", "fault_kind=freeze") as process:
        comes(process, lambda: is_steady_before(lab), "no steady state was waited for in 120 s")
        # By its name the engine has it no more; to users it is still there, or none would be steady.
        node = lab.journal()["node"]
        docker("rename", node, f"{PROFILE}-elsewhere")
        try:
            output = process.communicate(timeout=300)[0]
        finally:
            docker("rename", f"{PROFILE}-elsewhere", node)
    assert process.returncode != 0
    words = " ".join(output.split())
    assert f"{node} has vanished since it was chosen: its container is gone" in words, output[-6000:]
    assert [one for one in workers() if is_faulted(one)] == []
    healed = lab.play("recover")
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)


def test_an_engine_that_goes_away_in_mid_run(lab: Lab, tmp_path: Path) -> None:
    with relayed(tmp_path) as relay:
        through = dataclasses.replace(lab, environment=lab.environment | {"DOCKER_HOST": relay.host})
        with running(through, "-e", "fault_kind=kill") as process:
            comes(process, lambda: "injected" in marks_of(lab), "nothing was injected in 120 s")
            relay.close()
            output = process.communicate(timeout=300)[0]
    assert process.returncode != 0
    run = Path(lab.journal()["run_dir"])
    report = json.loads((run / "report.json").read_text())
    silent = f"The engine at DOCKER_HOST={relay.host} does not answer"
    assert any(silent in reason for reason in report["verdict"]["reasons"]), output[-6000:]
    assert report["fault"]["healed_at"] is None
    assert state(report["fault"]["node"]) == "exited"

    healed = lab.play("recover")
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)
