"""What the pages point to is there, down to the heading, and every role's page can be found."""

from __future__ import annotations

import functools
import html
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

REPO = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1[`~]* *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
INLINE = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'(][^)]*)?\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
ATTRIBUTE = re.compile(r"<[a-z][^>]*\s(?:href|src)=[\"']([^\"']+)")
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
ANCHOR = re.compile(r"<[a-z][^>]*\s(?:id|name)=[\"']([^\"']+)")


@functools.cache
def listed() -> set[Path]:
    """Every file that git has or would add, and the folders that they are in."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {path for name in names.split("\0") if name and (path := REPO / name).exists()}
    return found | {parent for path in found for parent in path.parents if parent.is_relative_to(REPO)}


def pages() -> list[Path]:
    return sorted(path for path in listed() if path.suffix == ".md" and path.is_file())


def links(text: str) -> Iterator[str]:
    """Wherever a page leads, but for what it only shows."""
    text = COMMENT.sub("", CODE.sub("`", FENCE.sub("", text)))
    for form in (INLINE, REFERENCE, ATTRIBUTE):
        yield from (html.unescape(link) for link in form.findall(text))


def anchors(text: str) -> set[str]:
    """What a page can be entered by, as GitHub names its headings."""
    text = COMMENT.sub("", FENCE.sub("", text))
    found = set(ANCHOR.findall(text))
    times: dict[str, int] = {}
    for heading in HEADING.findall(text):
        # Of a link in a heading only its words count.
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = times.get(slug, 0)
        times[slug] = number + 1
        found.add(f"{slug}-{number}" if number else slug)
    return found


def broken(page: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in links(text):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        if target not in listed():
            found.append(f"{link}: no such file in the repository")
        elif anchor and target.suffix == ".md":
            there = text if target == page else target.read_text(encoding="utf-8")
            if anchor not in anchors(there):
                found.append(f"{link}: no such heading")
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPO)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page, page.read_text(encoding="utf-8")) == []


def test_the_index_names_every_page() -> None:
    docs = REPO / "docs"
    found = {
        (docs / link.partition("#")[0]).resolve() for link in links((docs / "README.md").read_text("utf-8"))
    }
    assert [str(page) for page in pages() if docs in page.parents[:2] and page not in found] == [
        str(docs / "README.md")
    ]


def test_the_index_names_every_role() -> None:
    found = set(links((REPO / "docs" / "README.md").read_text(encoding="utf-8")))
    for role in REPO.glob("roles/*/meta/argument_specs.yml"):
        name = role.parents[1].name
        assert f"roles/{name}.md" in found
        assert f"../roles/{name}/README.md" in found


@pytest.mark.parametrize(
    "link",
    [
        "[a](roles/nowhere.md)",
        "![a](nowhere.svg)",
        "[a]: nowhere.md",
        '<img src="nowhere.png">',
        "[a](#nothing-like-that)",
        "[a](roles/site.md#nothing-like-that)",
        '[a](roles/nowhere.md "with a title")',
        "[a](../reports/latest)",
    ],
)
def test_a_link_that_leads_nowhere_is_found(link: str) -> None:
    assert len(broken(REPO / "docs" / "README.md", f"# One\n\n{link}\n")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "# One `two`: *three*\n[a](#one-two-three)",
        "# A\n# A\n[a](#a-1)",
        "```sh\n[a](nowhere.md)\n```",
        "Say `[a](nowhere.md)`.",
        "<!-- [a](nowhere.md) -->",
        "[a](https://example.org/#x) [b](mailto:a@example.org)",
        "[a](roles/site.md#tasks_from-serve) [b](../roles)",
        '<a id="here"></a>[a](#here)',
    ],
)
def test_a_link_that_leads_somewhere_is_let_be(text: str) -> None:
    assert broken(REPO / "docs" / "README.md", text) == []
