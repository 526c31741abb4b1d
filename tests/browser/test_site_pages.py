"""The site's pages in a browser: what they say, how they look, and that a keyboard is enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from .conftest import CONTRAST, CUT_OFF, LIGHTNESS, VISIBLE, opened
from .standin import HTML, NODE, POD, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = sorted(path.stem for path in HTML.glob("*.html"))
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
# Each kind of text that a page has: its first of the kind that is visible.
TEXTS = (
    *(
        "h1",
        "h2",
        "main p",
        ".lead",
        ".small",
        "main a",
        "nav a",
        "nav a[aria-current]",
        ".served b",
        ".button",
    ),
    *(
        "footer p",
        "footer code",
        "td",
        "th",
        "dt",
        "dd",
        "pre",
        "figcaption",
        ".next a",
        ".cards p",
        "select",
    ),
)
# Everything that a keyboard has to reach, in its order, and the one that it has reached, by number.
REACHABLE = """() => {
  window.reachable = [...document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')]
    .filter(element => element.checkVisibility());
  return reachable.map(element => element.outerHTML.slice(0, 80));
}"""
REACHED = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return {
    number: reachable.indexOf(element),
    seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && box.width > 0 &&
      box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with running() as url:
        yield url


def url(site: str, page: str) -> str:
    """A page's address."""
    return f"{site}/{'' if page == 'index' else page}"


def test_there_are_pages() -> None:
    assert {"404", "index", "live"} < set(PAGES)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_whole_and_can_be_read(page: str, scheme: str, site: str, browser: Browser) -> None:
    seen = opened(browser, url(site, page), DESK, color_scheme=scheme)
    tab = seen.page
    tab.set_viewport_size(PHONE)  # type: ignore[arg-type]
    seen.wrong += tab.evaluate(CUT_OFF)
    assert seen.wrong == []
    # Nothing from anywhere else.
    assert [asked for asked in seen.asked_for if not asked.startswith(f"{site}/")] == []

    assert "failover-lab" in tab.title()
    assert tab.locator("h1:visible").count() == 1
    assert tab.locator("h1").inner_text().strip()
    assert tab.locator(".served b:visible, .hero dd:visible").all_inner_texts() == [POD, NODE]
    here = tab.locator("nav a[aria-current]")
    assert here.count() == (page != "404")
    assert page == "404" or here.get_attribute("href") == url("", page)
    assert "<!--#" not in tab.content()

    ground = tab.evaluate(LIGHTNESS)
    assert max(ground) < 60 if scheme == "dark" else min(ground) > 200
    contrasts = {text: tab.evaluate(CONTRAST, text) for text in TEXTS if tab.evaluate(VISIBLE, text)}
    assert {"h1", "main p", "nav a", "footer p"} <= set(contrasts)
    assert {text: contrast for text, contrast in contrasts.items() if contrast < 4.5} == {}
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_node_has_a_colour_that_can_be_read(scheme: str, site: str, browser: Browser) -> None:
    seen = opened(browser, site, PHONE, color_scheme=scheme)
    contrasts = {}
    for digit in range(10):
        seen.page.evaluate(f"() => {{ document.getElementById('hero').className = 'hero n{digit}' }}")
        contrasts[digit] = seen.page.evaluate(CONTRAST, ".hero dd")
    assert {digit: contrast for digit, contrast in contrasts.items() if contrast < 4.5} == {}
    assert len(set(contrasts.values())) == 10
    seen.page.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_keyboard_reaches_everything(page: str, site: str, browser: Browser) -> None:
    seen = opened(browser, url(site, page), DESK)
    wanted = seen.page.evaluate(REACHABLE)
    assert len(wanted) >= 8
    order, unseen = [], []
    # What scrolls may be reached as well, as the browser likes.
    for _ in range(2 * len(wanted)):
        seen.page.keyboard.press("Tab")
        reached = seen.page.evaluate(REACHED)
        if reached["number"] in order:
            break
        if reached["number"] >= 0:
            order.append(reached["number"])
            unseen += [] if reached["seen"] else [wanted[reached["number"]]]
    assert order == list(range(len(wanted)))
    assert unseen == []
    seen.page.close()


def test_the_first_page_asks_again_by_the_keyboard(site: str, browser: Browser) -> None:
    seen = opened(browser, site, PHONE)
    seen.page.locator("#again").press("Enter")
    seen.page.locator("#answers li").wait_for(timeout=3000)
    assert seen.page.locator("#answers li").inner_text() == POD.rpartition("-")[2]
    assert seen.page.locator("#said").inner_text() == f"Served by pod {POD} on node {NODE}"
    assert seen.wrong == []
    seen.page.close()


def test_the_live_page_counts(site: str, browser: Browser) -> None:
    seen = opened(browser, url(site, "live"), PHONE)
    seen.page.locator("#rate").select_option("20")
    seen.page.locator("#toggle").press("Enter")
    seen.page.wait_for_function(
        "() => Number(document.getElementById('n-ok').textContent) >= 5", timeout=5000
    )
    seen.page.locator("#toggle").press("Enter")
    assert seen.page.locator("#n-failed").inner_text() == "0"
    assert seen.page.locator("#tally").inner_text().startswith(NODE)
    assert seen.wrong + seen.page.evaluate(CUT_OFF) == []
    seen.page.close()


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))", "script"),
        ("document.body.setAttribute('style', 'color: red')", "style"),
        ("fetch('http://127.0.0.1:9/')", "127.0.0.1:9"),
    ],
)
def test_what_the_security_policy_forbids_is_noticed(
    harm: str, found: str, site: str, browser: Browser
) -> None:
    # Otherwise a page without complaints would prove little: the policy is the server's own.
    seen = opened(browser, site, DESK)
    seen.page.evaluate(f"() => {{ {harm} }}")
    seen.page.wait_for_timeout(200)
    assert any(found in complaint and "Content Security Policy" in complaint for complaint in seen.wrong)
    seen.page.close()
