"""A dead node whose work waits for somebody: who comes puts it right, who comes too late is sent away."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from .conftest import Played
from .sudden import awaits_operator, comes, is_true_to_the_cluster, nothing_is_left, running

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly, pytest.mark.usefixtures("faster")]


def typed(line: str) -> Played:
    """What the lab told its operator to type, in another terminal: elsewhere, and knowing nothing."""
    environment = {"HOME": os.environ["HOME"], "PATH": "/usr/local/bin:/usr/bin:/bin"}
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", line], cwd="/", env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )  # fmt: skip
    return Played(done.returncode, done.stdout, time.monotonic() - began)


def test_an_operator_puts_it_right(lab: Lab) -> None:
    before = lab.pods()
    lines: list[str] = []
    with running(lab, "-e", "fault_kind=kill", "-e", "fault_recovery=manual") as process:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            if re.search(r"ansible-playbook recover\.yml", line):
                break
        recovered = typed(lines[-1])
        lines += process.stdout.readlines()
        process.wait(timeout=300)
    assert recovered.returncode == 0, recovered.output[-4000:]
    assert process.returncode == 0, "".join(lines)[-6000:]
    report = json.loads((lab.reports / "latest" / "report.json").read_text())
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert 0 < report["operator_s"] < recovered.took_s + 5


def test_an_operator_who_comes_too_late_is_sent_away(lab: Lab) -> None:
    def waits_no_more() -> bool:
        steps = [step["step"] for step in lab.journal().get("steps", [])]
        return not awaits_operator(lab) and "wait for the replacements" in steps

    manual = ("-e", "fault_kind=kill", "-e", "fault_recovery=manual", "-e", "fault_operator_timeout_s=3")
    with running(lab, *manual) as process:
        comes(process, waits_no_more, "the run still waits after 120 s")
        # The node is being brought back: whoever gave its work away now would end it again.
        late = lab.play("recover")
        output = process.communicate(timeout=300)[0]
    assert "A run is going on" in late.error
    assert process.returncode != 0
    nothing_is_left(lab)
    report = json.loads((lab.reports / "latest" / "report.json").read_text())
    reasons = report["verdict"]["reasons"]
    assert any("No operator has come in 3 s" in reason for reason in reasons), output[-4000:]
