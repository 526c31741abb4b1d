"""A node is broken and brought back by the role node, whatever the driver: here against a small engine."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.role_variables import flat, templated
from tests.unit.watchdog.fakes import FakeEngine, frame

REPO = Path(__file__).resolve().parents[3]
FAULT = REPO / "roles" / "fault"
ENGINES = ("docker", "minikube", "container_exec", "podman")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    engine = FakeEngine(tmp_path / "engine.sock")
    engine.states = {"lab-m02": {"Running": True}}
    yield engine
    engine.server.shutdown()
    engine.server.server_close()


def include(role: str, entry: str = "main", **variables: Any) -> dict[str, Any]:
    return {
        "name": f"{role} {entry}",
        "ansible.builtin.include_role": {"name": role, "tasks_from": entry},
        "vars": variables,
    }


def part_of_kind(kind: str, part: str, **variables: Any) -> dict[str, Any]:
    """What a fault does to a node, by itself."""
    (path,) = (FAULT / "tasks").glob(f"**/{kind}/{part}.yml")
    return include("fault", str(path.relative_to(FAULT / "tasks").with_suffix("")), **variables)


def play(tmp_path: Path, *tasks: dict[str, Any], **settings: Any) -> tuple[int, dict[str, Any], str]:
    """Play these; gives back the status, what is to be kept, and what was on the screen."""
    kept = tmp_path / "kept.json"
    keep = {
        "name": "Keep",
        "ansible.builtin.copy": {
            "dest": str(kept),
            "content": "{{ {'done': node_done | default([]), 'struck': __fault_struck_at | default(none)}"
            " | to_json }}",
            "mode": "0600",
        },
    }
    book = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {
            "lab_profile": "lab",
            "fault_state_dir": str(tmp_path),
            "fault_plan": {
                "kind": "kill",
                "node": "lab-m02",
                "target": "lab-m02",
                "targets": ["lab-m02"],
                "identities": ["id-lab-m02"],
                "addresses": ["192.0.2.2"],
                "nodes": ["lab", "lab-m02"],
                "recovery": "automatic",
                "node_return": "restart",
            },
            **settings,
        },
        "tasks": [*tasks, keep],
    }
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([book]), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", str(path)], cwd=REPO, capture_output=True, text=True, timeout=120, check=False
    )
    found = json.loads(kept.read_text()) if kept.exists() else {}
    return done.returncode, found, done.stdout + done.stderr


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("kind", "broken", "healed"),
    [
        ("kill", {"Running": False, "Paused": False}, None),
        ("freeze", {"Running": True, "Paused": True}, {"Running": True, "Paused": False}),
    ],
)
def test_a_kind_that_the_engine_sees(
    fake: FakeEngine, tmp_path: Path, kind: str, broken: dict[str, bool], healed: dict[str, bool] | None
) -> None:
    began = time.time()
    status, kept, screen = play(tmp_path, include("fault", fault_kind=kind))
    assert status == 0, screen
    assert fake.states["lab-m02"] == broken
    assert began <= kept["struck"] <= time.time()
    accounts = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert [one["begun"] for one in accounts if "begun" in one] == [True], "written down before"
    if healed is not None:
        status, _, screen = play(tmp_path, part_of_kind(kind, "heal", __fault_names=["lab-m02"]))
        assert (status, fake.states["lab-m02"]) == (0, healed), screen


def test_a_kind_that_works_in_the_node(fake: FakeEngine, tmp_path: Path) -> None:
    fake.output = frame(b"1795955109.25\nover 0\n")
    status, kept, screen = play(
        tmp_path,
        include("fault", fault_kind="kubelet"),
        part_of_kind("kubelet", "heal", __fault_names=["lab-m02"]),
        include("node", node_action="cut_off", node_targets=["lab-m02"], node_direction="outgoing"),
    )
    assert status == 0, screen
    assert kept == {"done": [{"name": "lab-m02", "at": 1795955109.25}], "struck": 1795955109.25}
    stopped, started, cut = (asked["Cmd"] for asked in fake.executed)
    assert "systemctl stop kubelet" in stopped[2]
    assert "systemctl start kubelet" in started[2]
    assert cut[3:] == ["sh", "eth0", "3713", "egress"]


def test_one_that_has_gone_is_not_touched(fake: FakeEngine, tmp_path: Path) -> None:
    fake.states["lab-m02"] = {"Running": False}
    status, _, screen = play(tmp_path, include("fault", fault_kind="kill"))
    assert status == 2
    assert "lab-m02 has vanished since it was chosen: its container is stopped." in " ".join(screen.split())
    assert not any("kill" in asked for asked in fake.asked)


@pytest.mark.parametrize("driver", ["podman", ""])
def test_a_driver_that_there_is_not_is_refused_with_those_that_there_are(
    fake: FakeEngine, tmp_path: Path, driver: str
) -> None:
    status, _, screen = play(tmp_path, include("node", "state", node_driver=driver))
    assert status == 2
    told = f"Nobody reaches nodes by node_driver={driver}: choose auto or one of docker, ssh, custom."
    assert told in " ".join(screen.split())
    assert fake.asked == []


@pytest.mark.nightly
def test_who_there_is_is_the_affair_of_whoever_made_the_cluster(fake: FakeEngine, tmp_path: Path) -> None:
    program = tmp_path / "minikube"
    program.write_text(f'#!/bin/sh\necho "$MINIKUBE_HOME $*" >> {tmp_path}/calls\n')
    program.chmod(0o755)
    given: dict[str, Any] = {
        "node_minikube": str(program),
        "node_minikube_environment": {"MINIKUBE_HOME": "home"},
    }
    status, _, screen = play(
        tmp_path,
        include("node", node_action="remove", node_targets=["lab-m02"], **given),
        include("node", node_action="add", **given),
    )
    assert status == 0, screen
    assert (tmp_path / "calls").read_text().splitlines() == [
        "home node delete lab-m02 --profile=lab",
        "home node add --worker --profile=lab",
    ]
    assert {path.name for path in tmp_path.glob("*.log")} == {
        "minikube-node-delete.log",
        "minikube-node-add.log",
    }
    assert fake.asked == []


@pytest.mark.parametrize(
    ("driver", "provider", "found"),
    [
        ("auto", "minikube", "auto"),
        ("auto", None, "auto"),
        ("auto", "existing", ""),
        ("docker", "existing", "docker"),
        ("", "minikube", ""),
    ],
)
def test_who_reaches_the_nodes_of_which_cluster(driver: str, provider: str | None, found: str) -> None:
    settings = {"cluster_provider": provider} if provider else {}
    assert templated("fault", "{{ __fault_driver }}", fault_driver=driver, **settings) == found


@pytest.mark.parametrize(("name", "driver"), [("auto", "docker"), ("minikube", "docker"), ("ssh", "ssh")])
def test_by_which_driver(name: str, driver: str) -> None:
    assert templated("node", "{{ __node_driver }}", fault_driver=name) == driver


def test_no_task_of_the_fault_calls_an_engine() -> None:
    """Whoever adds a driver changes no fault."""
    for path in (FAULT / "tasks").rglob("*.yml"):
        for task in flat(yaml.safe_load(path.read_text(encoding="utf-8"))):
            called = [key for key in task if "." in key] + [str(task.get("failover_lab.lab.progress", ""))]
            assert not [word for word in called if any(engine in word for engine in ENGINES)], path
