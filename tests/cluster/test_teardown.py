"""teardown.yml removes what the lab made, and no more. Runs last: afterwards there is no lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from .conftest import PROFILE, Lab, docker

pytestmark = pytest.mark.cluster


def test_only_what_the_lab_made_goes(lab: Lab) -> None:
    docker("network", "create", "users-own")
    docker("volume", "create", "users-own")
    try:
        others = {kind: everything(kind) for kind in ("container", "network", "volume")}
        played = lab.play("teardown")
        assert played.returncode == 0, played.output[-4000:]
        for kind, names in others.items():
            assert everything(kind) == {name for name in names if not is_ours(name)}, kind
        config = yaml.safe_load(Path(lab.environment["KUBECONFIG"]).read_text())
        assert config["current-context"] == "users-own"
        assert [context["name"] for context in config["contexts"]] == ["users-own"]
        assert not lab.state.exists()
        assert list(Path(lab.environment["LAB_CACHE"]).iterdir()), "the caches went without being asked"
        assert json.loads((lab.reports / "latest" / "report.json").read_text()), "the reports went"

        again = lab.play("teardown")
        assert again.returncode == 0, again.output[-4000:]
        assert again.changed == 0
    finally:
        docker("network", "rm", "users-own")
        docker("volume", "rm", "users-own")


def is_ours(name: str) -> bool:
    """Whether a name is one of this lab's: the profile, its nodes, its registry."""
    return name == PROFILE or name.startswith((f"{PROFILE}-m0", f"{PROFILE}-registry"))


def everything(kind: str) -> set[str]:
    """The names of all containers, networks or volumes."""
    column = "{{.Names}}" if kind == "container" else "{{.Name}}"
    return set(docker(kind, "ls", *(["--all"] if kind == "container" else []), f"--format={column}").split())
