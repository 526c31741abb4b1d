"""An environment that lacks something: one sentence with the remedy, before anything is touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]

Runner = Callable[..., Any]

PLAYBOOKS = [
    path
    for path in (REPO / f"{name}.yml" for name in ("setup", "failover", "recover", "status", "teardown"))
    if path.exists()
]


@pytest.fixture
def only_the_plugin(tmp_path: Path) -> Path:
    """A playbook that does nothing but look at the environment."""
    path = tmp_path / "play.yml"
    task = {"name": "Check the environment", "failover_lab.lab.requirements": None}
    path.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]), encoding="utf-8"
    )
    return path


def without_collections(path: Path) -> dict[str, str]:
    return {
        "ANSIBLE_COLLECTIONS_PATH": f"{REPO / 'collections'}:{path}",
        "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "0",
    }


def test_all_is_there(play: Runner, only_the_plugin: Path) -> None:
    assert play(str(only_the_plugin)).returncode == 0


def test_a_collection_is_missing(play: Runner, only_the_plugin: Path, tmp_path: Path) -> None:
    play(str(only_the_plugin), **without_collections(tmp_path)).refused(
        "no collection kubernetes.core",
        "no collection community.docker",
        "ansible-galaxy collection install -r collections/requirements.yml",
        "make env",
    )


def test_a_collection_is_out_of_range(play: Runner, only_the_plugin: Path, tmp_path: Path) -> None:
    for name, version in (
        ("ansible.posix", "2.1.0"),
        ("community.docker", "4.8.5"),
        ("kubernetes.core", "5.9.9"),
    ):
        place = tmp_path.joinpath("ansible_collections", *name.split("."))
        place.mkdir(parents=True)
        manifest = {"collection_info": {"version": version}}
        (place / "MANIFEST.json").write_text(json.dumps(manifest), encoding="utf-8")
    played = play(str(only_the_plugin), **without_collections(tmp_path))
    played.refused("This environment has collection kubernetes.core 5.9.9 instead of >=6.2.0,<7.0.0: run ")


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (["-b"], {}),
        (["-e", "ansible_become=true"], {}),
        ([], {"ANSIBLE_BECOME": "true"}),
    ],
    ids=str,
)
def test_everything_as_root(
    play: Runner, only_the_plugin: Path, options: list[str], environment: dict[str, str]
) -> None:
    played = play(str(only_the_plugin), *options, **environment)
    played.refused("-b, ANSIBLE_BECOME", "ansible_become in an inventory", "--ask-become-pass")


def test_a_home_that_is_none(play: Runner, only_the_plugin: Path) -> None:
    play(str(only_the_plugin), HOME="").refused("HOME is not set", "export HOME=/home/YOU")


def test_a_locale_that_is_missing(play: Runner, only_the_plugin: Path) -> None:
    played = play(str(only_the_plugin), LC_ALL="xx_YY.UTF-8")
    assert played.returncode == 0, played.output


def test_a_python_module_is_missing(play: Runner, only_the_plugin: Path, tmp_path: Path) -> None:
    # Python runs sitecustomize before anything else: here it makes the interpreter deny one module.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'kubernetes' else find(name, *rest)\n",
        encoding="utf-8",
    )
    play(str(only_the_plugin), PYTHONPATH=str(tmp_path)).refused(
        "no Python module kubernetes", "run 'make env'"
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_every_playbook_asks_first(play: Runner, playbook: Path, tmp_path: Path) -> None:
    played = play(str(playbook), **without_collections(tmp_path))
    played.refused("no collection kubernetes.core", "ansible-galaxy collection install")
