"""KUBECONFIG as kubectl takes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from tests import api_server as api

from failover_lab.kube import kubeconfig
from failover_lab.kube.client import Api

Look = Callable[..., str]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """What the lookup says of a value of KUBECONFIG, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def run(value: str, context: str = "lab", **options: Any) -> str:
        monkeypatch.setenv("KUBECONFIG", value)
        plugin = lookup_loader.get("failover_lab.lab.kubeconfig", DataLoader(), Templar(DataLoader()))
        (found,) = plugin.run([context], {}, **options)
        return ":".join(os.path.relpath(path, tmp_path) for path in found.split(":"))

    return run


def config(path: Path, *contexts: str) -> None:
    content = {"contexts": [{"name": name} for name in contexts], "clusters": None, "users": []}
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("value", "read", "written"),
    [
        ("", "home/.kube/config", "home/.kube/config"),
        (":", "home/.kube/config", "home/.kube/config"),
        ("one", "one", "one"),
        (":one", "one", "one"),
        ("one:", "one", "one"),
        ("gone:one", "one", "one"),
        ("empty:one", "one", "one"),
        ("blank:two:one", "two:one", "one"),
        # The first that has it, whatever else there is.
        ("one:two", "one:two", "one"),
        ("two:one", "two:one", "one"),
        # Where there is none yet, the last would be made.
        ("gone:lost", "gone:lost", "lost"),
    ],
)
def test_which_files(look: Look, tmp_path: Path, value: str, read: str, written: str) -> None:
    config(tmp_path / "one", "lab", "other")
    config(tmp_path / "two", "other")
    (tmp_path / "empty").touch()
    (tmp_path / "blank").write_text("---\n# nothing\n")
    assert look(value, provider="existing") == read
    assert look(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [("gone:empty:one", "empty"), ("gone:one", "one"), ("one:two", "one")]
)
def test_where_a_new_context_goes(look: Look, tmp_path: Path, value: str, written: str) -> None:
    config(tmp_path / "one", "other")
    config(tmp_path / "two", "other")
    (tmp_path / "empty").touch()
    assert look(value) == written


def test_a_damaged_file_is_not_passed_over(look: Look, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("{")
    (tmp_path / "folder").mkdir()
    assert look("broken:folder", provider="existing") == "broken:folder"


def test_the_first_of_a_name_counts_as_in_kubectl(look: Look, tmp_path: Path) -> None:
    for name, port in (("one", 1), ("two", 2)):
        api.kubeconfig(tmp_path / name, "lab", f"https://127.0.0.1:{port}")
    (tmp_path / "empty").touch()
    files = look("empty:gone:two:one", provider="existing")
    there = Api("lab", ":".join(str(tmp_path / name) for name in files.split(":")))
    assert there.url == "https://127.0.0.1:2"


@pytest.mark.parametrize(
    ("made", "trouble"),
    [
        ({}, ""),
        ({"config": ""}, ""),
        ({"config": "contexts: []"}, ""),
        ({"config/": ""}, "is a folder"),
        ({"config": "{"}, "is damaged (while parsing"),
        ({"config": "[]"}, "is damaged (it holds a list"),
    ],
)
def test_what_cannot_be_written_to(tmp_path: Path, made: dict[str, str], trouble: str) -> None:
    for name, content in made.items():
        path = tmp_path / name
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_text(content)
    said = kubeconfig.trouble(tmp_path / "config")
    assert said.startswith(trouble)
    assert bool(said) == bool(trouble)


def test_what_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the system is asked in its place."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert (
        kubeconfig.trouble(tmp_path / "a" / "config") == f"cannot be made: {tmp_path} may not be written to"
    )
    (tmp_path / "config").touch()
    assert kubeconfig.trouble(tmp_path / "config") == "may not be written to"
    assert kubeconfig.trouble(tmp_path / "config" / "below") == (f"cannot be read ({os.strerror(20)})")
