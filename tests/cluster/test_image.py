"""The site's image goes by its content: another page is another image, and the old one is not made again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import ROOT

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly, pytest.mark.shares]

SENTENCE = "This page was changed by a test."
BUILD = "TASK [image : Push | Build"


def image(lab: Lab) -> str:
    """What the Deployment runs."""
    spec = lab.get("deployment", "site", "--namespace=site")["spec"]["template"]["spec"]
    return str(spec["containers"][0]["image"])


def about(lab: Lab) -> str:
    """The page, from a pod that stays: one that was told to go serves on for a moment."""
    deadline = time.monotonic() + 20
    while True:
        body, headers = lab.ask("/about")
        if headers["x-served-by-pod"] in lab.pods():
            return body
        assert time.monotonic() < deadline, "old pods still answer after 20 s"


def test_another_page_is_another_image_and_back_it_is_the_old_one(lab: Lab, tmp_path: Path) -> None:
    before = image(lab)
    site = tmp_path / "site"
    shutil.copytree(ROOT / "site", site)
    page = site / "html" / "about.html"
    page.write_text(page.read_text().replace("</main>", f"<p>{SENTENCE}</p></main>"))
    assert SENTENCE in page.read_text()
    try:
        played = lab.play("setup", "-e", f"image_context={site}")
        assert played.returncode == 0, played.output[-4000:]
        assert BUILD in played.output
        assert image(lab).partition("@")[0] == before.partition("@")[0]
        assert image(lab) != before
        assert SENTENCE in about(lab)
    finally:
        back = lab.play("setup")
    assert back.returncode == 0, back.output[-4000:]
    assert BUILD not in back.output
    assert image(lab) == before
    assert SENTENCE not in about(lab)
