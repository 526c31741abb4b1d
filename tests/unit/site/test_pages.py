"""The site as files: links lead somewhere, pages name their pod, nothing needs what the CSP forbids."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

SITE = Path(__file__).resolve().parents[3] / "site"
HTML = SITE / "html"
PAGES = sorted(path.name for path in HTML.glob("*.html"))
VOID = {"br", "hr", "img", "input", "link", "meta"}


def whole(page: str) -> str:
    """A page with its parts, as the server puts it together."""
    text = (HTML / page).read_text()
    return re.sub(
        r'<!--# include virtual="(/parts/[a-z]+\.html)" -->',
        lambda match: (HTML / match[1].lstrip("/")).read_text(),
        text,
    )


class Reader(HTMLParser):
    """Collects what the tests ask for, and complains of tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        # A directive within a tag is no comment to a parser of HTML.
        self.feed(re.sub(r"(?<=\")<!--#.*?-->(?=>)|<!--#.*?-->", "", text))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag, line {self.getpos()[0]}"

    def all(self, tag: str, attribute: str) -> list[str]:
        return [str(attrs[attribute]) for name, attrs in self.tags if name == tag and attribute in attrs]


def served(path: str) -> Path:
    """The file that answers to a path, by the server's rules."""
    plain = path.split("#", maxsplit=1)[0].lstrip("/") or "index.html"
    return next((found for found in (HTML / plain, HTML / f"{plain}.html") if found.is_file()), HTML / plain)


def test_there_is_something_to_show() -> None:
    assert len(PAGES) >= 6


@pytest.mark.parametrize("page", PAGES)
class TestPage:
    def test_tags_are_closed_and_ids_are_one(self, page: str) -> None:
        read = Reader(whole(page))
        assert read.open == []
        ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
        assert len(ids) == len(set(ids))

    def test_it_names_pod_and_node_without_javascript(self, page: str) -> None:
        text = whole(page)
        for name in ("site_pod", "site_node"):
            assert f'<!--# echo var="{name}" -->' in text

    def test_links_lead_somewhere(self, page: str) -> None:
        read = Reader(whole(page))
        paths = [
            *read.all("a", "href"),
            *read.all("link", "href"),
            *read.all("img", "src"),
            *read.all("script", "src"),
        ]
        assert paths
        for path in paths:
            assert path.startswith(("/", "#")), f"{path} leaves the site"
            if path.startswith("/"):
                assert served(path).is_file(), path

    def test_nothing_that_the_security_policy_forbids(self, page: str) -> None:
        for tag, attrs in Reader(whole(page)).tags:
            assert tag != "style"
            assert tag != "script" or "src" in attrs
            assert "style" not in attrs
            assert not [name for name in attrs if name.startswith("on")]

    def test_it_can_be_read_aloud(self, page: str) -> None:
        read = Reader(whole(page))
        assert read.all("html", "lang") == ["en"]
        assert [tag for tag, _ in read.tags].count("h1") == 1
        assert [tag for tag, _ in read.tags].count("title") >= 1
        assert len(read.all("img", "alt")) == len(read.all("img", "src"))
        for tag, attrs in read.tags:
            if tag == "svg":
                assert attrs.get("aria-labelledby")


def entrypoint(**env: str) -> subprocess.CompletedProcess[str]:
    """Run the entrypoint with an environment that it refuses, before it writes or starts anything."""
    return subprocess.run(
        ["sh", str(SITE / "entrypoint.sh")], env=env, capture_output=True, text=True, check=False, timeout=5
    )


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"POD_NAME": 'a"; return 200 "'}, "POD_NAME is"),
        ({"POD_NAME": "a", "NODE_NAME": "<b>"}, "NODE_NAME is"),
        ({"POD_NAME": "a", "NODE_NAME": "$host"}, "NODE_NAME is"),
        ({"POD_NAME": "a", "IMAGE": "two\nlines"}, "IMAGE is"),
        ({"POD_NAME": "a", "IMAGE": "i" * 513}, "at most 512"),
        ({"POD_NAME": "a", "KEEPALIVE_S": "0"}, "whole seconds"),
        ({"POD_NAME": "a", "KEEPALIVE_S": "3;"}, "whole seconds"),
        ({"POD_NAME": "a", "KEEPALIVE_S": "100000"}, "whole seconds"),
    ],
)
def test_odd_values_never_reach_the_configuration(env: dict[str, Any], said: str) -> None:
    answer = entrypoint(**env)
    assert answer.returncode == 64
    assert answer.stderr.startswith("entrypoint: ")
    assert said in answer.stderr


def test_as_much_is_taken_as_browsers_send() -> None:
    # Of the address and of the cookies, each in one line: 32 KB, and what belongs to the line besides.
    found = re.search(
        r"^\s*large_client_header_buffers (\d+) (\d+)k;", (SITE / "nginx.conf").read_text(), re.MULTILINE
    )
    assert found
    assert int(found[1]) >= 3
    assert int(found[2]) * 1024 >= 32 * 1024 + len("GET  HTTP/1.1\r\n") + len("Cookie: \r\n")
