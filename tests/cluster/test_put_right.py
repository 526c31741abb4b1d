"""A drain that is killed in its middle: status.yml says what is left of it, and recover.yml puts it right."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from .sudden import at

if TYPE_CHECKING:
    from .conftest import Lab

# What it measures nobody reads.
pytestmark = [pytest.mark.cluster, pytest.mark.shares]


def test_a_run_killed_in_mid_drain_is_put_right(lab: Lab) -> None:
    at(lab, signal.SIGKILL, [], lambda lab: lab.cordoned() != [])
    left = lab.cordoned()
    assert len(left) == 1

    status = lab.play("status")
    assert f"{left[0]} is still cordoned" in status.output
    assert "ansible-playbook recover.yml" in status.output

    healed = lab.play("recover")
    assert healed.returncode == 0, healed.output[-6000:]
    assert lab.cordoned() == []
    assert not (lab.state / "journal.json").exists()
    assert "left " not in lab.play("status").output
