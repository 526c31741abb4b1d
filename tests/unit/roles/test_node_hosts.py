"""Nodes that are hosts, or machines of one's own: the role node, played against a host that is made up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.nodes.test_remote import PATHS, Node
from tests.unit.watchdog.fakes import ApiServer

REPO = Path(__file__).resolve().parents[3]
NODE = {
    "metadata": {"name": "m02"},
    "status": {
        "addresses": [{"type": "InternalIP", "address": "10.77.0.2"}],
        "nodeInfo": {"machineID": "abc"},
    },
}
SLICE = {
    "endpoints": [{"addresses": ["10.244.3.9"], "conditions": {"ready": True}}],
    "ports": [{"port": 8080}],
}
RULE = "echo '-A KUBE-SEP-A -m comment --comment \"site/site:http\" -j DNAT --to-destination 10.244.3'"
SLICES = (
    "/apis/discovery.k8s.io/v1/namespaces/site/endpointslices?labelSelector=kubernetes.io/service-name%3Dsite"
)
# In the place of ssh: runs there what Ansible wants run, among the made-up host's commands and files.
SSH = f"""#!{sys.executable}
ROOT = @
import base64, os, re, subprocess, sys
program = base64.b64decode(re.search(r"printf %s (\\S+) ", sys.argv[-1])[1]).decode()
for path, here in {PATHS!r}.items():
    program = program.replace(path, ROOT + "/" + here)
more = {{"PATH": ROOT + "/bin:" + os.environ["PATH"], "ROOT": ROOT}}
more["SSH_CONNECTION"] = "10.77.0.1 40000 10.77.0.2 22"
sys.exit(subprocess.run(["sh", "-c", program], env=os.environ | more).returncode)
"""
IP = (
    'case "$*" in *"addr show"*) echo "2: eth0    inet 10.77.0.2/24 brd 10.77.0.255" ;;\n'
    '*"route get"*) echo "10.77.0.1 dev eth0 src 10.77.0.2 uid 0" ;;\n'
    '*) echo "default via 10.77.0.1 dev eth0 " ;;\nesac'
)


def does(action: str, **variables: Any) -> list[dict[str, Any]]:
    """Has the role do this, and keeps in ``steps`` what it tells."""
    given = {"node_action": action, "node_targets": ["m02"], **variables}
    kept = {"action": action, "done": "{{ node_done }}", "state": "{{ (node_states | first) }}"}
    return [
        {"ansible.builtin.include_role": {"name": "node"}, "vars": given},
        {"ansible.builtin.include_role": {"name": "node", "tasks_from": "state"}, "vars": variables},
        {"ansible.builtin.set_fact": {"steps": "{{ steps | default([]) + [one] }}"}, "vars": {"one": kept}},
    ]


@pytest.mark.nightly
def test_what_is_done_to_a_host_and_to_a_machine(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.has("ip", IP)
    # Its kube-proxy follows when it has been asked twice.
    node.has(
        "iptables-save",
        "n=$(grep -c '^iptables-save' $ROOT/calls)\necho ':KUBE-SVC-A - [0:0]'\n"
        f"{RULE}.$((n < 3 ? 8 : 9)):8080",
    )
    (tmp_path / "machine-id").write_text("abc\n")
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH.replace("@", repr(str(tmp_path)), 1))
    machines = tmp_path / "machines"
    machines.write_text(
        f'#!/bin/sh\ncase "$1" in state) cat {tmp_path}/power ;; *) echo "$1" >{tmp_path}/power ;; esac\n'
    )
    (tmp_path / "power").write_text("on\n")
    for program in (ssh, machines):
        program.chmod(0o755)
    api = ApiServer()
    api.answers["GET /api/v1/nodes"] = (200, {"items": [NODE]})
    api.answers[f"GET {SLICES}"] = (200, {"items": [SLICE]})
    host = {"ansible_host": "10.77.0.2", "ansible_ssh_executable": str(ssh), "ansible_become": False}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"nodes": {"hosts": {"box": host}}}))
    custom = {
        "node_driver": "custom",
        "node_tasks": str(REPO / "examples/node-tasks/command"),
        "machines_command": str(machines),
    }
    book = {
        "hosts": "lab",
        "gather_facts": False,
        "vars": {
            "cluster_provider": "existing",
            "lab_profile": "lab",
            "fault_kubeconfig": str(api.kubeconfig(tmp_path / "kubeconfig")),
            "node_driver": "ssh",
            "node_deadline_s": 77,
        },
        "tasks": [
            *does("same", node_identity="abc"),
            *does("stop_kubelet"),
            *does("start_kubelet"),
            *does("cut_off", node_direction="incoming"),
            *does("join"),
            *does("rules", node_timeout_s=20),
            *does("kill", **custom),
            *does("start", **custom),
            {
                "ansible.builtin.copy": {
                    "dest": str(tmp_path / "kept.json"),
                    "content": "{{ steps | to_json }}",
                    "mode": "0600",
                }
            },
        ],
    }
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([book]))
    done = subprocess.run(
        ["ansible-playbook", f"--inventory={REPO}/inventory/lab", f"--inventory={inventory}", str(path)],
        cwd=REPO, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    api.server.shutdown()
    api.server.server_close()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    steps = {step["action"]: step for step in json.loads((tmp_path / "kept.json").read_text())}
    assert steps["same"]["state"] | {"half_open_s": 0} == {
        "name": "m02",
        "id": "abc",
        "state": "running",
        "incoming": False,
        "outgoing": False,
        "lossy": False,
        "slow": False,
        "kubelet": "active",
        "nameless": False,
        "half_open_s": 0,
        "symptoms": [],
    }
    assert steps["stop_kubelet"]["state"]["symptoms"] == ["no_kubelet"]
    assert steps["stop_kubelet"]["done"][0]["at"] > 1.7e9
    assert steps["start_kubelet"]["state"]["kubelet"] == "active"
    assert sum(call.startswith("iptables-save") for call in node.calls) >= 3
    assert steps["kill"]["state"]["symptoms"] == ["exited"]
    assert steps["start"]["state"]["state"] == "running"
    calls = "\n".join(node.calls)
    assert "systemd-run --quiet --unit=failover-lab-heal --on-active=77" in calls
    assert "tc filter add dev eth0 ingress pref 3713 protocol all bpf da bytecode 20," in calls
    assert "tc filter add dev eth0 egress" not in calls
    assert "tc filter del dev eth0 ingress pref 3713" in calls
