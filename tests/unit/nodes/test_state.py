"""What is said of each node, by the engine and by the node itself."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from failover_lab import cli, nodes
from failover_lab.nodes import state
from failover_lab.nodes.docker import EngineError
from failover_lab.nodes.driver import Inspected, Listed, NodeState

SINCE = "2026-11-27T17:00:00.123456789Z"
WELL = {
    "incoming": False,
    "outgoing": False,
    "kubelet": "active",
    "nameless": False,
    "lossy": False,
    "slow": False,
    "half_open_s": 120,
}


class Played:
    """An engine whose nodes say what they are told to say."""

    def __init__(self, said: dict[str, Any], **states: str) -> None:
        self.said, self.states = said, states
        self.closed: list[str] = []
        self.asked: dict[str, list[str]] = {}

    def listed(self) -> list[Listed]:
        return [Listed(name, f"id-{name}", state) for name, state in self.states.items()]

    def inspect(self, name: str) -> Inspected:
        return Inspected(NodeState(self.states[name]), SINCE)

    def shell(self, name: str, argv: list[str]) -> Any:
        self.asked[name] = argv
        if isinstance(self.said[name], EngineError):
            raise self.said[name]
        return Shell(self, name)


class Shell:
    def __init__(self, engine: Played, name: str) -> None:
        self.engine, self.name = engine, name
        self.over = threading.Event()

    def write(self, line: str) -> None:
        assert line
        if isinstance(self.engine.said[self.name], OSError):
            raise self.engine.said[self.name]

    def lines(self) -> Any:
        said = self.engine.said[self.name]
        if said == "silence":
            self.over.wait(10)
            return iter(())
        return iter([said] if isinstance(said, str) else [json.dumps(said)])

    def close(self) -> None:
        self.over.set()
        self.engine.closed.append(self.name)


def look(engine: Played) -> list[dict[str, Any]]:
    return state.look(engine, "eth0", 3713)  # type: ignore[arg-type]


def test_those_that_run_are_asked() -> None:
    engine = Played(
        {"lab": WELL, "m02": WELL | {"kubelet": "inactive"}}, lab="running", m02="running", m03="paused"
    )
    assert look(engine) == [
        {"name": "lab", "id": "id-lab", "state": "running", "since": SINCE, **WELL},
        {"name": "m02", "id": "id-m02", "state": "running", "since": SINCE, **WELL, "kubelet": "inactive"},
        {"name": "m03", "id": "id-m03", "state": "paused"},
    ]
    assert engine.asked["lab"][-3:-1] == ["eth0", "3713"]
    assert sorted(engine.closed) == ["lab", "m02"]


@pytest.mark.parametrize("said", [EngineError("no such exec"), OSError("gone"), "", "{", "[1]"])
def test_one_that_says_nothing_of_use_has_its_state_alone(said: Any) -> None:
    (row,) = look(Played({"lab": said}, lab="running"))
    assert row == {"name": "lab", "id": "id-lab", "state": "running", "since": SINCE}


def test_one_that_freezes_as_it_is_asked_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_ANSWER_S", 0.05)
    rows = look(Played({"lab": WELL, "m02": "silence"}, lab="running", m02="running"))
    assert ["kubelet" in row for row in rows] == [True, False]


def test_a_profile_without_nodes() -> None:
    assert look(Played({})) == []


@pytest.mark.parametrize("cut", ["", "ingress 3713", "egress 3713", "ingress 3714"])
@pytest.mark.parametrize(
    ("kubelet", "host", "limit"),
    [
        ("active", "localhost", "3713 37130"),
        ("inactive", "no-such-host", "max 37130"),
        ("active", "localhost", "5 9"),
    ],
)
def test_the_question_in_a_shell(tmp_path: Path, cut: str, kubelet: str, host: str, limit: str) -> None:
    """With a tc and a systemctl that say what they are to say."""
    for name, words in (("tc", f'[ "$5 $7" = "{cut}" ] && echo filter'), ("systemctl", f"echo {kubelet}")):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{words}\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "kubepods").mkdir()
    (tmp_path / "kubepods" / "cpu.max").write_text(limit)
    program = state._QUESTION.replace("{groups}", state.PODS_GROUPS).replace("/sys/fs/cgroup", str(tmp_path))
    done = subprocess.run(
        ["sh", "-c", program, "sh", "eth7", "3713", host],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        input="now\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    said = json.loads(done.stdout)
    assert (said["incoming"], said["outgoing"]) == (cut == "ingress 3713", cut == "egress 3713")
    assert said["slow"] is (limit == "3713 37130")
    assert said["lossy"] is (cut == "ingress 3714")
    assert said["kubelet"] == kubelet
    assert said["nameless"] is (host not in Path("/etc/hosts").read_text())
    assert said["half_open_s"] is None or said["half_open_s"] > 0
    assert "filter show dev eth7 ingress pref 3713" in (tmp_path / "calls").read_text().splitlines()


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Played({"lab": WELL}, lab="running", m02="exited")
    monkeypatch.setattr(nodes, "driver_of", lambda _name, profile: engine if profile == "lab" else None)
    assert cli.main(["nodes", "--profile=lab", "--preference=3713"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["name"], row["state"]) for row in rows] == [("lab", "running"), ("m02", "exited")]


def test_an_engine_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(_self: Played) -> list[Listed]:
        raise EngineError("connection refused")

    monkeypatch.setattr(Played, "listed", gone)
    monkeypatch.setattr(nodes, "driver_of", lambda _name, _profile: Played({}))
    assert cli.main(["nodes", "--profile=lab", "--preference=1"]) == 2
    assert "does not answer: connection refused; `docker info` must work" in capsys.readouterr().err
