"""Nodes are healed by what they show, in the table's order; played with stand-ins for all that is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.role_variables import templated

REPO = Path(__file__).resolve().parents[3]
REAL = REPO / "collections/ansible_collections/failover_lab/lab"
# Says that it was called, and with what.
PROGRAM = """#!{python}
import json, pathlib, sys
here = pathlib.Path({here!r})
with (here / "log").open("a") as log:
    log.write(json.dumps([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]) + "\\n")
"""
# The door to the package: the same; the nodes are in another state at each look.
LAB = """import json, pathlib
from ansible.module_utils.basic import AnsibleModule
here = pathlib.Path({here!r})
names = "command options label interval_s timeout_s accept_no run_dir"
module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in names.split()}})
command, options = module.params["command"], module.params["options"] or {{}}
command = command if isinstance(command, list) else [command]
told = [*command, *(f"--{{name}}={{value}}" for name, value in options.items())]
with (here / "log").open("a") as log:
    log.write(json.dumps(["package", *told]) + "\\n")
nodes = []
if command[0] == "nodes":
    looked = sorted(here.glob("look-*"))[0]
    nodes = json.loads(looked.read_text())
    looked.unlink()
module.exit_json(changed=True, ok=True, rc=0, data={{"nodes": nodes}})
"""
MODULE = """import json, pathlib
from ansible.module_utils.basic import AnsibleModule
names = "name kind state paused comparisons container argv context kubeconfig timeout_s nodes run_dir provider"
module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in names.split()}})
told = {{key: value for key, value in module.params.items() if value is not None}}
with pathlib.Path({log!r}).open("a") as log:
    log.write(json.dumps([{name!r}, told]) + "\\n")
module.exit_json(changed=True)
"""
WELL: dict[str, Any] = {
    "state": "running",
    "incoming": False,
    "outgoing": False,
    "kubelet": "active",
    "nameless": False,
}
DOCKER = ("docker_container", "docker_container_exec", "docker_volume")


def module(name: str, here: Path) -> str:
    """A module that takes anything and writes down its arguments."""
    return MODULE.format(name=name, log=str(here / "log"))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with programs and collections that only say that they were called."""
    (tmp_path / "minikube").write_text(PROGRAM.format(python=sys.executable, here=str(tmp_path)))
    (tmp_path / "minikube").chmod(0o755)
    docker = tmp_path / "collections/ansible_collections/community/docker/plugins/modules"
    docker.mkdir(parents=True)
    for name in DOCKER:
        (docker / f"{name}.py").write_text(module(name, tmp_path))
    # The lab's own collection, but for those that ask a cluster, and for the door to the package.
    lab = tmp_path / "collections/ansible_collections/failover_lab/lab"
    for kind in ("action", "modules"):
        (lab / "plugins" / kind).mkdir(parents=True)
        for path in (REAL / "plugins" / kind).glob("*.py"):
            if path.stem not in ("nodes_back", "k8s_info", "lab"):
                (lab / "plugins" / kind / path.name).symlink_to(path)
    for name in ("nodes_back", "k8s_info"):
        (lab / "plugins/modules" / f"{name}.py").write_text(module(name, tmp_path))
    (lab / "plugins/modules/lab.py").write_text(LAB.format(here=str(tmp_path)))
    for path in (REAL / "plugins").iterdir():
        if path.name not in ("action", "modules") and path.is_dir():
            (lab / "plugins" / path.name).symlink_to(path)
    (lab / "meta").symlink_to(REAL / "meta")
    (lab / "galaxy.yml").symlink_to(REAL / "galaxy.yml")
    return tmp_path


def look(here: Path, number: int, **nodes: dict[str, Any]) -> None:
    """What ``nodes`` prints at this look; the symptoms are the package's own finding."""
    from failover_lab.nodes import symptoms

    rows = [{"name": name, "id": name, "since": "", **row} for name, row in nodes.items()]
    told = [row | {"symptoms": symptoms.of(row)} for row in rows]
    (here / f"look-{number}").write_text(json.dumps(told))


def played(here: Path, joined: list[str]) -> list[list[Any]]:
    """What was called, one after the other, but for the last look at who is marked."""
    labels = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
    given = {
        "fault_context": "lab",
        "fault_kubeconfig": "/nonexistent",
        "fault_state_dir": str(here),
        "fault_minikube": str(here / "minikube"),
        "fault_minikube_environment": {"MINIKUBE_HOME": str(here / "home")},
        "fault_healed_nodes": [],
        "fault_returned_nodes": [],
        "__fault_nodes": {"resources": [{"metadata": {"name": name, "labels": labels}} for name in joined]},
        "__fault_everything": True,
        "__fault_journal_content": {},
    }
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {"name": "Known", "ansible.builtin.set_fact": given},
            {"name": "Heal", "ansible.builtin.include_role": {"name": "fault", "tasks_from": "nodes"}},
        ],
    }
    (here / "play.yml").write_text(json.dumps([play]))
    done = subprocess.run(
        ["ansible-playbook", str(here / "play.yml")],
        cwd=REPO,
        env=os.environ | {"ANSIBLE_COLLECTIONS_PATH": f"{here / 'collections'}:{REPO / 'collections'}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    called: list[list[Any]] = [json.loads(line) for line in (here / "log").read_text().splitlines()]
    assert [call[1]["kind"] for call in called if call[0] == "k8s_info"] == ["Node"]
    return [call for call in called if call[0] != "k8s_info"]


def words(name: str, *rest: Any) -> list[str]:
    """The first words of a call of a program, or whom a module was for."""
    if isinstance(rest[0], str):
        return [name, *rest[:2]]
    return [name, *filter(None, (rest[0].get("name") or rest[0].get("container"),))]


def whom(call: list[str]) -> list[str]:
    """The nodes to which the package was to do it, as the lab's driver."""
    options = dict(word.removeprefix("--").split("=", 1) for word in call if word.startswith("--"))
    assert (options["profile"], options["driver"]) == ("lab", "docker")
    return sorted(options["nodes"].split(","))


def test_each_by_its_symptom_and_in_turn(here: Path) -> None:
    look(
        here,
        1,
        m1=WELL,
        m2={"state": "paused"},
        m3={"state": "exited"},
        m4=WELL | {"incoming": True},
        m5={"state": "created"},
        m6=WELL | {"kubelet": "failed"},
        m7=WELL | {"nameless": True},
    )
    # That one was cut off as well before it was paused is seen once it can be asked.
    look(
        here,
        2,
        **dict.fromkeys(("m1", "m3", "m5", "m7"), WELL),
        m2=WELL | {"outgoing": True},
        m4=WELL | {"incoming": True},
        m6=WELL | {"kubelet": "failed"},
    )
    called = played(here, ["m1", "m2", "m3", "m4", "m6", "m7"])
    assert [" ".join(words(*call)) for call in called] == [
        "package nodes --profile=lab",
        "package node resume",
        "package node start",
        "package unjoined --profile=lab",
        "minikube node start",
        "package nodes --profile=lab",
        "package node join",
        "package node start-kubelet",
        "nodes_back",
        "package routes --profile=lab",
    ]
    assert [(call[2], whom(call)) for call in called if call[1] == "node" and call[0] == "package"] == [
        ("resume", ["m2"]),
        ("start", ["m3", "m7"]),
        ("join", ["m2", "m4"]),
        ("start-kubelet", ["m6"]),
    ]
    assert called[4][-2] == "m5"
    back = {row["name"]: row["restarted"] for row in called[8][1]["nodes"]}
    assert back == {"m3": True, "m7": True, "m5": True, "m2": False, "m4": False, "m6": False}


def test_nothing_is_done_where_nothing_is_shown(here: Path) -> None:
    look(here, 1, m1=WELL, m2=WELL)
    assert [name for name, *_ in played(here, ["m1", "m2"])] == ["package"]


@pytest.mark.parametrize(
    ("account", "everywhere"),
    [({}, True), ({"kind": "melt"}, True), ({"kind": "kill"}, True), ({"kind": "drain"}, False)],
)
def test_an_account_of_an_unknown_kind_is_healed_by_what_is_there(
    account: dict[str, str], *, everywhere: bool
) -> None:
    """Another version's, say, or one that was damaged."""
    looks = "{{ __fault_row_noted.takes_node | default(true) }}"
    assert templated("fault", looks, __fault_journal_content=account) is everywhere
