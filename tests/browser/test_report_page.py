"""report.html in a browser: nothing wrong and nothing cut off, on a phone and a desk, by day and by night."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from failover_lab.report import command

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZES = {"phone": {"width": 375, "height": 812}, "desktop": {"width": 1280, "height": 800}}

# Whatever the eye would miss: an element beyond the window's edge, or a chart's text beyond the chart's.
CUT_OFF = """() => {
  const found = [], wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) found.push('the page scrolls sideways');
  const seen = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 ? r : null; };
  for (const element of document.body.querySelectorAll('*')) {
    const box = seen(element), chart = element.ownerSVGElement;
    if (!box || element.closest('thead') || (chart && element.tagName !== 'text')) continue;
    const frame = chart && seen(chart) || { left: 0, right: wide };
    if (box.right > frame.right + 1 || box.left < frame.left - 1)
      found.push(`${element.tagName} ${element.textContent.trim().slice(0, 40)}`);
  }
  return found;
}"""
# WCAG's contrast of the text with the ground it stands on.
CONTRAST = """selector => {
  const light = colour => colour.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const element = document.querySelector(selector);
  let ground = element;
  while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
  const values = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor].map(light);
  return (Math.max(...values) + 0.05) / (Math.min(...values) + 0.05);
}"""
LIGHTNESS = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number).slice(0, 3)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its sandbox needs rights that a container need not have; the page is our own file.
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


def made_up(directory: Path) -> Any:
    """The unit tests' made-up run; pytest's way of importing leaves no other way to it."""
    path = ROOT / "tests" / "unit" / "witness" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_up_run", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MadeUpRun(directory)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100,000 requests, with failures of many kinds."""
    run = made_up(tmp_path_factory.mktemp("big"))
    run.observed_drain()
    run.change(24.3, "ServiceL2Status", "l2-1", service="site", node="lab")
    run.rate, run.reused_rate = 1520.0, 152.0
    kinds = [
        "refused",
        "reset",
        "connect_timeout",
        "read_timeout",
        "closed_early",
        "wrong_status",
        "wrong_body",
    ]

    def differ(due: float, kind: str, number: int) -> dict[str, Any]:
        if 7.5 <= due < 30 and number % 50 == 0:
            return {"outcome": kinds[int(due) % len(kinds)], "detail": "after_part"}
        return {}

    run.differ = differ
    directory: Path = run.write()
    assert len(run.rows) > 100_000
    command.write(directory)
    return directory / "report.html"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was aborted before the first request."""
    run = made_up(tmp_path_factory.mktemp("empty"))
    run.end = run.begin
    run.marks = [*run.marks[:1], (0.0, "aborted")]
    directory: Path = run.write()
    command.write(directory)
    return directory / "report.html"


@dataclass
class Opened:
    """A page, and everything that went wrong in it."""

    page: Page
    took_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)


def opened(browser: Browser, path: Path, size: str, scheme: Any = "light") -> Opened:
    """Open a file and wait until it has been painted."""
    page = browser.new_page(viewport=SIZES[size], color_scheme=scheme)  # type: ignore[arg-type]
    result = Opened(page)
    page.on("console", lambda message: result.wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: result.wrong.append(f"error: {error}"))
    page.on("request", lambda request: result.asked_for.append(request.url))
    began = time.monotonic()
    page.goto(path.as_uri(), wait_until="load")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    result.took_s = time.monotonic() - began
    result.wrong += page.evaluate(CUT_OFF)
    return result


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_a_report_of_100_000_requests(size: str, scheme: str, big: Path, browser: Browser) -> None:
    seen = opened(browser, big, size, scheme)
    page = seen.page
    assert seen.wrong == []
    # One file: nothing else is asked for, from the network or the disk.
    assert [url for url in seen.asked_for if not url.startswith("data:")] == [big.as_uri()]
    assert seen.took_s <= 2.0
    assert page.locator(".lead").inner_text().startswith("Draining lab-m02, which announced the address,")
    assert page.locator("figure:visible svg").count() == 1
    ground = page.evaluate(LIGHTNESS)
    assert max(ground) < 60 if scheme == "dark" else min(ground) > 200
    for text in (".lead", ".soft", ".badge", ".cause", "td"):
        assert page.evaluate(CONTRAST, text) >= 4.5, text
    page.close()


@pytest.mark.parametrize("size", SIZES)
def test_a_report_without_requests(size: str, empty: Path, browser: Browser) -> None:
    seen = opened(browser, empty, size)
    assert seen.wrong == []
    assert seen.page.locator(".badge").inner_text() == "Aborted"
    assert seen.page.locator("svg").count() == 0
    seen.page.close()


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("<p style='width: 2000px'>wide</p>", "the page scrolls sideways"),
        ("<p style='margin-left: -50px'>left</p>", "P left"),
        ("<svg width=80 height=9><text x=60 y=9 font-size=9>a long word</text></svg>", "text a long word"),
        ("<script>nothing.there()</script>", "error: nothing is not defined"),
        ("<img src=missing.png>", "console: Failed to load resource: net::ERR_FILE_NOT_FOUND"),
    ],
)
def test_what_is_wrong_is_noticed(
    harm: str, found: str, empty: Path, browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "harmed.html"
    path.write_text(empty.read_text(encoding="utf-8").replace("</main>", f"{harm}</main>"), encoding="utf-8")
    seen = opened(browser, path, "phone")
    assert found in seen.wrong
    seen.page.close()
