"""Who reaches the nodes, and what each can do: decided in one place, refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from failover_lab import arguments, nodes
from failover_lab.errors import UserError
from failover_lab.faults import driver_choice, kinds
from failover_lab.nodes.docker import EngineError
from failover_lab.nodes.driver import Listed

HOSTS = [
    {"host": "box-a", "address": "10.0.0.1", "node": ""},
    {"host": "b", "address": "box-b.example", "node": ""},
]


def member(name: str, address: str) -> dict[str, Any]:
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "nodeInfo": {"machineID": f"m-{name}"},
    }
    return {"metadata": {"name": name}, "status": status}


class World:
    """A cluster of two nodes, and an engine."""

    def __init__(self) -> None:
        self.members = [member("a", "10.0.0.1"), member("b", "10.0.0.2")]
        self.containers: list[str] = []
        self.trouble: Exception | None = None

    def listed(self) -> list[Listed]:
        if self.trouble:
            raise self.trouble
        return [Listed(name, name, "running") for name in self.containers]

    def driver_of(self, spec: str, profile: str) -> Any:
        assert (json.loads(spec)["name"], json.loads(spec)["context"], profile) == ("docker", "k", "k")
        if isinstance(self.trouble, UserError):
            raise self.trouble
        return self


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(nodes, "objects", lambda *_: made.members)
    monkeypatch.setattr(nodes, "driver_of", made.driver_of)
    return made


def asked(*words: str, hosts: Any = ()) -> tuple[int, Any]:
    """What the command answers; the whole command line would be made anew each time."""
    parser = arguments.Parser(prog="failover-lab")
    driver_choice.add_parser(parser.add_subparsers(parser_class=arguments.Parser))
    options = parser.parse_args(["driver", "--context=k", f"--hosts={json.dumps(list(hosts))}", *words])
    try:
        return 0, driver_choice.run(options).data
    except UserError as error:
        return 2, str(error)


@pytest.mark.parametrize(
    ("containers", "hosts", "driver"),
    [(["a", "b"], HOSTS, "docker"), (["a", "b"], [], "docker"), (["a"], HOSTS, "ssh"), ([], HOSTS, "ssh")],
)
def test_what_auto_means(world: World, containers: list[str], hosts: Any, driver: str) -> None:
    world.containers = containers
    status, data = asked("--kind=partition", hosts=hosts)
    assert (status, data["driver"]) == (0, driver)
    assert json.loads(data["spec"])["context"] == "k" if driver == "docker" else data["spec"] == "ssh"


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (None, "b is no container of this machine's engine"),
        (EngineError("no"), "the container engine does not answer"),
        (
            UserError("the container engine does not answer: no; `docker info` must work"),
            "no container engine answers",
        ),
    ],
)
def test_where_there_is_none_it_is_told_what_there_could_be(
    world: World, trouble: Exception | None, why: str
) -> None:
    world.containers, world.trouble = ["a"], trouble
    status, error = asked("--kind=freeze")
    assert status == 2
    assert error.startswith("fault_kind=freeze needs a driver that breaks a node")
    assert why in error
    assert "no group nodes" in error
    assert error.endswith("or choose fault_kind=drain or pod or rollout")


def test_the_clusters_own_words_are_not_taken_for_an_engines(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> Any:
        raise UserError("the cluster does not tell its nodes: forbidden")

    monkeypatch.setattr(nodes, "objects", refuses)
    assert "forbidden" in asked("--kind=kill", hosts=HOSTS)[1]


def test_hosts_are_nodes_by_name_or_address(world: World) -> None:
    _, data = asked("--driver=ssh", hosts=HOSTS)
    found = {row["name"]: row for row in data["hosts"]}
    assert {name: (row["host"], row["address"], row["machine_id"]) for name, row in found.items()} == {
        "a": ("box-a", "10.0.0.1", "m-a"),
        "b": ("b", "10.0.0.2", "m-b"),
    }
    assert found["a"]["ask"] != found["b"]["ask"]
    given = [{"host": "x", "address": "x.example", "node": "b"}]
    assert asked("--driver=ssh", hosts=given)[1]["hosts"][0]["name"] == "b"


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        (
            [{"host": "x", "address": "10.9.9.9", "node": ""}],
            "x of the group nodes is no node of the cluster (a, b)",
        ),
        ([{"host": "x", "address": "10.0.0.1", "node": "c"}], "x of the group nodes is no node"),
        ([*HOSTS, {"host": "x", "address": "", "node": "a"}], "box-a and x of the group nodes are both a"),
        ([], "fault_driver=ssh needs the inventory's group nodes"),
    ],
)
def test_a_group_that_is_not_the_nodes(world: World, hosts: Any, why: str) -> None:
    status, error = asked("--driver=ssh", hosts=hosts)
    assert status == 2
    assert why in error


def folder(place: Path, *names: str) -> str:
    for name in names:
        (place / f"{name}.yml").write_text("---\n")
    return f"--tasks={place}"


@pytest.mark.parametrize(
    ("driver", "files", "hosts", "can"),
    [
        ("ssh", [], HOSTS, {"kill", "partition", "kubelet", "reboot"}),
        ("ssh", ["pause", "resume"], HOSTS, {"kill", "partition", "kubelet", "freeze", "reboot"}),
        ("ssh", ["drop_some", "drop_none"], HOSTS, {"kill", "partition", "kubelet", "loss", "reboot"}),
        ("custom", ["state"], [], set()),
        ("custom", ["state", "kill", "start"], [], {"kill"}),
        ("custom", ["state", "kill"], HOSTS, {"partition", "kubelet"}),
        ("custom", ["state", "stop_kubelet", "start_kubelet"], [], {"kubelet"}),
        ("custom", ["state", "slow_down", "kill_first", "drop_none"], [], {"process"}),
        ("custom", ["state", "slow_down", "speed_up", "kill_sandbox"], [], {"slow", "sandbox"}),
        ("custom", ["state", "reboot", "start"], [], {"reboot"}),
    ],
)
def test_what_a_driver_can_do(  # noqa: PLR0917  each says its own
    world: World, driver: str, files: list[str], hosts: Any, can: set[str], tmp_path: Path
) -> None:
    words = [f"--driver={driver}", folder(tmp_path, *files)]
    for kind in ORDER:
        status, told = asked(f"--kind={kind}", *words, hosts=hosts)
        assert (status == 0) is (kind in can), (kind, told)
        if status:
            assert told.startswith(f"fault_driver={driver} cannot do fault_kind={kind}: docker can")
            assert "in the folder node_tasks would say how" in told
            assert not can or f"choose fault_kind={' or '.join(k for k in ORDER if k in can)}" in told
    for kind in ("drain", "rollout"):
        assert asked(f"--kind={kind}", *words, hosts=hosts)[0] == 0


ORDER = [name for name in kinds.names() if kinds.of(name).needs == "driver"]


def test_files_of_ones_own_go_before_what_ssh_does(world: World, tmp_path: Path) -> None:
    _, data = asked("--driver=ssh", folder(tmp_path, "start", "kill", "fence", "rules"), hosts=HOSTS)
    assert data["by"] == {
        "same": "ssh", "rules": "ssh", "cut-off": "ssh", "join": "ssh", "stop-kubelet": "ssh",
        "start-kubelet": "ssh", "kill": "custom", "start": "custom", "reboot": "ssh",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--driver=custom"], "fault_driver=custom needs node_tasks"),
        (["--driver=custom", "--tasks=/nonexistent"], "node_tasks is /nonexistent, which is no folder"),
        (["--driver=podman"], "no driver 'podman' of nodes: choose auto or one of docker, ssh, custom"),
        (["--driver=docker", "--kind=magic"], "fault_kind 'magic' is not known"),
    ],
)
def test_what_cannot_be(world: World, words: list[str], why: str) -> None:
    assert why in asked(*words)[1]


@pytest.mark.parametrize(
    ("driver", "files", "fences"),
    [
        ("docker", [], True),
        ("custom", ["state", "fence"], True),
        ("custom", ["state"], False),
        ("ssh", ["fence"], False),
    ],
)
def test_whoever_gives_a_node_away_needs_one_that_fences(
    world: World, driver: str, files: list[str], fences: bool, tmp_path: Path
) -> None:
    words = ["--to-fence", f"--driver={driver}", folder(tmp_path, *files)]
    status, told = asked(*words, hosts=HOSTS)
    assert (status == 0) is fences
    assert fences or f"which fault_driver={driver} cannot: docker can, and custom with a fence.yml" in told


def test_a_folder_has_to_say_whether_a_node_runs(world: World, tmp_path: Path) -> None:
    assert "needs state.yml in" in asked("--driver=custom", folder(tmp_path, "kill"))[1]


def test_what_commands_are_told(world: World, tmp_path: Path) -> None:
    words = ["--driver=custom", folder(tmp_path, "state"), "--inventory=/i", "--config=/c"]
    spec = json.loads(asked(*words)[1]["spec"])
    assert spec == {
        "name": "custom", "tasks": str(tmp_path), "inventory": ["/i"], "config": "/c", "state": "",
        "hosts": {"a": {"host": "", "address": "10.0.0.1"}, "b": {"host": "", "address": "10.0.0.2"}},
    }  # fmt: skip
    assert asked("--driver=docker", "--own")[1]["spec"] == "docker"
    assert json.loads(asked("--driver=minikube")[1]["spec"]) == {
        "name": "docker", "context": "k", "kubeconfig": None
    }  # fmt: skip
