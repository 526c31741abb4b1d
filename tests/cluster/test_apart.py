"""Roles one by one on the living lab, and the plays in check mode: nothing changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import PROFILE, docker
from .pictures import picture

if TYPE_CHECKING:
    from .conftest import Lab

# From here on more runs beside, for whoever runs it all.
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.nightly,
    pytest.mark.shares,
    pytest.mark.usefixtures("nightly_parts_ahead"),
]


def for_cluster(lab: Lab) -> dict[str, Any]:
    recorded = json.loads((lab.state / "cluster.json").read_text())
    return {"cluster_minikube": recorded["start"][0], "cluster_containers": [f"{PROFILE}-registry"]}


def for_load_balancer(lab: Lab) -> dict[str, Any]:
    # Built or downloaded: the same.
    cache = Path(lab.environment["LAB_CACHE"])
    found = [*cache.glob("manifests/metallb-*.yaml"), *cache.glob("release/metallb-*.yaml")]
    subnet = json.loads(docker("network", "inspect", PROFILE))[0]["IPAM"]["Config"][0]["Subnet"]
    prefix = subnet.rpartition(".")[0]
    return {
        "load_balancer_manifest": str(max(found, key=lambda path: path.stat().st_mtime_ns)),
        "load_balancer_pool": f"{prefix}.200-{prefix}.250",
        # Of the network between the pods, which the role cannot know by itself.
        "load_balancer_waits_for": "/run/flannel/subnet.env",
    }


def for_site(lab: Lab) -> dict[str, Any]:
    spec = lab.get("deployment", "site", "--namespace=site")["spec"]["template"]["spec"]
    password = lab.state / "registry" / "password"
    return {
        "site_image": spec["containers"][0]["image"],
        "site_pull_registry": f"{PROFILE}-registry:5000",
        "site_pull_username": "lab",
        "site_pull_password": f"{{{{ lookup('ansible.builtin.file', '{password}') }}}}",
    }


ALONE: dict[str, tuple[str, Callable[[Lab], dict[str, Any]]]] = {
    "cluster": ("main", for_cluster),
    "load_balancer": ("main", for_load_balancer),
    "site": ("main", for_site),
    "fault": ("preflight", lambda _lab: {}),
}


@pytest.mark.parametrize("role", list(ALONE))
def test_a_role_alone_finds_nothing_to_change(lab: Lab, role: str, tmp_path: Path) -> None:
    entry, values = ALONE[role]
    play = {
        "hosts": "lab",
        "gather_facts": False,
        # Which cluster is meant, for the role that has no setting for it.
        "environment": {
            "K8S_AUTH_CONTEXT": PROFILE,
            "K8S_AUTH_KUBECONFIG": lab.environment["KUBECONFIG"].split(os.pathsep)[0],
        },
        "vars": values(lab),
        "tasks": [{"name": "Alone", "ansible.builtin.include_role": {"name": role, "tasks_from": entry}}],
    }
    (tmp_path / "alone.yml").write_text(json.dumps([play]))
    before = picture(lab)
    played = lab.play(str(tmp_path / "alone"))
    assert played.returncode == 0, played.output[-4000:]
    assert played.changed == 0, [line for line in played.output.splitlines() if line.startswith("changed:")]
    assert picture(lab) == before


@pytest.mark.parametrize("playbook", ["failover", "recover", "status", "teardown"])
def test_check_mode_changes_nothing(lab: Lab, playbook: str) -> None:
    before = picture(lab)
    checked = lab.play(playbook, "--check", "--diff")
    assert checked.returncode == 0, checked.output[-4000:]
    assert picture(lab) == before
    if playbook == "failover":
        assert f"Would drain {PROFILE}-m0" in " ".join(checked.output.split())
    if playbook == "teardown":
        assert checked.changed > 0, "it promises to remove nothing"
