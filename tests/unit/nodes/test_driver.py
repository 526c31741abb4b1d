"""A driver is asked for by name, and whoever asks for one that cannot do it is told which can."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

import pytest

from failover_lab import cli, nodes
from failover_lab.errors import UserError
from failover_lab.nodes import docker
from failover_lab.nodes.driver import Driver, DriverError, NodeState, Owner, unanswered


def test_it_is_made_for_its_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(docker, "Engine", made.append)
    nodes.driver_of("docker", "lab")
    nodes.owner_of("other")
    assert made == ["lab", "other"]


@pytest.mark.parametrize("name", ["auto", "minikube"])
def test_roles_may_hand_over_what_a_user_has_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(docker, "Engine", made.append)
    nodes.driver_of(name, "lab")
    assert made == ["lab"]


@pytest.mark.parametrize("name", ["podman", ""])
def test_one_that_there_is_not_is_told_with_those_that_there_are(name: str) -> None:
    with pytest.raises(UserError, match=f"no driver '{name}' of nodes: choose one of custom, docker"):
        nodes.driver_of(name, "lab")


def test_hosts_are_reached_by_plays_alone() -> None:
    with pytest.raises(
        UserError, match=r"the driver ssh reaches nodes by Ansible's plays alone.*: docker can"
    ):
        nodes.driver_of("ssh", "lab")


@pytest.mark.parametrize(
    "words",
    [
        ["nodes"], ["unjoined"], ["start-nodes"], ["node", "kill", "--nodes=m02"],
        ["proxy-rules", "--nodes=m02", "--namespace=site", "--service=site"],
    ],
)  # fmt: skip
def test_every_command_goes_by_the_name(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "--profile=lab", "--driver=podman"]) == 2
    assert "no driver 'podman' of nodes: choose one of custom, docker" in capsys.readouterr().err


def test_an_engine_that_is_not_there_is_told_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(UserError, match=r"the container engine does not answer: .*`docker info` must work"):
        nodes.driver_of("docker", "lab")


def test_a_driver_says_itself_who_has_not_answered() -> None:
    class HostError(DriverError):
        who = "the host"
        remedy = "`ssh` must work"

    assert str(unanswered(HostError("no route"))) == "the host does not answer: no route; `ssh` must work"


def test_nobody_fences_by_a_driver_that_cannot_say_for_certain_that_a_node_is_dead() -> None:
    made: Any = argparse.Namespace(name="ssh", fences=False)
    with pytest.raises(UserError, match=r"the driver ssh cannot say for certain .* docker can"):
        nodes.fencing(made)
    made.fences = True
    assert nodes.fencing(made) is made


@pytest.mark.parametrize("command", [["watchdog"], ["remediate", "--node=lab-m02"]])
def test_whoever_gives_a_node_away_needs_one_that_fences(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setattr("failover_lab.watchdog.cluster.connect", lambda *_: None)
    monkeypatch.setattr("failover_lab.watchdog.command.hasten", lambda _level: None)
    monkeypatch.setattr("failover_lab.run.lifetime.StopCondition.catch_signals", lambda _self: None)
    made = argparse.Namespace(name="ssh", fences=False)
    monkeypatch.setattr(nodes, "driver_of", lambda name, _profile: made if name == "ssh" else None)
    assert cli.main([*command, "--profile=lab", "--driver=ssh", f"--state-dir={tmp_path}"]) == 2
    assert "the driver ssh cannot say for certain" in capsys.readouterr().err


@pytest.mark.parametrize("protocol", [Driver, Owner])
def test_the_engine_does_all_that_a_driver_does(protocol: type) -> None:
    verbs = {
        name for base in protocol.__mro__ for name, member in vars(base).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }  # fmt: skip
    assert {"listed", "kill", "pause", "resume", "start", "run", "ended_at"} <= verbs
    for name in verbs:
        wanted = inspect.signature(getattr(protocol, name))
        assert list(inspect.signature(getattr(docker.Engine, name)).parameters) == list(wanted.parameters)


def test_what_is_down_has_ended_for_good() -> None:
    assert {state for state in NodeState if state.is_down} == {NodeState.STOPPED, NodeState.ABSENT}
