"""The suite's own table: whole, true to the files, and shown where a contributor looks."""

from __future__ import annotations

from pathlib import Path

from tests.suite import PAGE, parts, table

REPO = Path(__file__).resolve().parents[2]
QUICK = ("",)


def test_every_test_is_in_one_part() -> None:
    told = {part.path for part in parts()}
    assert [path for path in told if not (REPO / path).exists()] == []
    files = {str(path.relative_to(REPO)) for path in REPO.glob("tests/**/test_*.py")}
    # The parts that ran beside tell of themselves.
    files -= {"tests/cluster/test_beside.py"}
    assert [
        file for file in files if not any(file == path or file.startswith(f"{path}/") for path in told)
    ] == []


def test_every_role_and_package_has_a_part_on_a_cluster_or_of_its_own() -> None:
    places = [place for part in parts() if part.touches != QUICK for place in part.touches]
    assert [place for place in places if not (REPO / place).exists()] == []
    wanted = [*REPO.glob("roles/*/"), *REPO.glob("src/failover_lab/*/"), *REPO.glob("playbooks/*.yml")]
    assert len(wanted) > 15
    named = [str(path.relative_to(REPO)) for path in wanted if path.name != "__pycache__"]
    assert [
        name for name in named if not any(name == place or name.startswith(f"{place}/") for place in places)
    ] == []


def test_the_contributors_page_has_the_table() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), "copy it: python -m tests.suite table"
