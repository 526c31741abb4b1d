"""Nodes as hosts by ssh, or by one's own tasks: broken without an engine, and healed even if nobody comes

The nodes are those of the tests' lab. Whoever breaks them knows nothing of it: another context, no engine,
and an inventory of hosts that ssh reaches.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import BUSY, PROFILE, ROOT, SHORT, Lab, docker
from .sudden import comes, is_cut_off, nothing_is_left, state, within_node, workers

pytestmark = [pytest.mark.cluster, pytest.mark.nightly, pytest.mark.shares, pytest.mark.usefixtures("faster")]

THEIRS = f"{PROFILE}-by-ssh"
# With an engine that nobody is to ask.
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
DEADLINE_S = 45
EXAMPLE = ROOT / "examples" / "node-tasks" / "command"


def address(node: str) -> str:
    return docker(
        "container", "inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", node
    ).strip()


def key(lab: Lab, node: str) -> str:
    return f"{lab.environment['XDG_DATA_HOME']}/failover-lab/.minikube/machines/{node}/id_rsa"


def is_without_kubelet(node: str) -> bool:
    return within_node(node, "systemctl", "is-active", "kubelet").strip() == "inactive"


def is_killed(node: str) -> bool:
    return state(node) == "exited"


@pytest.fixture(scope="module")
def theirs(lab: Lab) -> Lab:
    """The same cluster by another context, with its nodes as hosts, and no engine."""
    config = yaml.safe_load(lab.kubectl("config", "view", "--raw", "--flatten", "--minify"))
    config["contexts"][0]["name"] = config["current-context"] = THEIRS
    kubeconfig = lab.home / "by-ssh.yml"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(config))
    hosts = {
        f"host-{node}": {
            "ansible_host": address(node),
            "ansible_user": "docker",
            "ansible_ssh_private_key_file": key(lab, node),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            # Nodes need no Python.
            "ansible_python_interpreter": "/nonexistent",
        }
        for node in [PROFILE, *workers()]
    }
    inventory = lab.home / "hosts-by-ssh.yml"
    inventory.write_text(yaml.safe_dump({"nodes": {"hosts": hosts}}))
    environment = lab.environment | NO_ENGINE | {"KUBECONFIG": str(kubeconfig)}
    return dataclasses.replace(lab, profile=THEIRS, environment=environment)


def options(theirs: Lab, **settings: Any) -> tuple[str, ...]:
    told: dict[str, Any] = {
        "cluster_provider": "existing",
        "cluster_kubeconfig": theirs.environment["KUBECONFIG"],
    }
    told |= {"node_deadline_s": DEADLINE_S * 8, "fault_node": workers()[0]}
    inventories = (f"--inventory={ROOT}/inventory/lab", f"--inventory={theirs.home}/hosts-by-ssh.yml")
    return (*inventories, "-e", json.dumps(told | settings), *SHORT, *BUSY)


@pytest.fixture
def machines(lab: Lab) -> Iterator[str]:
    """With this command somebody ends machines and starts them: by the engine that the play cannot reach."""
    path = lab.home / "machines"
    engine = os.environ.get("DOCKER_HOST", "")
    path.write_text(
        "#!/bin/sh\nset -e\n"
        f"export DOCKER_HOST='{engine}' PYTHONPATH='{ROOT}/src'\n"
        '[ -n "$DOCKER_HOST" ] || unset DOCKER_HOST\n'
        f'case "$1" in\n  off) {shutil.which("docker")} kill -s KILL "$2" >/dev/null 2>&1 || true ;;\n'
        f'  on) {sys.executable} -m failover_lab start-nodes --profile={PROFILE} --nodes="$2" ;;\n'
        f"  state) case $({shutil.which('docker')} inspect --format='{{{{.State.Status}}}}' \"$2\") in\n"
        "    running) echo on ;; *) echo off ;; esac ;;\nesac\n"
    )
    path.chmod(0o755)
    yield str(path)
    for node in workers():
        if state(node) != "running":
            subprocess.run([str(path), "on", node], check=True, timeout=120)


def passed(theirs: Lab, kind: str, **settings: Any) -> Any:
    played = theirs.play("failover", *options(theirs, fault_kind=kind, **settings))
    assert played.returncode == 0, played.output[-8000:]
    report = json.loads((theirs.reports / "latest" / "report.json").read_text())
    assert report["verdict"]["passed"] is True
    assert report["fault"]["kind"] == kind
    return report


@pytest.mark.parametrize("kind", ["kubelet", "partition"])
def test_by_ssh(lab: Lab, theirs: Lab, kind: str) -> None:
    passed(theirs, kind)
    nothing_is_left(lab)
    for node in workers():
        assert "failover-lab-heal" not in within_node(
            node, "systemctl", "list-timers", "--all", "--no-legend"
        )


def test_a_machine_that_is_turned_off_and_started_by_tasks_of_ones_own(
    lab: Lab, theirs: Lab, machines: str
) -> None:
    report = passed(theirs, "kill", node_kill="poweroff", node_tasks=str(EXAMPLE), machines_command=machines)
    assert report["clocks_s"]["capacity"] is not None
    nothing_is_left(lab)


def test_by_ones_own_tasks_alone(lab: Lab, theirs: Lab, machines: str) -> None:
    passed(theirs, "kill", fault_driver="custom", node_tasks=str(EXAMPLE), machines_command=machines)
    nothing_is_left(lab)


def test_the_watchdog_fences_by_them(lab: Lab, theirs: Lab, machines: str) -> None:
    # What it plays sees the inventory alone.
    inventory = theirs.home / "hosts-by-ssh.yml"
    hosts = yaml.safe_load(inventory.read_text())
    inventory.write_text(yaml.safe_dump(hosts | {"all": {"vars": {"machines_command": machines}}}))
    try:
        passed(theirs, "kill", fault_driver="custom", node_tasks=str(EXAMPLE), fault_recovery="watchdog")
    finally:
        inventory.write_text(yaml.safe_dump(hosts))
    nothing_is_left(lab)


SIGNS: dict[str, Callable[[str], bool]] = {
    "partition": lambda node: is_cut_off(node, "ingress") and is_cut_off(node, "egress"),
    "kubelet": is_without_kubelet,
}


@pytest.mark.parametrize("kind", list(SIGNS))
def test_a_node_heals_itself_if_nobody_comes(lab: Lab, theirs: Lab, kind: str) -> None:
    node, shows = workers()[0], SIGNS[kind]
    lab.spread_anew()
    given = options(theirs, fault_kind=kind, node_deadline_s=DEADLINE_S)
    process = theirs.start("failover", *given)
    try:
        comes(process, lambda: shows(node), "it was not broken in 120 s")
        struck = time.monotonic()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        print(process.communicate(timeout=60)[0][-6000:])
    # The way by which it was broken stays open meanwhile.
    ssh = [
        "ssh",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]
    ssh += ["-o", "ConnectTimeout=5", "-i", key(lab, node), f"docker@{address(node)}", "true"]
    subprocess.run(ssh, check=True, timeout=20)
    if kind == "partition":
        # Its kubelet's port.
        with pytest.raises(TimeoutError, match="timed out"):
            socket.create_connection((address(node), 10250), 2)
    assert shows(node)
    while shows(node):
        assert time.monotonic() - struck < DEADLINE_S + 15, "it has not healed itself"
        time.sleep(0.5)
    assert time.monotonic() - struck > DEADLINE_S - 15, "it was not its own timer"
    lab.kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=60s")
    healed = theirs.play("recover", *options(theirs))
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)


def test_what_cannot_be_is_refused_with_what_can(lab: Lab, theirs: Lab) -> None:
    before = docker("ps", "--all", "--no-trunc", f"--filter=name=^{PROFILE}", "--format={{.ID}} {{.State}}")
    # A node that was lost may have no pod by now.
    node = next(node for _, node in lab.pods().values() if node in workers())
    for settings, why in [
        (
            {"fault_kind": "freeze", "fault_driver": "ssh"},
            "fault_driver=ssh cannot do fault_kind=freeze: docker can",
        ),
        (
            {"fault_kind": "kill", "fault_recovery": "watchdog", "fault_driver": "ssh"},
            "which fault_driver=ssh cannot: docker can",
        ),
        ({"fault_kind": "kill", "node_kill": "crash", "fault_driver": "ssh"}, "it is a container"),
    ]:
        refused = theirs.play("failover", *options(theirs, **settings, fault_node=node))
        assert refused.returncode != 0
        assert why in refused.error
    assert (
        docker("ps", "--all", "--no-trunc", f"--filter=name=^{PROFILE}", "--format={{.ID}} {{.State}}")
        == before
    )
    assert Path("/proc/sys/kernel/panic").read_text().strip() != str(DEADLINE_S * 8)
    nothing_is_left(lab)
