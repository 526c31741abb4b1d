"""An environment that lacks something: one sentence with the remedy, before anything is touched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.api_server import api_server, kubeconfig
from tests.plays import by_night

REPO = Path(__file__).resolve().parents[2]

Runner = Callable[..., Any]

PLAYBOOKS = [
    path
    for path in (REPO / f"{name}.yml" for name in ("setup", "failover", "recover", "status", "teardown"))
    if path.exists()
]
# That each begins with what judges it is read in test_played_whole.py; by day one refuses for all.
EACH = by_night(PLAYBOOKS, PLAYBOOKS[1:])


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
        pytest.param(["-e", "ansible_become=true"], {}, marks=pytest.mark.nightly),
        pytest.param([], {"ANSIBLE_BECOME": "true"}, marks=pytest.mark.nightly),
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


@pytest.fixture
def made_by_hand(tmp_path: Path) -> str:
    """A PYTHONPATH of an environment that nobody told where the lab's package is, as `make env` does."""
    # Site has read the environment's .pth by then, and every program of it imports a part of the package.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "given = os.environ.get('PYTHONPATH', '').split(os.pathsep)\n"
        "sys.path[:] = [p for p in sys.path if p in given or not p.endswith('/src')]\n"
        "for name in [n for n in sys.modules if n.split('.')[0] == 'failover_lab']:\n"
        "    del sys.modules[name]\n",
        encoding="utf-8",
    )
    return str(tmp_path)


@pytest.mark.parametrize("playbook", EACH, ids=lambda path: path.stem)
def test_every_playbook_tells_where_the_package_is(play: Runner, playbook: Path, made_by_hand: str) -> None:
    play(str(playbook), PYTHONPATH=made_by_hand).refused(
        "does not find the lab's own Python package failover_lab: run 'make env'",
        f"or export PYTHONPATH={REPO / 'src'}, then this again.",
    )


def test_with_pythonpath_modules_work_in_an_environment_made_by_hand(
    play: Runner, made_by_hand: str, tmp_path: Path
) -> None:
    with api_server(tmp_path / "tls") as server:
        where = {
            "context": "lab",
            "kubeconfig": kubeconfig(tmp_path / "config", "lab", server.url, server.ca),
        }
        tasks = [{"failover_lab.lab.requirements": None}, {"failover_lab.lab.cluster_answers": where}]
        path = tmp_path / "play.yml"
        path.write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
        )
        given = os.pathsep.join([str(REPO / "src"), made_by_hand])
        played = play(str(path), PYTHONPATH=given)
        assert played.returncode == 0, played.output
        without = play(str(path), PYTHONPATH=made_by_hand)
        without.refused("does not find the lab's own Python package")


@pytest.mark.parametrize("playbook", EACH, ids=lambda path: path.stem)
def test_every_playbook_asks_first(play: Runner, playbook: Path, tmp_path: Path) -> None:
    played = play(str(playbook), **without_collections(tmp_path))
    played.refused("no collection kubernetes.core", "ansible-galaxy collection install")
