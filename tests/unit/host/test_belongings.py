"""What belongs to a lab, where another one is called almost like it; the engine is a small server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.watchdog.fakes import FakeEngine

from failover_lab import cli
from failover_lab.nodes.minikube import MARK

REPO = Path(__file__).resolve().parents[3]
OURS = {MARK: "true"}


class Machine:
    """An engine, a minikube's home, and the lab's own state."""

    def __init__(self, folder: Path) -> None:
        self.engine = FakeEngine(folder / "engine.sock")
        self.home, self.state = folder / "home", folder / "state"
        self.state.mkdir()

    def profile(self, name: str, *nodes: str) -> None:
        """minikube's account of a profile: the first node has no name of its own."""
        folder = self.home / "profiles" / name
        folder.mkdir(parents=True)
        content = {"Name": name, "Nodes": [{"Name": ""}, *({"Name": node} for node in nodes)]}
        (folder / "config.json").write_text(json.dumps(content))

    def node(self, name: str, network: str) -> None:
        """A node's container and its disk."""
        self.engine.make("containers", name, network, **OURS)
        self.engine.make("volumes", name, **OURS)

    def lab(self, name: str, *nodes: str) -> None:
        """A whole lab: account, nodes, network."""
        self.profile(name, *nodes)
        for node in (name, *(f"{name}-{node}" for node in nodes)):
            self.node(node, name)
        self.engine.make("networks", name, **OURS)

    def options(self, profile: str) -> list[str]:
        return [f"--profile={profile}", f"--minikube-home={self.home}", f"--state-dir={self.state}"]

    def ask(self, profile: str, *options: str) -> int:
        return cli.main(["belongings", *self.options(profile), *options])


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    made = Machine(tmp_path)
    yield made
    made.engine.server.shutdown()
    made.engine.server.server_close()


def told(capsys: pytest.CaptureFixture[str]) -> set[str]:
    pairs = [next(iter(json.loads(line).items())) for line in capsys.readouterr().out.splitlines()]
    return {f"{kind} {name}" for kind, name in pairs}


def whole(*nodes: str) -> set[str]:
    return {f"{kind} {node}" for node in nodes for kind in ("container", "volume")} | {f"network {nodes[0]}"}


def test_labs_that_are_called_almost_alike(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.lab("team", "m02", "m03")
    machine.lab("team-m1")
    machine.lab("team-m04", "m02")
    machine.lab("team-registry")
    assert machine.ask("team") == 0
    assert told(capsys) == whole("team", "team-m02", "team-m03")
    assert machine.ask("team-m04") == 0
    assert told(capsys) == whole("team-m04", "team-m04-m02")


def test_a_start_that_was_killed(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """A container that no account names yet is on the lab's network; a disk without one is in an account."""
    machine.profile("team", "m02")
    machine.engine.make("networks", "team", **OURS)
    machine.node("team", "team")
    machine.node("team-m03", "team")
    machine.engine.make("volumes", "team-m02", **OURS)
    machine.engine.make("volumes", "team-m04", **OURS)
    machine.ask("team")
    assert told(capsys) == whole("team", "team-m03") | {"volume team-m02"}


def test_what_minikube_has_forgotten_is_in_the_labs_own_account(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.lab("team", "m02")
    assert machine.ask("team", "--remember") == 0
    (machine.home / "profiles/team/config.json").unlink()
    (machine.home / "profiles/team").rmdir()
    for name in ("containers/team", "containers/team-m02"):
        del machine.engine.things[name]
    machine.engine.containers.clear()
    machine.ask("team")
    assert told(capsys) == {"volume team", "volume team-m02", "network team"}
    # Unless somebody else has a lab of that name by now.
    machine.node("team-m02", "team-m02")
    machine.ask("team")
    assert told(capsys) == {"volume team", "network team"}


@pytest.mark.parametrize("account", ["", "{", "[]", '{"Nodes": 3}', '{"Nodes": [3]}'])
def test_an_account_that_is_not_whole(
    machine: Machine, capsys: pytest.CaptureFixture[str], account: str
) -> None:
    machine.lab("team", "m02")
    (machine.home / "profiles/team/config.json").write_text(account)
    (machine.state / "belongings.json").write_text(account)
    assert machine.ask("team") == 0
    assert told(capsys) == whole("team", "team-m02")


def test_a_network_of_the_users_own_is_not_the_labs(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.engine.make("networks", "team")
    machine.ask("team")
    assert told(capsys) == set()


def test_the_names_are_free(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.ask("team", "--free-for=3") == 0
    machine.lab("team", "m02")
    machine.lab("team-m1")
    machine.engine.make("containers", "team-more")
    assert machine.ask("team", "--free-for=3") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("kind", "name", "labels"),
    [
        ("container", "team-m02", {}),
        ("container", "team-m02", OURS),
        ("disk", "team", {}),
        ("disk", "team-m03", {}),
        ("network", "team", {}),
        ("network", "team", OURS | {"name.minikube.sigs.k8s.io": "other"}),
    ],
)
def test_a_name_that_is_somebody_elses(
    machine: Machine, capsys: pytest.CaptureFixture[str], kind: str, name: str, labels: dict[str, str]
) -> None:
    what = {"container": "containers", "disk": "volumes", "network": "networks"}[kind]
    machine.engine.make(what, name, "elsewhere", **labels)
    assert machine.ask("team", "--free-for=3") == 2
    said = capsys.readouterr().err
    assert f"A {kind} {name} exists that this lab did not make" in said
    assert "choose another lab_profile" in said
    assert machine.ask("team", "--free-for=1") == (0 if name.endswith(("02", "03")) else 2)


def test_a_number_that_has_become_free_is_not_given_again(machine: Machine) -> None:
    machine.lab("team", "m02", "m04")
    machine.lab("team-m03")
    assert machine.ask("team", "--free-for=3") == 0
    assert machine.ask("team", "--free-for=4") == 0
    machine.engine.make("containers", "team-m05", "elsewhere")
    assert machine.ask("team", "--free-for=4") == 2


def test_a_node_that_minikube_would_make_anew(machine: Machine) -> None:
    machine.profile("team", "m02")
    machine.node("team", "team")
    machine.node("team-m02", "team-m02")
    assert machine.ask("team", "--free-for=2") == 2


def test_no_engine(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.engine.fail = True
    assert machine.ask("team") == 2
    assert "`docker info` must work" in capsys.readouterr().err


def test_what_the_role_removes(machine: Machine, tmp_path: Path) -> None:
    """The role's own tasks, on that engine."""
    machine.lab("team", "m02")
    machine.lab("team-m1", "m02")
    settings = {
        "cluster_profile": "team",
        "cluster_minikube_home": str(machine.home),
        "cluster_state_dir": str(machine.state),
        "cluster_minikube": "/bin/true",
    }
    role = {"name": "cluster", "tasks_from": "leftovers"}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": settings,
        "tasks": [{"name": "Remove", "ansible.builtin.include_role": role}],
    }
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([play]), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", str(path)],
        cwd=REPO,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(machine.engine.removed) == {
        "containers/team", "containers/team-m02", "volumes/team", "volumes/team-m02", "networks/team"
    }  # fmt: skip
