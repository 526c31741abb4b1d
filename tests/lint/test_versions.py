"""A pinned version stands in versions.yml, in what is made from it, and nowhere else."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from scripts import role_docs
from scripts.versions import home
from tests.pinned import PINS
from tests.role_variables import ROLES

REPO = Path(__file__).resolve().parents[2]
# Files that may hold a literal, and why.
EXCEPTIONS = {
    home.HOME: "the home",
    "*.lock": "a lock",
    "*/go.mod": "a lock",
    "*/go.sum": "a lock",
    "docs/roles/*.md": "made by `make docs`",
    "CHANGELOG.md": "what was then",
    "docs/frontier.*": "what was measured, and with which",
    "docs/published.*": "what was measured, and with which",
    "*.svg": "figures of a drawing",
    "tests/unit/report/old_run/*": "a run of then",
}
# Of one pin alone.
OWN_EXCEPTIONS = {
    "debian": {
        "roles/engine/*": "the machine's release, not the nodes'",
        "roles/toolchain/meta/main.yml": "the machine's release, not the nodes'",
        "tests/lint/test_linters.py": "a Dockerfile of nobody's",
        "tests/unit/host/test_engine_here.py": "the release of somebody's machine",
        "tests/unit/roles/test_teardown.py": "an image of an earlier lab",
    },
}
# A bound is no pin: `<3.0.0`, `>= 1.2.3`.
BOUND = re.compile(r"[<>]=? ?$")


def texts() -> dict[str, str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = {}
    for name in filter(None, listed.split("\0")):
        path = REPO / name
        if path.is_file() and not path.is_symlink():
            try:
                found[name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return found


TEXTS = texts()


def held(text: str, version: str) -> bool:
    # Most texts do not, which takes a pattern its time to find.
    return home.number_of(version) in text and any(
        not BOUND.search(text[max(0, found.start() - 3) : found.start()])
        for found in home.literal(version).finditer(text)
    )


def fits(name: str, patterns: dict[str, str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


@pytest.mark.parametrize("pin", PINS.values(), ids=lambda pin: pin.name)
def test_it_stands_nowhere_else(pin: home.Pin) -> None:
    allowed = EXCEPTIONS | OWN_EXCEPTIONS.get(pin.name, {})
    found = {name for name, text in TEXTS.items() if held(text, pin.version) and not fits(name, allowed)}
    assert found - set(pin.copies) == set(), f"read it in {home.HOME}, or say it without the number"
    assert set(pin.copies) - found == set(), f"a copy that {home.HOME} names does not hold it"


def test_every_exception_is_one() -> None:
    for patterns in (EXCEPTIONS, *OWN_EXCEPTIONS.values()):
        assert [pattern for pattern in patterns if not fnmatch.filter(TEXTS, pattern)] == []
    for name, patterns in OWN_EXCEPTIONS.items():
        useless = [
            pattern
            for pattern in patterns
            if not any(held(TEXTS[file], PINS[name].version) for file in fnmatch.filter(TEXTS, pattern))
        ]
        assert useless == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MetalLB 1.2.3, the lab's", True),
        ("metallb-v1.2.3.yaml", True),
        ("controller:v1.2.3", True),
        ("It is 1.2.3.", True),
        ("x==1.2.3", True),
        ("<1.2.3, >= 1.2.3", False),
        ("11.2.3 1.2.30 1.2.3.4", False),
    ],
)
def test_the_search_finds_them(text: str, found: bool) -> None:
    assert held(text, "v1.2.3") is found


@pytest.mark.parametrize("pin", [pin for pin in PINS.values() if pin.lock], ids=lambda pin: pin.name)
def test_the_lock_is_of_this_version(pin: home.Pin) -> None:
    if pin.module:
        text = (REPO / pin.lock / "go.mod").read_text(encoding="utf-8")
        assert re.findall(rf"\s{re.escape(pin.module)} (v\S+)", text) == [pin.version]
        assert f"\n{pin.module} {pin.version} h1:" in (REPO / pin.lock / "go.sum").read_text("utf-8")
    else:
        assert f"\n{pin.package}=={pin.version} " in (REPO / pin.lock).read_text("utf-8")


def test_every_module_that_is_built_is_pinned() -> None:
    rows = yaml.safe_load((ROLES / "toolchain" / "vars" / "main.yml").read_text("utf-8"))
    wanted = {
        row["name"]: f"{{{{ lookup('failover_lab.lab.version', '{row['name']}') }}}}"
        for row in rows["__toolchain_module_rows"]
    }
    assert {row["name"]: row["version"] for row in rows["__toolchain_module_rows"]} == wanted
    assert set(wanted) <= set(PINS)


def test_what_goes_with_another_goes_with_one_that_is_there() -> None:
    for pin in PINS.values():
        assert not pin.goes_with or (pin.goes_with in PINS and pin.constant), pin.name


def test_pages_show_versions_and_not_where_they_are_looked_up() -> None:
    assert role_docs.shown("{{ lookup('failover_lab.lab.version', 'metallb') }}") == PINS["metallb"].version
    shown = role_docs.shown(
        "{{ x | default(lookup('failover_lab.lab.version', 'registry', field='image')) }}"
    )
    assert shown == f"{{{{ x | default('{PINS['registry'].image}') }}}}"
    assert role_docs.shown(5) == 5
    assert json.dumps(role_docs.shown("{{ lab }}")) == '"{{ lab }}"'
