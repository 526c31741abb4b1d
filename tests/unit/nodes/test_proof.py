"""A container is a node only if it is proven to be: names alone are the same everywhere."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.watchdog.fakes import FakeEngine

from failover_lab import nodes
from failover_lab.errors import UserError
from failover_lab.nodes import docker, proof
from failover_lab.nodes.docker import Engine, EngineError
from failover_lab.nodes.driver import NodeState
from failover_lab.nodes.proof import Candidate, Member

NODE = Member("kind-worker", "172.18.0.3", "abc", "boot")
HERE = Candidate("id", "kind-worker", frozenset({"172.18.0.3"}), here=True)


def proven(one: Candidate, *, hostname: str = "", machine_id: str = "", node: Member = NODE) -> bool:
    found = proof.proven(
        node, [one], hostname=lambda _id: hostname, machine_id=lambda _id: machine_id, boot_id="boot"
    )
    return found is not None


@pytest.mark.parametrize(
    ("one", "says", "is_it"),
    [
        (HERE, {}, True),
        # One that has ended has no address any more, and kubelets come back with a machine's id.
        (Candidate("id", "kind-worker", frozenset()), {"machine_id": "abc"}, True),
        (Candidate("id", "kind-worker", frozenset()), {"machine_id": "another"}, False),
        (Candidate("id", "kind-worker", frozenset()), {}, False),
        (
            Candidate("id", "kind-worker", frozenset({"172.18.0.4"}), here=True),
            {"machine_id": "another"},
            False,
        ),
        # Whoever has made it may call it otherwise.
        (Candidate("id", "box", frozenset({"172.18.0.3"}), here=True), {"hostname": "kind-worker"}, True),
        (Candidate("id", "box", frozenset({"172.18.0.3"}), here=True), {"hostname": "box"}, False),
        (Candidate("id", "box", frozenset()), {"machine_id": "abc", "hostname": "kind-worker"}, False),
    ],
)
def test_what_proves_it(one: Candidate, says: Any, is_it: bool) -> None:
    assert proven(one, **says) is is_it


def test_another_machines_twin_is_none_of_ours() -> None:
    """Two machines with a cluster of kind each: names and addresses are equal."""
    twin = Member(NODE.name, NODE.address, "another", "another machine's boot")
    assert not proven(HERE, node=twin, machine_id="another")


def test_a_node_without_a_machines_id_is_not_any_container_without_one() -> None:
    assert not proven(Candidate("id", "kind-worker", frozenset()), node=Member("kind-worker", "", "", ""))


def test_what_the_api_says() -> None:
    node = {
        "metadata": {"name": "n"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"machineID": "m", "bootID": "b"},
        },
    }
    assert proof.member(node) == Member("n", "10.0.0.1", "m", "b")
    assert proof.member({"metadata": {"name": "n"}}) == Member("n", "", "", "")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    engine = FakeEngine(tmp_path / "engine.sock")
    for name, address, state in [
        ("a", "10.0.0.1", "running"),
        ("b", "10.0.0.9", "running"),
        ("c", "", "exited"),
    ]:
        engine.states[name] = {"Running": state == "running"}
        engine.containers.append(
            {
                "Id": f"id-{name}", "Names": [f"/{name}"], "State": state,
                "Labels": {"io.x-k8s.kind.cluster": "k"},
                "NetworkSettings": {"Networks": {"kind": {"IPAddress": address}}},
            }
        )  # fmt: skip
    yield engine
    engine.server.shutdown()
    engine.server.server_close()


def cluster() -> list[Member]:
    return [Member(name, f"10.0.0.{number}", f"m-{name}", "") for number, name in enumerate("abc", 1)]


def test_the_engine_takes_those_that_are_proven_and_no_others(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "_machine_id", lambda _self, id_: {"id-c": "m-c"}.get(id_, "another"))
    engine = Engine("kind-k", nodes=cluster)
    assert engine.containers() == {"a": NodeState.RUNNING, "c": NodeState.STOPPED}
    assert engine.inspect("c").state is NodeState.STOPPED
    assert not engine.forgets_names
    engine.kill("a")
    assert fake.states["a"]["Running"] is False
    # Of one that nobody has proven, nothing is said: least of all that it is gone, and so may be given away.
    for verb in (engine.inspect, engine.kill, engine.start, engine.pause):
        with pytest.raises(EngineError, match="no container here is proven to be the node b"):
            verb("b")
    assert fake.states["b"]["Running"] is True
    assert not [asked for asked in fake.asked if asked.startswith("POST") and "b/" in asked]


def test_one_that_was_proven_stays_so(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed and started anew it has another machine's id, maybe another address, and no kubelet to tell."""
    monkeypatch.setattr(Engine, "_machine_id", lambda _self, _id: "another")
    engine = Engine("kind-k", nodes=cluster)
    assert set(engine.containers()) == {"a"}
    fake.containers[0]["NetworkSettings"]["Networks"]["kind"]["IPAddress"] = "10.0.0.77"
    assert set(engine.containers()) == {"a"}
    del fake.containers[0]
    del fake.states["a"]
    assert engine.containers() == {}
    assert engine.inspect("a").state is NodeState.ABSENT


def test_a_machines_id_is_read_from_one_that_has_ended(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("machine-id")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"abc\n"))
    engine = Engine("kind-k", nodes=cluster)
    client: Any = engine._client
    monkeypatch.setattr(client, "get_archive", lambda _name, path: ([packed.getvalue()], {"path": path}))
    assert engine._machine_id("id-c") == "abc"
    monkeypatch.setattr(client, "get_archive", lambda *_: ([b"no archive"], {}))
    assert engine._machine_id("id-c") == ""


def test_what_a_command_is_told_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(docker, "Engine", lambda profile, **knows: made.append((profile, knows)))
    monkeypatch.setattr(nodes, "objects", lambda *asked: [{"metadata": {"name": str(asked)}}])
    nodes.driver_of(json.dumps({"name": "docker", "context": "kind-k", "kubeconfig": None}), "kind-k")
    ((profile, knows),) = made
    assert profile == "kind-k"
    assert [one.name for one in knows["nodes"]()] == ["('kind-k', None)"]
    for damaged in ("{", "{}", "{1}"):
        with pytest.raises(UserError, match="--driver is a name, or JSON with one"):
            nodes.driver_of(damaged, "lab")
