"""Nodes are started, and told what the engine forgets, before their kubelets ask."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failover_lab import cli, nodes
from failover_lab.errors import UserError
from failover_lab.nodes import start_nodes
from failover_lab.nodes.docker import EngineError
from failover_lab.nodes.driver import DriverError, Inspected, Listed, NodeState

HOSTS = ["192.168.49.1\thost.minikube.internal", "192.168.49.2\tcontrol-plane.minikube.internal"]


class Played:
    """An engine whose nodes say what they are told to say, and what was asked of it, in order."""

    def __init__(self, said: dict[str, list[str]], **states: str) -> None:
        self.said, self.states = said, states
        self.done: list[str] = []
        self.told: dict[str, str] = {}

    def listed(self) -> list[Listed]:
        return [Listed(name, f"id-{name}", state) for name, state in self.states.items()]

    def start(self, name: str) -> None:
        if name not in self.states:
            raise EngineError("No such container")
        self.done.append(f"start {name}")

    def inspect(self, name: str) -> Inspected:
        return Inspected(NodeState.RUNNING, f"the start of {name}")

    def shell(self, name: str, argv: list[str]) -> Any:
        self.done.append(f"shell {name}")
        self.told[name] = argv[-1]
        return Shell(self.said.get(name, ["over"]))


class Shell:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self.over = threading.Event()
        self.heard = False

    def write(self, line: str) -> None:
        assert line
        if self._lines == ["broken"]:
            raise OSError("broken pipe")
        self.heard = True

    def lines(self) -> Iterator[str]:
        assert self.heard, "it is read before it was asked"
        if self._lines == ["silence"]:
            self.over.wait(10)
            return
        yield from self._lines

    def close(self) -> None:
        self.over.set()


def start(engine: Played, *names: str) -> dict[str, str]:
    return start_nodes.start(engine, names or None)  # type: ignore[arg-type]


def test_each_is_told_at_once_what_another_knows() -> None:
    engine = Played({"lab": [*HOSTS, "over"]}, lab="running", m02="exited", m03="exited")
    start(engine, "m02", "m03")
    assert engine.done == ["shell lab", "start m02", "shell m02", "start m03", "shell m03"]
    assert engine.told["m02"] == engine.told["m03"] == "\n".join(HOSTS)


def test_one_that_runs_is_told_and_not_asked() -> None:
    engine = Played({"m03": [*HOSTS, "over"]}, m02="running", lab="exited", m03="running")
    start(engine, "m02")
    assert engine.done == ["shell m03", "start m02", "shell m02"]


def test_nobody_knows_and_nothing_is_started() -> None:
    engine = Played({"lab": ["over"], "m03": [HOSTS[0], "over"]}, lab="running", m02="exited", m03="running")
    with pytest.raises(UserError, match=r"no node that runs knows .* setup\.yml"):
        start(engine, "m02")
    assert engine.done == ["shell lab", "shell m03"]


def test_whichever_need_it() -> None:
    knows = [*HOSTS, "over"]
    engine = Played(
        {"lab": knows, "m04": knows}, lab="running", m02="exited", m03="running", m04="running", m05="paused"
    )
    assert list(start(engine)) == ["m02", "m03"]
    assert engine.done[3:] == ["start m02", "shell m02", "start m03", "shell m03"]


def test_none_needs_it() -> None:
    engine = Played({"lab": [*HOSTS, "over"]}, lab="running", m02="paused")
    assert start(engine) == {}
    assert engine.done == ["shell lab"]
    assert start(Played({}, lab="paused")) == {}


@pytest.mark.parametrize("said", [[], ["half"], ["broken"], ["silence"]])
def test_one_that_ends_or_freezes_as_it_is_told(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(start_nodes, "_ANSWER_S", 0.05)
    engine = Played({"lab": [*HOSTS, "over"], "m02": said}, lab="running", m02="exited")
    with pytest.raises(DriverError, match="m02 has ended"):
        start(engine, "m02")


def in_shell(script: str, folder: Path, argument: str, kubelet: str) -> list[str]:
    """What a script does on a node whose kubelet is in this state until it is asked for the third time."""
    (folder / "systemctl").write_text(
        f'#!/bin/sh\necho "$@" >>{folder}/calls; n=$(wc -l <{folder}/calls)\n'
        f'[ "$1" = restart ] || [ "$n" -ge 3 ] || {{ echo {kubelet}; exit 3; }}\necho active\n'
    )
    (folder / "systemctl").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script.replace("/etc/hosts", str(folder / "hosts")), "sh", argument],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        input="now\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("kubelet", "restarts"), [("inactive", 0), ("active", 1), ("activating", 1), ("", 0)]
)
def test_what_is_done_in_the_node(tmp_path: Path, kubelet: str, restarts: int) -> None:
    hosts = tmp_path / "hosts"
    own = ["127.0.0.1 localhost", "192.168.49.3 m02"]
    # Told twice, it knows each name once.
    hosts.write_text("\n".join([*own, HOSTS[0].replace("49.1", "49.9")]) + "\n")
    assert in_shell(start_nodes._TELL, tmp_path, "\n".join(HOSTS), kubelet)[-1] == "over"
    assert hosts.read_text().splitlines() == [*own, *HOSTS]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls.count("restart kubelet") == restarts
    assert calls[-1] == "is-active --quiet kubelet"
    assert in_shell(start_nodes._WHICH, tmp_path, "", kubelet) == [*HOSTS, "over"]


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Played({"lab": [*HOSTS, "over"]}, lab="running", m02="exited")
    monkeypatch.setattr(nodes, "driver_of", lambda _name, profile: engine if profile == "lab" else None)
    assert cli.main(["start-nodes", "--profile=lab", "--nodes=m02"]) == 0
    assert engine.done[1:] == ["start m02", "shell m02"]
    assert json.loads(capsys.readouterr().out) == {"name": "m02", "since": "the start of m02"}
    assert cli.main(["start-nodes", "--profile=lab", "--nodes=m07"]) == 2
    assert "cannot start m07: No such container" in capsys.readouterr().err
