"""What it costs to show a run while it goes on, with two who watch."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from failover_lab.run import files
from failover_lab.run.layout import Run

pytestmark = pytest.mark.nightly

HERE = Path(__file__).parent
SOURCE = {"PYTHONPATH": str(HERE.parents[1] / "src")}
SECONDS = 20


def used_s(pid: int) -> float:
    """How long a process has had a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(url: str, taken: list[int]) -> None:
    """Take what is sent, as a browser does."""
    with requests.get(f"{url}events", stream=True, timeout=60) as answer:
        taken.extend(map(len, answer.iter_content(None)))


@pytest.mark.parametrize(("rate", "most"), [(220, 0.15), (2000, 0.3)])
def test_a_page_with_two_watchers_costs_little(rate: int, most: float, tmp_path: Path) -> None:
    environment = os.environ | SOURCE
    grows = subprocess.Popen(
        [sys.executable, HERE / "growing.py", tmp_path, str(rate), str(SECONDS + 8)], env=environment
    )
    serves = subprocess.Popen([sys.executable, "-m", "failover_lab", "live", tmp_path], env=environment)
    taken: list[list[int]] = [[], []]
    try:
        deadline = time.monotonic() + 20
        while not Run(tmp_path).live.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        url = files.read_json(Run(tmp_path).live)["url"]
        for own in taken:
            threading.Thread(target=watch, args=(url, own), daemon=True).start()
        # What it begins with is not what it costs.
        time.sleep(4)
        before, began = used_s(serves.pid), time.monotonic()
        time.sleep(SECONDS)
        cores = (used_s(serves.pid) - before) / (time.monotonic() - began)
    finally:
        for process in (serves, grows):
            process.terminate()
            process.wait(20)
    print(f"{rate}/s, two watchers: {cores:.3f} core, {sum(taken[0]) / SECONDS / 1024:.1f} KiB/s each")
    assert all(len(own) > SECONDS for own in taken)
    assert cores <= most
