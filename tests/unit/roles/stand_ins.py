"""Stand-ins for all that the roles call: programs, modules and the package only say that they were called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from failover_lab.nodes import symptoms

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
names = "command options label interval_s timeout_s accept_no run_dir relay"
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
module.exit_json(changed=True, ok=True, rc=0, data={{"nodes": nodes, "steps": []}})
"""
MODULE = """import json, pathlib
from ansible.module_utils.basic import AnsibleModule
names = "name kind state paused comparisons container argv context kubeconfig timeout_s nodes provider"
names += " api_version definition hidden_fields merge_type namespace deployment service without_nodes"
names += " waits_for owners asked_services rolled_out"
module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in names.split()}})
told = {{key: value for key, value in module.params.items() if value is not None}}
here = pathlib.Path({here!r})
with (here / "log").open("a") as log:
    log.write(json.dumps([{name!r}, told]) + "\\n")
answer = here / "answer-{name}"
module.exit_json(changed=True, **(json.loads(answer.read_text()) if answer.exists() else {{}}))
"""
WELL: dict[str, Any] = {
    "state": "running",
    "incoming": False,
    "outgoing": False,
    "kubelet": "active",
    "nameless": False,
}
DOCKER = ("docker_container", "docker_container_exec", "docker_volume")
# Those that ask a cluster.
ASKING = ("nodes_back", "k8s_info", "k8s", "rollout")


def module(name: str, here: Path) -> str:
    """A module that takes anything, writes down its arguments and answers what lies ready."""
    return MODULE.format(name=name, here=str(here))


def folder(tmp_path: Path) -> Path:
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
            if path.stem not in (*ASKING, "lab"):
                (lab / "plugins" / kind / path.name).symlink_to(path)
    for name in ASKING:
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
    rows = [{"name": name, "id": name, "since": "", **row} for name, row in nodes.items()]
    told = [row | {"symptoms": symptoms.of(row)} for row in rows]
    (here / f"look-{number}").write_text(json.dumps(told))


def play(here: Path, facts: dict[str, Any], *tasks: dict[str, Any]) -> list[list[Any]]:
    """Play these on the lab ``lab``; gives back what was called, one after the other."""
    given = {
        "fault_context": "lab",
        "fault_kubeconfig": "/nonexistent",
        "fault_state_dir": str(here),
        "fault_minikube": str(here / "minikube"),
        "fault_minikube_environment": {"MINIKUBE_HOME": str(here / "home")},
    }
    book = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [{"name": "Known", "ansible.builtin.set_fact": given | facts}, *tasks],
    }
    (here / "play.yml").write_text(json.dumps([book]))
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
    log = here / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
