"""teardown.yml removes what the lab made, and no more. Runs last: afterwards there is no lab."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import PROFILE, Lab, docker

pytestmark = pytest.mark.cluster

# Begins as the lab's own names do, and yet is not the lab's.
USERS = f"{PROFILE}s-user"
KINDS = ("container", "image", "network", "volume")


@pytest.fixture
def repository(lab: Lab) -> str:
    """The site's image, without a tag, as this machine names it."""
    return f"127.0.0.1:{lab.registry_port()}/failover-lab/site"


@pytest.fixture
def users_own(repository: str) -> Iterator[None]:
    """A network, a volume, a tag beside the lab's, and a container that minikube would take for a node.

    Those of a test run that was killed go first.
    """
    tag = f"{repository}:users-own"
    image = docker("inspect", "--format={{.Image}}", f"{PROFILE}-registry").strip()
    mark = "--label=created_by.minikube.sigs.k8s.io=true"
    made = {
        "container": ("create", f"--name={USERS}", mark, image),
        "network": ("create", USERS),
        "volume": ("create", USERS),
        "image": ("tag", image, tag),
    }
    names = {kind: tag if kind == "image" else USERS for kind in made}
    for kind, command in made.items():
        if names[kind] in everything(kind):
            docker(kind, "rm", names[kind])
        docker(kind, *command)
    yield
    for kind, name in names.items():
        docker(kind, "rm", name)


def test_only_what_the_lab_made_goes(lab: Lab, repository: str, users_own: None) -> None:
    others = {kind: everything(kind) for kind in KINDS}
    copy = re.compile(re.escape(repository) + ":[0-9a-f]{20}")
    assert any(copy.fullmatch(name) for name in others["image"]), "setup left no copy of the image"
    played = lab.play("teardown")
    assert played.returncode == 0, played.output[-4000:]
    for kind, names in others.items():
        kept = {name for name in names if not is_ours(name) and not copy.fullmatch(name)}
        assert everything(kind) == kept, kind
    config = yaml.safe_load(Path(lab.environment["KUBECONFIG"]).read_text())
    assert config["current-context"] == "users-own"
    assert [context["name"] for context in config["contexts"]] == ["users-own"]
    assert not lab.state.exists()
    assert list(Path(lab.environment["LAB_CACHE"]).iterdir()), "the caches went without being asked"
    assert json.loads((lab.reports / "latest" / "report.json").read_text()), "the reports went"

    again = lab.play("teardown")
    assert again.returncode == 0, again.output[-4000:]
    assert again.changed == 0
    lab.gone = True


def is_ours(name: str) -> bool:
    """Whether a name is one of this lab's: the profile, its nodes, its registry."""
    return name == PROFILE or name.startswith((f"{PROFILE}-m0", f"{PROFILE}-registry"))


def everything(kind: str) -> set[str]:
    """The names of all containers, networks or volumes, and the tags of all images."""
    column = {"container": "{{.Names}}", "image": "{{.Repository}}:{{.Tag}}"}.get(kind, "{{.Name}}")
    return set(docker(kind, "ls", *(["--all"] if kind == "container" else []), f"--format={column}").split())
