"""README.md and README.es.md say the same: none is changed without the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ENGLISH, SPANISH = REPO / "README.md", REPO / "README.es.md"


def headings(text: str) -> list[int]:
    """The depth of each heading."""
    return [len(marks) for marks in re.findall(r"^(#+) ", without_blocks(text), re.MULTILINE)]


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """What stands in fenced blocks: commands without their comments, and what is printed; drawings aside."""
    found = re.findall(r"^```(console|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r" +#.*", "", inner) for _, inner in found if "┌" not in inner]


def tables(text: str) -> list[list[str]]:
    """The first cell of each row but the first two, table by table."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[line.split("|")[1].strip() for line in table.splitlines()[2:]] for table in found]


def marked(text: str) -> list[str]:
    """Every piece of code within the prose, in any order: a language puts its words in another one."""
    return sorted(re.findall(r"`[^`\n]+`", without_blocks(text)))


def targets(text: str) -> list[str]:
    """Where its links and pictures lead, but for those from one to the other."""
    both = re.findall(r"\]\(([^)]+)\)", without_blocks(text))
    return sorted(link for link in both if link not in {ENGLISH.name, SPANISH.name})


def figures(text: str) -> list[str]:
    """Every number in the prose, thousands written as one."""
    prose = re.sub(r"\]\([^)]+\)|`[^`]+`", "", without_blocks(text))
    return sorted(
        re.sub(r"(?<=\d)[,.](?=\d{3}\b)", "", number) for number in re.findall(r"\d[\d.,]*\b", prose)
    )


@pytest.mark.parametrize("part", [headings, blocks, tables, marked, targets, figures])
def test_both_have_the_same(part: object) -> None:
    assert callable(part)
    assert part(ENGLISH.read_text(encoding="utf-8")) == part(SPANISH.read_text(encoding="utf-8")), (
        "README.md and README.es.md differ: change both"
    )


def test_there_is_something_to_compare() -> None:
    text = ENGLISH.read_text(encoding="utf-8")
    assert headings(text)[:2] == [1, 2]
    assert len(blocks(text)) == 2
    assert len(tables(text)) == 3
    assert "`lab_profile`" in tables(text)[1]
    for part in (marked, targets, figures):
        assert len(part(text)) > 5


def test_each_leads_to_the_other_in_its_first_lines() -> None:
    for page, other in ((ENGLISH, SPANISH), (SPANISH, ENGLISH)):
        first = "".join(page.read_text(encoding="utf-8").splitlines()[:4])
        assert f"({other.name})" in first
