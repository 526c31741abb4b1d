"""What the pages point to is there, and every role's page can be found."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


def pages() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := REPO / name).is_file()]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPO)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [
        link for link in links if not re.match(r"[a-z]+:", link) and not (page.parent / link).exists()
    ] == []


def test_the_index_names_every_role() -> None:
    links = LINK.findall((REPO / "docs" / "README.md").read_text(encoding="utf-8"))
    for role in REPO.glob("roles/*/meta/argument_specs.yml"):
        name = role.parents[1].name
        assert f"roles/{name}.md" in links
        assert f"../roles/{name}/README.md" in links
