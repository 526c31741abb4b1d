"""report.html in a browser: nothing wrong and nothing cut off, on a phone and a desk, by day and by night."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from failover_lab.report import command

from .conftest import CONTRAST, CUT_OFF, LIGHTNESS, VISIBLE, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
SIZES = {"phone": {"width": 375, "height": 812}, "desktop": {"width": 1280, "height": 800}}
A4 = {"width": 718, "height": 1047}  # within margins of 1 cm
# Each kind of text that a page may have, and what every page has.
TEXTS = (
    *(".badge", ".lead", "header .soft", ".reasons li", "dt", "dd", "dd small", "h2", "section p", "th"),
    *("td", "td code", ".cause", ".cause.unexplained", "td .pod", "td .pod.new", "summary", "details p"),
    *(
        ".moment h3",
        ".moment small",
        ".users",
        ".tag.announcer",
        ".tag.warn",
        ".tag.bad",
        ".lost-here",
        ".legend",
    ),
    *(".moment .pod", ".moment .pod small", ".moment .pod i", ".node .name"),
)
ALWAYS = {".badge", ".lead", "header .soft", "dt", "dd", "h2", "summary"}


def made_up(directory: Path) -> Any:
    """The unit tests' made-up run; pytest's way of importing leaves no other way to it."""
    path = ROOT / "tests" / "unit" / "made_up.py"
    spec = importlib.util.spec_from_file_location("made_up_run", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MadeUpRun(directory)


def too_pale(page: Page, *there: str) -> dict[str, float]:
    """Texts whose contrast with their ground is less than WCAG asks for (AA), and that contrast.

    Args:
        page: it is open.
        there: kinds of text that this page has, beside what every page has.
    """
    contrasts = {text: page.evaluate(CONTRAST, text) for text in TEXTS if page.evaluate(VISIBLE, text)}
    assert set(contrasts) >= {*ALWAYS, *there}
    return {text: contrast for text, contrast in contrasts.items() if contrast < 4.5}


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


@pytest.fixture(scope="module", params=["Passed", "Not passed", "Not measured", "Aborted"])
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A drain with that verdict."""
    run = made_up(tmp_path_factory.mktemp("judged"))
    run.observed_drain()
    if request.param == "Not passed":
        run.lose(7.0, 7.5)
    elif request.param == "Not measured":
        run.whole = False
    elif request.param == "Aborted":
        run.marks = [*run.marks[:3], (5.0, "aborted")]
    directory: Path = run.write()
    command.write(directory)
    return request.param, directory / "report.html"


@pytest.fixture(scope="module")
def sudden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node that died without a word, and an operator who gave its work away."""
    run = made_up(tmp_path_factory.mktemp("sudden"))
    run.observed_kill()
    run.change(-20, "ServiceL2Status", "l2-1", "LISTED", service="site", node="lab-m02")
    run.change(4.7, "ServiceL2Status", "l2-1", service="site", node="lab")
    run.lose(0.0, 4.7, "connect_timeout", took=3.0)
    run.lose(16.0, 17.0, "connect_timeout", every=7, took=3.0, port=30010)
    run.lose(0.0, 6.0, "read_timeout", kind="reused", every=2, took=5.0)
    run.play["predicted_s"] = {"address": 3.0, "endpoints": 4.5, "capacity": 11.9, "stale_flows": 60.0}
    node = {"node": "lab-m02"}
    run.marks = [
        *(mark for mark in run.marks if mark[1] not in {"cordoned", "drained"}),
        (1.0, "operator_called"),
        (4.4, "operator_fenced", node | {"killed": "true"}),
        (4.6, "operator_marked", node),
        (5.9, "operator_pods_deleted", node),
        (6.1, "operator_done", node),
    ]
    directory: Path = run.write()
    command.write(directory)
    return directory / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_a_report_of_100_000_requests(size: str, scheme: str, big: Path, browser: Browser) -> None:
    seen = opened(browser, big.as_uri(), SIZES[size], color_scheme=scheme)
    page = seen.page
    assert seen.wrong == []
    # One file: nothing else is asked for, from the network or the disk.
    assert [url for url in seen.asked_for if not url.startswith("data:")] == [big.as_uri()]
    assert 0 < seen.busy_s <= 2.0
    assert page.locator(".lead").inner_text().startswith("Draining lab-m02, which announced the address,")
    assert page.locator("figure:visible svg").count() == 1
    ground = page.evaluate(LIGHTNESS)
    assert max(ground) < 60 if scheme == "dark" else min(ground) > 200
    assert too_pale(page, ".cause", "td") == {}
    page.close()


def test_a_report_on_paper(big: Path, browser: Browser) -> None:
    # Whoever reads by night prints on white all the same, and the wide drawing: paper is no phone.
    seen = opened(browser, big.as_uri(), A4, color_scheme="dark")
    page = seen.page
    assert max(page.evaluate(LIGHTNESS)) < 60
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(CUT_OFF) == []
    assert min(page.evaluate(LIGHTNESS)) > 200
    assert page.locator("figure.wide svg").is_visible()
    assert not page.locator("figure.narrow svg").is_visible()
    assert too_pale(page, ".cause", "td") == {}
    page.close()


@pytest.mark.parametrize("size", SIZES)
def test_a_report_without_requests(size: str, empty: Path, browser: Browser) -> None:
    seen = opened(browser, empty.as_uri(), SIZES[size])
    assert seen.wrong == []
    assert seen.page.locator(".badge").inner_text() == "Aborted"
    assert seen.page.locator("svg").count() == 0
    assert too_pale(seen.page) == {}
    seen.page.close()


@pytest.mark.parametrize("look", ["light", "dark", "print"])
def test_every_verdict_can_be_read(look: str, judged: tuple[str, Path], browser: Browser) -> None:
    verdict, path = judged
    seen = opened(browser, path.as_uri(), A4, color_scheme="light" if look == "print" else look)
    if look == "print":
        seen.page.emulate_media(media="print")
    assert seen.wrong + seen.page.evaluate(CUT_OFF) == []
    assert seen.page.locator(".badge").inner_text() == verdict
    assert too_pale(seen.page) == {}
    seen.page.close()


@pytest.mark.parametrize("size", SIZES)
def test_a_report_of_a_sudden_loss(size: str, sudden: Path, browser: Browser) -> None:
    seen = opened(browser, sudden.as_uri(), SIZES[size])
    assert seen.wrong == []
    table = seen.page.locator("section", has_text="The clocks of the recovery").locator("table")
    assert table.locator("th").all_inner_texts() == ["Clock", "Measured", "Predicted"]
    rows = [row.locator("td") for row in table.locator("tbody tr").all()]
    texts = [[text.replace("\u00a0", " ") for text in row.all_inner_texts()] for row in rows]
    assert [text for text in texts if len(text) == 3] == [
        ["another node announces the address", "4.70 s", "3.00 s"],
        ["no endpoint on the node is left", "6.00 s", "4.50 s"],
        ["all replicas are ready again", "12.0 s", "11.9 s"],
        ["the last stale connection failed", "17.0 s", "60.0 s"],
        ["the operator's own time, from the call on", "5.10 s", "\u2013"],
    ]
    # One beside the other, on a phone as well, and below it why they differ: not so where they do not.
    for row in (row for row in rows if row.count() == 3):
        measured, predicted = row.nth(1).bounding_box(), row.nth(2).bounding_box()
        assert measured is not None
        assert predicted is not None
        assert measured["y"] == predicted["y"]
        assert measured["x"] + measured["width"] <= predicted["x"]
    assert [len(text) for text in texts] == [3, 1, 3, 1, 3, 3, 1, 3]
    assert texts[1][0].startswith("the operator was called at +1.0 s, fenced the node at +4.4 s, ")
    assert too_pale(seen.page) == {}
    seen.page.close()


@pytest.mark.parametrize(("size", "abreast"), [("phone", 2), ("desktop", 4)])
def test_the_head_draws_the_moments_side_by_side(
    size: str, abreast: int, sudden: Path, browser: Browser
) -> None:
    seen = opened(browser, sudden.as_uri(), SIZES[size])
    page = seen.page
    assert seen.wrong == []
    titles = page.locator(".moment h3").all_inner_texts()
    assert [title.split("\u2212")[0].split("+")[0].strip() for title in titles] == [
        "Before", "Struck", "Endpoints clean", "Afterwards",
    ]  # fmt: skip
    # Each node is at the same height in all that stand side by side; beneath is what there was before.
    tops = [
        [round(node.bounding_box()["y"]) for node in moment.locator(".node").all()]  # type: ignore[index]
        for moment in page.locator(".moment").all()
    ]
    assert [len(of) for of in tops] == [3] * 4
    assert len({tuple(of) for of in tops}) == 4 / abreast
    figures = page.locator("dl.figures").bounding_box()
    assert figures is not None
    assert max(max(of) for of in tops) < figures["y"]
    # What is lost is told by its sign and in words, not by a colour alone.
    struck = page.locator(".moment", has_text="Struck")
    assert "\u2715" in struck.locator(".node.lost .lost-here").inner_text()
    assert struck.locator(".node.lost .tag").all_inner_texts() == [
        "\u2691 announces the address",
        "\u2715 killed",
    ]
    page.close()


def test_how_it_was_measured_opens_by_the_keyboard(empty: Path, browser: Browser) -> None:
    seen = opened(browser, empty.as_uri(), SIZES["desktop"])
    summary, told = seen.page.locator("summary"), seen.page.locator("details p").first
    # There is nothing else on the page to reach.
    seen.page.keyboard.press("Tab")
    assert summary.evaluate("element => element === document.activeElement")
    assert summary.evaluate("element => getComputedStyle(element).outlineStyle") != "none"
    assert told.is_visible()
    for visible in (False, True):
        seen.page.keyboard.press("Enter")
        assert told.is_visible() is visible
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
    seen = opened(browser, path.as_uri(), SIZES["phone"])
    assert found in seen.wrong
    seen.page.close()
