"""The live page, its replay and the file of one in a browser: what is drawn, when, and for whom."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from failover_lab.live import replay
from failover_lab.live.feed import Feed
from failover_lab.live.server import EVERY_S, Server, listener
from failover_lab.report import command
from failover_lab.run import instants
from failover_lab.run.layout import Run

from .conftest import CUT_OFF, LIGHTNESS, opened
from .test_report_page import made_up

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZES = {
    "phone": {"width": 390, "height": 844},
    "desk": {"width": 1440, "height": 900},
    "hall": {"width": 1920, "height": 1080},
}
# Which findings of axe are none to live with.
GRAVE = {"serious", "critical"}
# Requests were lost, and none was to be.
HEADING = "Not passed"
PREDICTED = {"address": 5.5, "endpoints": 4.8, "capacity": 11.9, "stale_flows": None}


def killed(directory: Path) -> Any:
    """A node dies, and its work is taken over."""
    run = made_up(directory)
    run.observed_drain()
    run.changes = [change for change in run.changes if change["kind"] != "EndpointSlice" and change["at"] < 0]
    run.observed_kill()
    run.change(4.7, "ServiceL2Status", "l2-1", service="site", node="lab")
    for pod, node, made in (("site-x", "lab", 6.1), ("site-y", "lab-m03", 6.2)):
        run.change(made, "Pod", pod, "ADDED", uid=f"uid-{pod[-1]}", node=node, ready=False)
        run.change(12.0, "Pod", pod, uid=f"uid-{pod[-1]}", node=node, ready=True)
    run.play["predicted_s"] = PREDICTED
    run.marks = [(-2.0, "steady_before"), (0.0, "fault_begin"), (0.0, "injected"), (20.0, "returned"),
                 (22.0, "healed"), (36.0, "steady_after")]  # fmt: skip
    run.lose(0.0, 4.7, "connect_timeout", took=3.0)
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is over, with its report."""
    directory: Path = killed(tmp_path_factory.mktemp("finished")).write()
    command.write(directory)
    return directory


@pytest.fixture(scope="module")
def file(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as one file."""
    path = tmp_path_factory.mktemp("file") / "kill.html"
    path.write_text(replay.export(replay.film(finished)), encoding="utf-8")
    return path


class Growing:
    """A run that goes on: its folder, which a test writes to, and its page."""

    def __init__(self, directory: Path) -> None:
        whole = Run(killed(directory / "whole").write())
        self.run = Run(directory / "run")
        self.run.directory.mkdir()
        shutil.copy(whole.facts, self.run.facts)
        first = [line for line in whole.events.read_text().splitlines(keepends=True) if '"LISTED"' in line]
        self.run.events.write_text("".join(first))
        self.feed = Feed(self.run.directory)
        self.url = ""
        self._over = threading.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._up.wait(20)

    async def _serve(self) -> None:
        server = Server(listener("127.0.0.1", 0), "127.0.0.1", self.feed.shown, self.run.page)
        runner = await server.start()
        self.url = server.url
        self._up.set()
        while not self._over.is_set():
            frame = self.feed.look()
            if frame is not None:
                server.push(frame)
            await asyncio.sleep(EVERY_S)
        server.end()
        await runner.cleanup()

    def says(self, kind: str, name: str, **facts: Any) -> float:
        """The cluster says something; gives back when."""
        at = time.time()
        entry = {"at": instants.text(at), "kind": kind, "change": "MODIFIED", "name": name, **facts}
        with self.run.events.open("a") as events:
            events.write(json.dumps(entry) + "\n")
        return at

    def end(self) -> None:
        self._over.set()
        self._thread.join(20)


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    run = Growing(tmp_path)
    yield run
    run.end()


@contextmanager
def page_at(browser: Browser, url: str, size: str = "desk", **settings: Any) -> Iterator[Page]:
    seen = opened(browser, url, SIZES[size], **settings)
    seen.page.wait_for_function("window.failoverLab?.player.model")
    yield seen.page
    assert [wrong for wrong in seen.wrong if wrong.startswith(("console", "error"))] == []
    seen.page.close()


def stand_at(page: Page, second: float) -> None:
    """Stop at so many seconds after the fault, and let it be drawn."""
    page.evaluate(
        "at => { const {player} = failoverLab; player.following = player.playing = false;"
        " player.seek(Infinity); player.seek(player.model.fault + at); }",
        second,
    )
    page.wait_for_timeout(600)


def tags(page: Page, node: str) -> list[str]:
    return page.locator(f'[data-node="{node}"] .tag').all_inner_texts()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_a_replay_shows_each_step(
    size: str, scheme: str, file: Path, finished: Path, browser: Browser
) -> None:
    failed = json.loads((finished / "report.json").read_text())["requests"]["failed"]
    with page_at(browser, file.as_uri(), size, color_scheme=scheme) as page:
        ground = page.evaluate(LIGHTNESS)
        assert max(ground) < 60 if scheme == "dark" else min(ground) > 200
        stand_at(page, -5)
        assert tags(page, "lab-m02") == ["⚑ announces the address"]
        assert page.locator(
            "#ahead"
        ).inner_text() == "Waiting for a steady state, before anything is broken: 10 s of it".replace(
            " s of", "\u00a0s of"
        )
        stand_at(page, 5.5)
        assert tags(page, "lab-m02") == ["✕ killed", "✕ NotReady"]
        assert tags(page, "lab") == ["⚑ announces the address"]
        assert "its pods to leave the list" in page.locator("#ahead").inner_text()
        assert page.locator('[data-clock="address"] .took').inner_text().startswith("✓ 4.7")
        assert page.locator('[data-clock="endpoints"]').get_attribute("class") == "runs"
        stand_at(page, 8)
        assert page.locator('[data-pod="site-x"]').get_attribute("data-state") == "starting"
        assert page.locator("#failed").inner_text() == str(failed)
        assert page.evaluate(CUT_OFF) == []
        # Backwards it is as it was.
        stand_at(page, 1)
        assert tags(page, "lab-m02") == ["⚑ announces the address", "✕ killed"]
        assert page.locator('[data-pod="site-x"]').count() == 0


def test_counts_are_the_reports(file: Path, finished: Path, browser: Browser) -> None:
    requests = json.loads((finished / "report.json").read_text())["requests"]
    with page_at(browser, file.as_uri()) as page:
        page.keyboard.press("End")
        page.wait_for_timeout(500)
        figures = [
            page.locator(f"#{name}").inner_text().replace("\u202f", "") for name in ("answered", "failed")
        ]
        assert list(map(int, figures)) == [requests["total"] - requests["failed"], requests["failed"]]
        assert page.locator("#badge").inner_text() == HEADING


def test_a_file_opens_at_once_and_asks_nobody(file: Path, browser: Browser) -> None:
    seen = opened(browser, file.as_uri(), SIZES["desk"])
    assert seen.page.locator(".node").count() == 3
    assert 0 < seen.busy_s <= 2.0
    assert [url for url in seen.asked_for if not url.startswith("data:")] == [file.as_uri()]
    seen.page.close()


def test_it_is_played_by_keyboard(file: Path, browser: Browser) -> None:
    with page_at(browser, file.as_uri()) as page:

        def at() -> float:
            return float(page.evaluate("failoverLab.player.t"))

        assert page.evaluate("failoverLab.player.playing")
        page.keyboard.press("Space")
        assert not page.evaluate("failoverLab.player.playing")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        assert 4.5 < at() < 8
        page.keyboard.press("Home")
        assert at() == 0
        page.locator("#slider").focus()
        page.keyboard.press("End")
        assert at() > 55
        page.locator("#speed").select_option("-1")
        page.wait_for_timeout(700)
        assert at() < 60


def test_less_motion_means_none(file: Path, browser: Browser) -> None:
    with page_at(browser, file.as_uri(), reduced_motion="reduce") as page:
        page.evaluate("failoverLab.player.seek(10); failoverLab.player.playing = true")
        page.wait_for_timeout(800)
        # No dot was ever drawn; the lines say where requests go.
        empty = (
            "() => !document.querySelector('#flow').getContext('2d')"
            ".getImageData(0, 0, 900, 400).data.some(value => value)"
        )
        assert page.evaluate(empty)
        assert page.locator(".link").count() >= 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desk"])
def test_axe_finds_nothing_grave(
    size: str, scheme: str, file: Path, finished: Path, browser: Browser
) -> None:
    for path in (file, finished / "report.html"):
        seen = opened(browser, path.as_uri(), SIZES[size], color_scheme=scheme)
        if path == file:
            seen.page.wait_for_function("window.failoverLab?.player.model")
            stand_at(seen.page, 6)
        found = Axe().run(seen.page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in GRAVE] == []
        seen.page.close()


def test_an_event_is_drawn_as_it_happens(growing: Growing, browser: Browser) -> None:
    with page_at(browser, growing.url) as page:
        assert page.locator("#badge").inner_text() == "Live"
        growing.says("Node", "lab-m02", ready="Unknown", unschedulable=True)
        page.locator('[data-node="lab-m02"] .tag', has_text="NotReady").wait_for(timeout=5000)
        assert "cordoned" in " ".join(tags(page, "lab-m02"))
        page.wait_for_function("failoverLab.drawn.length")
        # A machine that is busy with other tests draws later; on a cluster of its own it is 0.3 s.
        assert min(page.evaluate("failoverLab.drawn.map(one => one.s)")) < 2


def test_whoever_comes_late_or_again_sees_all_of_it(growing: Growing, browser: Browser) -> None:
    with page_at(browser, growing.url) as first:
        growing.says("Node", "lab-m03", ready="False")
        first.locator('[data-node="lab-m03"] .tag', has_text="NotReady").wait_for(timeout=5000)
        with page_at(browser, growing.url) as late:
            assert tags(late, "lab-m03") == ["✕ NotReady"]
            assert late.locator("#story li").all_inner_texts() == first.locator("#story li").all_inner_texts()
        first.reload()
        first.wait_for_function("window.failoverLab?.player.model")
        first.locator('[data-node="lab-m03"] .tag', has_text="NotReady").wait_for(timeout=5000)


def test_at_the_end_it_becomes_the_reports_page(growing: Growing, finished: Path, browser: Browser) -> None:
    with page_at(browser, growing.url) as page:
        whole = Run(finished)
        for name in ("events", "marks"):
            shutil.copy(getattr(whole, name), getattr(growing.run, name))
        for probe in ("records", "about"):
            shutil.copy(getattr(whole.probe(), probe), getattr(growing.run.probe(), probe))
        shutil.copy(whole.report, growing.run.report)
        shutil.copy(whole.page, growing.run.page)
        page.locator("#report iframe").wait_for(timeout=20_000)
        inner: Callable[[], str] = page.frame_locator("#report iframe").locator(".lead").inner_text
        assert inner().startswith("Killing lab-m02")
        assert page.locator("#title").inner_text() == inner()
        # The server is gone a moment later, and the page stays.
        growing.end()
        page.wait_for_timeout(500)
        assert page.locator("#badge").inner_text() == HEADING
