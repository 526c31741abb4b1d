"""Two labs side by side: neither knows of the other, and the end of one is no affair of the other's."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import PROFILE, SECOND, Lab, containers_of, docker
from .pictures import picture

pytestmark = pytest.mark.cluster


NO_NODES = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-nodes}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [nodes]}]
  validations: [{expression: "false", message: not yet}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-nodes}
spec: {policyName: no-nodes, validationActions: [Deny]}
"""


def has_joined(node: str) -> bool:
    """Whether kubeadm's part is done: the kubelet has its key."""
    looked = ["docker", "exec", node, "test", "-f", "/etc/kubernetes/kubelet.conf"]
    return subprocess.run(looked, capture_output=True, timeout=60, check=False).returncode == 0


@contextlib.contextmanager
def slow_to_register(lab: Lab) -> Iterator[None]:
    """A second node that joins is not let into the cluster for six seconds, as on a very busy machine."""
    policy = lab.home / "no-nodes.yml"
    policy.write_text(NO_NODES)
    over = threading.Event()

    def hold() -> None:
        applied = False
        while not applied and not over.wait(0.3):
            with contextlib.suppress(AssertionError):
                lab.kubectl("apply", f"--filename={policy}")
                applied = True
        while not has_joined(f"{lab.profile}-m02"):
            if over.wait(0.3):
                return
        over.wait(6)
        lab.kubectl("delete", f"--filename={policy}")

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def second(lab: Lab) -> Iterator[Lab]:
    """Another lab, as small as can be, its setup not spared anything; gone afterwards, whatever happens."""
    result = dataclasses.replace(lab, profile=SECOND)
    try:
        with slow_to_register(result):
            played = result.play("setup", "-e", "cluster_nodes=2", "-e", "site_replicas=2")
        assert played.returncode == 0, played.output[-6000:]
        went_on = played.output.partition("Start | Go on from there")[2].partition("TASK [")[0]
        assert "changed:" in went_on, "minikube did not give up: the node was not late"
        yield result
    finally:
        gone = result.play("teardown")
        assert gone.returncode == 0, gone.output[-6000:]


def subnet(profile: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(
        json.loads(docker("network", "inspect", profile))[0]["IPAM"]["Config"][0]["Subnet"]
    )


def contexts(lab: Lab) -> tuple[str, set[str]]:
    config = yaml.safe_load(Path(lab.environment["KUBECONFIG"]).read_text())
    return config["current-context"], {context["name"] for context in config["contexts"]}


def serves(lab: Lab, nodes: int) -> None:
    """Every node is ready, and who answers is one of this lab's pods."""
    found = lab.get("nodes")["items"]
    ready = [c["status"] for node in found for c in node["status"]["conditions"] if c["type"] == "Ready"]
    assert ready == ["True"] * nodes
    who = json.loads(lab.ask("/whoami")[0])
    assert lab.pods()[who["pod"]][1] == who["node"]


@pytest.fixture
def before(lab: Lab) -> dict[str, str]:
    """The first lab before there is another one."""
    return picture(lab)


def test_two_labs_side_by_side(lab: Lab, before: dict[str, str], second: Lab) -> None:
    assert set(containers_of(SECOND)) == {SECOND, f"{SECOND}-m02"}
    serves(second, nodes=2)
    serves(lab, nodes=3)
    assert second.url() != lab.url()
    assert not subnet(SECOND).overlaps(subnet(PROFILE))
    assert second.registry_port() != lab.registry_port()
    assert contexts(lab) == ("users-own", {"users-own", PROFILE, SECOND})

    gone = second.play("teardown")
    assert gone.returncode == 0, gone.output[-4000:]
    assert SECOND not in docker("ps", "--all", "--format={{.Names}}")
    assert SECOND not in docker("network", "ls", "--format={{.Name}}")
    assert SECOND not in docker("volume", "ls", "--format={{.Name}}")
    assert not second.state.exists()
    assert contexts(lab) == ("users-own", {"users-own", PROFILE})
    assert picture(lab) == before
    serves(lab, nodes=3)
