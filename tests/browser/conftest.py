"""A real browser for the tests, the machine's own, and what all of them look for in a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# As in scripts/test_tools.sh.
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

# Whatever the eye would miss: an element beyond the window's edge, or a chart's text beyond the chart's.
CUT_OFF = """() => {
  const found = [], wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) found.push('the page scrolls sideways');
  const seen = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 ? r : null; };
  const scrolls = e => e && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  for (const element of document.body.querySelectorAll('*')) {
    const box = seen(element), chart = element.ownerSVGElement;
    if (!box || element.closest('thead') || (chart && element.tagName !== 'text')) continue;
    if (scrolls(element.parentElement)) continue;
    const frame = chart && seen(chart) || { left: 0, right: wide };
    if (box.right > frame.right + 1 || box.left < frame.left - 1)
      found.push(`${element.tagName} ${element.textContent.trim().slice(0, 40)}`);
  }
  return found;
}"""
# WCAG's contrast of the text with the ground it stands on: both are painted, however a colour is written.
CONTRAST = """selector => {
  const element = document.querySelector(selector), grounds = [];
  for (let at = element; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
  const context = new OffscreenCanvas(1, 1).getContext('2d');
  const painted = colours => {
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  };
  const values = [painted(['white', ...grounds]), painted([getComputedStyle(element).color])];
  return (Math.max(...values) + 0.05) / (Math.min(...values) + 0.05);
}"""
VISIBLE = "selector => document.querySelector(selector)?.checkVisibility() ?? false"
LIGHTNESS = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number).slice(0, 3)"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        missing = f"none of {', '.join(NAMES)} is installed (Debian: apt-get install chromium)"
        if os.environ.get("CI", "false") != "false":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its sandbox needs rights that a container need not have; the pages are our own.
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Nobody may take a run without a browser for a whole one."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if "tests/browser/" in report.nodeid
    ]
    if skipped:
        terminalreporter.section("NO BROWSER: THE PAGES WERE NOT TESTED", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests were skipped; install chromium and run them again.")


@dataclass
class Opened:
    """A page, and everything that went wrong in it.

    Attributes:
        busy_s: processor time of the engine that read and painted it: other work on the machine, which makes
            the same take longer, is no part of it.
    """

    page: Page
    busy_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)


def _busy_s(browser: Browser) -> dict[int, float]:
    """Processor time of each engine by the id of its process: one of a closed page may go at any time."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return {process["id"]: process["cpuTime"] for process in processes if process["type"] == "renderer"}


def opened(browser: Browser, url: str, size: dict[str, int], **settings: Any) -> Opened:
    """Open a page and wait until it has been painted."""
    page = browser.new_page(viewport=size, **settings)  # type: ignore[arg-type]
    result = Opened(page)
    page.on("console", lambda message: result.wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: result.wrong.append(f"error: {error}"))
    page.on("request", lambda request: result.asked_for.append(request.url))
    before = _busy_s(browser)
    page.goto(url, wait_until="load")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    result.busy_s = sum(busy_s - before.get(number, 0.0) for number, busy_s in _busy_s(browser).items())
    result.wrong += page.evaluate(CUT_OFF)
    return result
