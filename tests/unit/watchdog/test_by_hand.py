"""An operator's work, in the watchdog tests' small world."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.unit.watchdog.conftest import World

from failover_lab import cli, nodes
from failover_lab.kube.names import EXCLUDE
from failover_lab.nodes.driver import NodeState
from failover_lab.watchdog import cluster
from failover_lab.watchdog.journal import Journal
from failover_lab.watchdog.only_one import only_one


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(cluster, "connect", lambda _kubeconfig, _context: made.api)
    monkeypatch.setattr(nodes, "driver_of", lambda _name, _profile: made)
    return made


def give_away(folder: Path, node: str = "lab-m02") -> int:
    state, out = folder / "state", folder / "run"
    out.mkdir(exist_ok=True)
    return cli.main(["remediate", f"--node={node}", "--profile=lab", f"--state-dir={state}", f"--out={out}"])


@pytest.mark.parametrize("container", [NodeState.RUNNING, NodeState.PAUSED, NodeState.STOPPED])
def test_fenced_marked_emptied_and_cleared(world: World, container: NodeState, tmp_path: Path) -> None:
    world.nodes["lab-m02"].container = container
    assert give_away(tmp_path) == 0
    node = world.nodes["lab-m02"]
    assert node.container is NodeState.STOPPED
    assert "node.kubernetes.io/out-of-service" in world.taints("lab-m02")
    assert EXCLUDE in node.labels
    assert json.loads(world.mark_of("lab-m02") or "{}")["by"] == "an operator"
    assert world.pods_on("lab-m02") == []
    assert world.pods_on("lab-m03") == ["site-2"]
    killed = [] if container is NodeState.STOPPED else ["kill lab-m02"]
    assert world.done[: len(killed) + 1] == [*killed, "patch lab-m02"]
    assert sorted(world.done[len(killed) + 1 :]) == [
        "clear lab",
        "clear lab-m03",
        "delete site-0",
        "delete site-1",
    ]


def test_the_steps_are_marked_as_the_operator_s(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    give_away(tmp_path)
    marks = [
        json.loads(line)["event"] for line in (tmp_path / "run" / "marks.jsonl").read_text().splitlines()
    ]
    assert marks[:2] == ["operator_fenced", "operator_marked"]
    assert marks[-1] == "operator_done"
    said = capsys.readouterr().out
    assert "fenced node=lab-m02" in said
    assert "peers" not in said


def test_again_it_finds_nothing_to_do(world: World, tmp_path: Path) -> None:
    give_away(tmp_path)
    world.done.clear()
    assert give_away(tmp_path) == 0
    assert world.done == []


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("lab", "lab is the only control plane"),
        ("nobody", "there is no node nobody; give one of lab, lab-m02, lab-m03"),
        ("lab-m03", "lab-m03 is no container of this engine"),
    ],
)
def test_refusals_change_nothing(
    world: World, node: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if node == "lab-m03":
        world.nodes[node].container = NodeState.ABSENT
    assert give_away(tmp_path, node) == 2
    assert said in capsys.readouterr().err
    assert world.done == []


def test_what_would_be_refused_is_told_before_the_end_of_the_node(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.refused = {"delete pods"}
    assert give_away(tmp_path) == 2
    assert "would refuse to delete pods in site" in capsys.readouterr().err
    assert world.nodes["lab-m02"].container is NodeState.RUNNING
    assert world.done == []


def test_not_beside_a_watchdog(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with only_one(tmp_path / "state", "lab"):
        assert give_away(tmp_path) == 2
    assert "a watchdog of lab is running already" in capsys.readouterr().err
    assert world.done == []


def test_a_silent_engine_or_cluster(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world.engine_up = False
    assert give_away(tmp_path) == 2
    assert "the container engine does not answer: the engine is gone" in capsys.readouterr().err
    world.engine_up, world.api_up = True, False
    assert give_away(tmp_path) == 2
    assert "the cluster cannot be asked for its nodes" in capsys.readouterr().err


def test_without_a_fence_nothing_is_given_away(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failover_lab.watchdog.act.FENCE_S", 0.05)
    world.unkillable = True
    assert give_away(tmp_path) == 1
    assert "lab-m02 was not fenced" in capsys.readouterr().out
    assert world.mark_of("lab-m02") is None
    assert len(world.pods_on("lab-m02")) == 2
    assert not any(
        "operator_done" in line for line in (tmp_path / "run" / "marks.jsonl").read_text().splitlines()
    )


def test_with_a_full_disk_nothing_is_given_away(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    assert give_away(tmp_path) == 2
    assert "watchdog.jsonl: No space left on device; free some space, then run" in capsys.readouterr().err
    assert world.done == []


def test_what_it_leaves_open_a_watchdog_takes_up(world: World, tmp_path: Path) -> None:
    give_away(tmp_path)
    journal = Journal(tmp_path / "state" / "watchdog.jsonl")
    assert journal.phases == {"lab-m02": "out"}
    journal.close()
