from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import tomllib
from pathlib import Path

import pytest
from ansible_collections.failover_lab.lab.plugins.action import requirements
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("version", "wanted", "holds"),
    [
        ("6.2.0", ">=6.2.0,<7.0.0", True),
        ("6.10.1", ">=6.2.0,<7.0.0", True),
        ("7.0.0", ">=6.2.0,<7.0.0", False),
        ("6.1.9", ">=6.2.0,<7.0.0", False),
        ("2.21.5rc1", ">=2.19.0", True),
        ("2.9", ">=2.19.0", False),
        ("1.0.0", "*", True),
        ("1.0.0", "1.0.0", True),
        ("1.0.1", "=1.0.0", False),
        ("1.0.1", "!=1.0.1", False),
        ("1.0.1", "<=1.0.1, >1.0.0", True),
    ],
)
def test_within(version: str, wanted: str, *, holds: bool) -> None:
    assert requirements.within(version, wanted) is holds


@pytest.mark.parametrize("wanted", ["~=1", ">=", "6.2 or so", "latest"])
def test_a_condition_that_is_none_is_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match="is no condition on a version"):
        requirements.within("1.0.0", wanted)


def test_this_environment_lacks_nothing() -> None:
    assert requirements.missing_python() == []
    assert requirements.missing_collections(requirements.REQUIREMENTS_FILE) == []


@pytest.mark.parametrize("version", [(3, 10, 12), (3, 14, 0)])
def test_python_of_the_wrong_age(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int]) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    said = ".".join(map(str, version))
    assert requirements.missing_python() == [f"Python {said} instead of 3.11, 3.12 or 3.13"]


def test_core_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "core_version", "2.18.9")
    assert requirements.missing_python() == ["ansible-core 2.18.9 instead of 2.19.0 or newer"]


def test_a_module_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "kubernetes" else find_spec(name)
    )
    assert requirements.missing_python() == [f"no Python module kubernetes for {sys.executable}"]


def test_two_modules_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    absent = {"docker", "jsonschema"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find_spec(name))
    assert requirements.missing_python() == [f"no Python module docker or jsonschema for {sys.executable}"]


def test_every_dependency_of_the_project_is_asked_for() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]} - {"ansible"}
    provided = importlib.metadata.packages_distributions()
    modules = {
        module: {canonicalize_name(name) for name in names} & wanted for module, names in provided.items()
    }
    assert {name for module in requirements.MODULES for name in modules[module]} == wanted
    assert [module for module in requirements.MODULES if not modules[module]] == []


def test_collections_missing_and_out_of_range(tmp_path: Path) -> None:
    wanted = tmp_path / "requirements.yml"
    wanted.write_text(
        "collections:\n"
        "  - name: no_such.collection\n"
        "  - {name: kubernetes.core, version: '>=99.0.0'}\n"
        "  - {name: failover_lab.lab, version: '>=0.1.0'}\n",
        encoding="utf-8",
    )
    missing = requirements.missing_collections(wanted)
    assert missing[0] == "no collection no_such.collection"
    assert missing[1].startswith("collection kubernetes.core ")
    assert missing[1].endswith(" instead of >=99.0.0")
    assert len(missing) == 2


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "HOME is not set"),
        ({"HOME": ""}, "HOME is not set"),
        ({"HOME": "somewhere"}, "HOME=somewhere is no absolute path"),
        ({"HOME": "/nonexistent"}, "HOME=/nonexistent is no folder"),
        ({"HOME": "/home/a user"}, "HOME=/home/a user has a blank in it"),
        ({"HOME": "/", "XDG_STATE_HOME": "state"}, "XDG_STATE_HOME=state is no absolute path"),
        ({"HOME": "/", "XDG_CACHE_HOME": "/a\tb"}, "XDG_CACHE_HOME=/a\tb has a blank in it"),
        ({"HOME": "/", "TMPDIR": "tmp"}, "TMPDIR=tmp is no absolute path"),
        ({"HOME": "/", "TMPDIR": "/my tmp"}, "TMPDIR=/my tmp has a blank in it"),
        ({"HOME": "/", "TMPDIR": "/nonexistent"}, "TMPDIR=/nonexistent is no folder that can be written to"),
        ({"HOME": "/", "TMPDIR": "/dev/null"}, "TMPDIR=/dev/null is no folder that can be written to"),
    ],
)
def test_folders_that_cannot_be_meant(environment: dict[str, str], said: str) -> None:
    assert (requirements.homeless(environment) or "").startswith(said)


def test_a_home_to_which_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the system is asked in its place."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    home = {"HOME": str(tmp_path)}
    assert f"written to HOME={tmp_path}" in (requirements.homeless(home) or "")
    elsewhere = {f"XDG_{kind}_HOME": "/elsewhere" for kind in ("CACHE", "DATA", "STATE")}
    assert requirements.homeless(home | elsewhere) is None
    temporary = {"TMPDIR": str(tmp_path)}
    assert f"TMPDIR={tmp_path} is no" in (requirements.homeless(home | elsewhere | temporary) or "")
