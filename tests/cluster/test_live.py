"""A run in a real browser while it happens: as soon as it does, and at the end what the report says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.conftest import NAMES

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]

KINDS: dict[str, list[str]] = {"drain": [], "kill": ["-e", "fault_recovery=watchdog"]}


def address(play: subprocess.Popen[str]) -> str:
    """Where the play says to look."""
    assert play.stdout is not None
    for line in play.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
            return found[0]
    raise AssertionError("the play did not say where to look")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_drawn_as_it_happens(lab: Lab, kind: str) -> None:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no browser is installed")
    from playwright.sync_api import sync_playwright

    play = lab.start("failover", "-e", f"fault_kind={kind}", *KINDS[kind])
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            # To ask in the page is to evaluate a string, which its policy forbids.
            page = browser.new_page(bypass_csp=True)
            page.goto(address(play))
            page.wait_for_function("window.failoverLab?.player.model")
            page.wait_for_function("failoverLab.player.ended", timeout=600_000)
            page.locator("#report iframe").wait_for(timeout=20_000)
            drawn = page.evaluate("failoverLab.drawn")
            late = sorted(one["s"] for one in drawn)
            shown = [
                int(page.locator(f"#{name}").inner_text().replace("\u202f", ""))
                for name in ("answered", "failed")
            ]
    finally:
        play.communicate(timeout=600)
    report: dict[str, Any] = json.loads((lab.reports / "latest" / "report.json").read_text())
    requests = report["requests"]
    assert shown == [requests["total"] - requests["failed"], requests["failed"]]
    at_95 = late[int(len(late) * 0.95)]
    print(f"{kind}: {len(late)} changes, drawn after {late[len(late) // 2]:.3f} s, 95% after {at_95:.3f} s")
    slow = [
        f"{one['s']:.2f} s at {one['t']:.1f} s (told after {one['told']:.2f}, heard after {one['heard']:.2f})"
        for one in drawn
        if one["s"] > 0.3
    ]
    print(f"late: {', '.join(slow) or 'none'}")
    assert len(late) > 15
    assert at_95 <= 0.3
    # Once the play is over nobody serves the page any more.
    live = json.loads((lab.reports / "latest" / "live.json").read_text())
    deadline = time.monotonic() + 20
    while Path(f"/proc/{live['pid']}").exists():
        assert time.monotonic() < deadline, "the page's server is left"
        time.sleep(0.2)
