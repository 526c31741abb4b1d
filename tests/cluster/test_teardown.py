"""teardown.yml removes what the lab made, and no more. Runs last: afterwards there is no lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import PROFILE, Lab, docker

pytestmark = pytest.mark.cluster

# Begins as the lab's own names do, and yet is not the lab's.
USERS = f"{PROFILE}s-user"


@pytest.fixture
def users_own() -> Iterator[None]:
    """A network and a volume of the user's; those of a test run that was killed go first."""
    kinds = ("network", "volume")
    for kind in kinds:
        if USERS in everything(kind):
            docker(kind, "rm", USERS)
        docker(kind, "create", USERS)
    yield
    for kind in kinds:
        docker(kind, "rm", USERS)


def test_only_what_the_lab_made_goes(lab: Lab, users_own: None) -> None:
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


def is_ours(name: str) -> bool:
    """Whether a name is one of this lab's: the profile, its nodes, its registry."""
    return name == PROFILE or name.startswith((f"{PROFILE}-m0", f"{PROFILE}-registry"))


def everything(kind: str) -> set[str]:
    """The names of all containers, networks or volumes."""
    column = "{{.Names}}" if kind == "container" else "{{.Name}}"
    return set(docker(kind, "ls", *(["--all"] if kind == "container" else []), f"--format={column}").split())
