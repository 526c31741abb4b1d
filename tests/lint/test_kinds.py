"""A fault kind has one home, a row and a folder: nothing else lists kinds, and nothing lacks one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.lint.test_house_rules import tracked

from failover_lab.faults import kinds

REPO = Path(__file__).resolve().parents[2]
TABLE = "src/failover_lab/faults/kinds.yml"
FOLDER = REPO / "roles/fault/tasks/kinds"
# Pages, tests, what is made from the table, and what is no text of ours.
ELSEWHERE = re.compile(
    r"(docs|tests|bench|molecule|reports)/|(.*/)?(README(\.es)?|CHANGELOG|CONTRIBUTING)\.md$|roles/fault/tasks/kinds/"
    rf"|{re.escape(TABLE)}$|.*\.(lock|sum|svg|png)$"
)
# Words that mean something else as well: they name a kind beside the word kind, or beside another kind.
COMMON = {"drain", "kill", "kubelet", "pod", "loss", "slow", "process", "sandbox", "reboot", "rollout"}
# What may stand between two names of a list.
_BETWEEN = r"[\"'`)\]]*(, ?(and |or )?| and | or )(V\(|[\"'`(\[])*"


def named(text: str, names: list[str]) -> set[str]:
    """The kinds that a text names."""
    word = {name: rf"(?<![\w./-]){re.escape(name)}(?![\w-])" for name in names}
    found = {name for name in names if name not in COMMON and re.search(word[name], text)}
    for name in COMMON & set(names):
        others = "|".join(re.escape(other) for other in names if other != name)
        forms = (
            # kind == "pod", fault_kind=pod, kind | default('pod'), kind in ("pod", …
            rf"(?<![a-zA-Z])kinds?\b[^\n]{{0,60}}?(=|:|\bin\b|\bnot\b|default\()[ \"'({{\[]*{word[name]}",
            # A list that names another too: "kill", "freeze"; drain or pod; V(kill), V(freeze).
            rf"{word[name]}{_BETWEEN}({others})",
            rf"({others}){_BETWEEN}{word[name]}",
            # A key beside another's.
            rf"(?m)^\s*[\"']?{name}[\"']?: .*\n\s*[\"']?({others})[\"']?: ",
            rf"(?m)^\s*[\"']?({others})[\"']?: .*\n\s*[\"']?{name}[\"']?: ",
        )
        if any(re.search(form, text) for form in forms):
            found.add(name)
    return found


def test_no_other_file_lists_kinds() -> None:
    found = {}
    for path in tracked():
        name = str(path.relative_to(REPO))
        if ELSEWHERE.match(name):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if len(told := named(text, kinds.names())) > 1:
            found[name] = sorted(told)
    assert found == {}, f"ask {TABLE} instead"


@pytest.mark.parametrize(
    "text",
    [
        'SUDDEN = ("kill", "kubelet")',
        "choices: [drain, pod]",
        "when: kind not in ['drain', 'pod']",
        "this file freezes, and does not partition: freeze",
        '"drain": "Draining",\n    "kill": "Killing",',
        "choose drain or pod.",
        "fault_kind == 'drain' or fault_kind == 'pod'",
        'if kind == "kill":\n    pass\nif kind != "pod":',
        "V(kill) ends it, V(freeze), V(kubelet) stop",
        "when: fault_kind in ['drain']\nor fault_kind=pod",
        "another one, and freeze",
    ],
)
def test_the_search_finds_lists(text: str) -> None:
    names = [*kinds.names(), "another"]
    assert len(named(text, names)) > 1


@pytest.mark.parametrize(
    "text",
    [
        'row["pod"] == 1 and row["kubelet"] after docker kill',
        "a pod's kubelet",
        "docker kill -s KILL; the kubelet drains",
        "kind: Pod\nname: kubelet",
        "roles/fault/tasks/kinds/drain/heal.yml and the kubelet",
        "fault_partition_direction: freezes",
    ],
)
def test_other_meanings_are_left_alone(text: str) -> None:
    assert named(text, kinds.names()) == set()


def test_each_has_its_folder_and_each_folder_a_row() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(kinds.names())
    for name in kinds.names():
        files = {path.name for path in (FOLDER / name).iterdir()}
        wanted = {"inject.yml"} | ({"heal.yml"} if kinds.of(name).heals is not None else set())
        assert files == wanted, f"{name}: heals is {kinds.of(name).heals} in {TABLE}"


def test_the_settings_of_kinds_are_the_roles() -> None:
    role = yaml.safe_load((REPO / "roles/fault/defaults/main.yml").read_text(encoding="utf-8"))
    text = (REPO / "roles/fault/vars/main.yml").read_text(encoding="utf-8")
    for name in kinds.names():
        for setting in kinds.of(name).settings:
            assert setting in role, f"{name}: {setting} is no setting of the role fault"
            # Of other kinds it is refused, unless it is as it is anyway.
            usual = role[setting]
            same = f"== '{usual}'" if isinstance(usual, str) else f"| float == {usual}"
            assert f"{setting} {same} or '{setting}' in __fault_row.settings" in text


def rows(page: Path) -> list[str]:
    """The kinds that a page's table of them has."""
    text = page.read_text(encoding="utf-8")
    table = re.search(r"^\| `fault_kind` \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table, f"{page.name} has a table of kinds"
    return re.findall(r"^\| `(\w+)` \|", table[1], re.MULTILINE)


def test_the_pages_tell_of_each() -> None:
    assert rows(REPO / "roles/fault/README.md") == kinds.names()
    # Of what is evicted, everybody is told in time: nothing runs.
    runs = [name for name in kinds.names() if not kinds.of(name).evicts]
    assert rows(REPO / "docs/explanation/clocks.md") == runs
