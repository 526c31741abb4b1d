"""The pages of the project, and what they tell a reader to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page
    for page in [*REPO.glob("*.md"), *REPO.glob("docs/**/*.md"), *REPO.glob("roles/*/README.md")]
    # Made from the argument specs; another test compares them.
    if page.parent != REPO / "docs" / "roles"
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, indented ones as well."""
    found = re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(language, re.sub(rf"^{indent}", "", inner, flags=re.MULTILINE))
        for indent, language, inner in found
    ]


def spans(text: str) -> list[str]:
    """The words of code within the prose."""
    prose = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [span.replace("\n", " ") for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]


def commands_of(line: str) -> Iterator[list[str]]:
    """The commands of a shell line, one after the other, without assignments before them and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    command: list[str] = []
    skip = False
    for word in lexer:
        if set(word) <= set("<>"):
            skip = True
        elif set(word) <= set("&|;"):
            yield command
            command = []
        elif skip:
            skip = False
        elif command or not re.fullmatch(r"[A-Za-z_]+=.*", word):
            command.append(word)
    if command:
        yield command


def typed(text: str) -> list[str]:
    """What is typed in a block: its lines after the prompt, those that go on in another put together."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ").partition(" #")[0] for line in lines if line.startswith("$ ")]


def all_typed() -> list[tuple[Path, str]]:
    """Every line that some page tells a reader to type, and which page."""
    return [
        (page, line)
        for page in PAGES
        for block in blocks(page.read_text(encoding="utf-8"))
        if block.language == "console"
        for line in typed(block.text)
    ]
