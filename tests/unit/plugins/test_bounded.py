"""What a task has started is ended with it, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.failover_lab.lab.plugins.plugin_utils import bounded

# Three generations: the last one waits, the others for it.
FAMILY = (
    "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c',"
    '\'import subprocess; subprocess.run(["sleep", "60"])\']).returncode)'
)


def descendants(pid: int) -> list[int]:
    found = [child for child, parent in bounded.parents().items() if parent == pid]
    return found + [one for child in found for one in descendants(child)]


def lives(pid: int) -> bool:
    """Whether it does more than to wait for somebody to take note of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "XZ"
    except FileNotFoundError:
        return False


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has started one which has started another."""
    with subprocess.Popen([sys.executable, "-c", FAMILY]) as first:
        while len(descendants(first.pid)) < 2:
            time.sleep(0.01)
        yield first
        first.kill()


def test_all_that_it_has_started_is_ended_and_not_itself(family: subprocess.Popen[bytes]) -> None:
    child, grandchild = descendants(family.pid)
    bounded.end_children(family.pid)
    # Its child was killed, which it says itself: 256 - 9.
    assert family.wait() == 247
    assert not lives(child)
    assert not lives(grandchild)
    assert os.getpid() in bounded.parents()


def test_once_the_time_is_up(family: subprocess.Popen[bytes]) -> None:
    with bounded.ended_after(0.05, family.pid) as up:
        assert family.wait() == 247
    assert up.is_set()


def test_before_that_nothing_happens(family: subprocess.Popen[bytes]) -> None:
    with bounded.ended_after(60, family.pid) as up:
        assert family.poll() is None
    assert not up.is_set()
    bounded.end_children(family.pid)
