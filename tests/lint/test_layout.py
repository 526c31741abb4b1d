"""The names of the files of a run, and of those that a lab keeps, are written down in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover_lab.run.layout import Lab, Probe, Run

REPO = Path(__file__).resolve().parents[2]
HOME = REPO / "src/failover_lab/run/layout.py"
NAMES = {*Run.names().values(), *Probe.names().values(), *Lab.names().values()}
#: These are words besides: only with a slash before them are they files.
WORDS = {"stop", "probes"}
ONE = "|".join(map(re.escape, sorted(NAMES - WORDS)))
OTHER = "|".join(sorted(WORDS))
#: As the last part of a path.
PATHS = re.compile(rf"(?:.*[/}}])?(?:{ONE})|.*/(?:{OTHER})")
IN_YAML = re.compile(rf"""['"/](?:{ONE})['"\s]|/(?:{OTHER})['"\s]""")
#: How a lab's state is found, wherever it is not told.
FORMULA = re.compile(r"""\.local/state|['"]\.local['"]""")


def literals(source: str) -> Iterator[str]:
    """The texts of a program but its descriptions; of an f-string each piece."""
    tree = ast.parse(source)
    described = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


def programs() -> list[Path]:
    return [
        path
        for folder in ("src", "collections", "playbooks", "scripts")
        for path in sorted((REPO / folder).rglob("*.py"))
        if path != HOME
    ]


def plays() -> list[Path]:
    return [
        path
        for folder in ("roles", "playbooks")
        for path in sorted((REPO / folder).rglob("*.yml"))
        # What a reader is told of them.
        if path.name != "argument_specs.yml"
    ]


def without_comments(text: str) -> str:
    return re.sub(r"^\s*#.*$|\s#\s.*$", "", text, flags=re.MULTILINE)


def test_no_other_program_names_them() -> None:
    found = [
        f"{path.relative_to(REPO)}: {text}"
        for path in programs()
        for text in literals(path.read_text(encoding="utf-8"))
        if PATHS.fullmatch(text)
    ]
    assert found == []


def test_no_play_names_them() -> None:
    found = [
        f"{path.relative_to(REPO)}: {match[0]}"
        for path in plays()
        for match in IN_YAML.finditer(without_comments(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_where_a_lab_keeps_its_state_is_said_once() -> None:
    found = [
        str(path.relative_to(REPO))
        for path in [HOME, *programs(), *plays()]
        if FORMULA.search(without_comments(path.read_text(encoding="utf-8")))
        and not re.search(r"^DOCUMENTATION|^EXAMPLES", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert found == [str(HOME.relative_to(REPO))]


@pytest.mark.parametrize("text", ["requests.csv.gz", "/run.json", "x/stop", "}/report.json"])
def test_the_search_finds_them(text: str) -> None:
    assert [found for found in literals(f"x = {text!r}") if PATHS.fullmatch(found)] == [text]
    assert IN_YAML.search(f"""path: "{{{{ fault_run_dir }}}}/{text.rpartition("/")[2]}"\n""")
    assert IN_YAML.search(f"argv: ['--x=' ~ fault_run_dir ~ '/{text.rpartition('/')[2]}']")


def test_every_file_of_a_run_is_in_the_table() -> None:
    """What a reader finds in the folder of a run, docs/README.md explains."""
    page = (REPO / "docs/README.md").read_text(encoding="utf-8")
    table = page.partition("## Reference: files that a run leaves")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z.]+)/?`", table))
    assert named >= {*Run.names().values(), *Probe.names().values()}
