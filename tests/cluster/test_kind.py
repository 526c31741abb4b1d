"""A cluster that kind made, with an application: its nodes are broken as minikube's are, and it is as before.

Once the lab is gone, kind makes one of its own, on the lab's node image; no play sets anything up.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import BUSY, PROFILE, ROOT, SHORT, Lab, docker, give_addresses
from .sudden import is_cut_off, nobody_asks, state, within_node

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]

NAME = f"{PROFILE}-kind"
NODES = [f"{NAME}-control-plane", f"{NAME}-worker", f"{NAME}-worker2"]
IMAGE = f"{PROFILE}/site:kind"
REPLICAS = 3
# A kind of fault, and who gives the node's work away: Kubernetes takes its time until a node is dead, 40 s.
RUNS = {
    "kill": ("kill", "automatic"),
    "kill, watchdog": ("kill", "watchdog"),
    "freeze": ("freeze", "watchdog"),
    "partition": ("partition", "watchdog"),
    "kubelet": ("kubelet", "automatic"),
}


def newest(name: str) -> str:
    """The lab's newest image of this name."""
    return docker(
        "images", f"--filter=reference=failover-lab/{name}", "--format={{.Repository}}:{{.Tag}}"
    ).split()[0]


def clear() -> None:
    """Remove it, or what a killed test run has left of it."""
    ours = f"--filter=label=io.x-k8s.kind.cluster={NAME}"
    for node in docker("ps", "--all", "--quiet", ours).split():
        docker("rm", "--force", "--volumes", node)


@pytest.fixture(scope="module")
def made(unmade: Lab) -> Iterator[Lab]:
    """The cluster, with MetalLB and an image of the site in its nodes; gone afterwards."""
    result = dataclasses.replace(unmade, profile=f"kind-{NAME}")

    def program() -> str:
        return str(max(Path(f"{unmade.environment['LAB_CACHE']}-kind").glob("kind-v*")))

    def run(*words: str) -> None:
        done = subprocess.run(
            words, env=unmade.environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"

    clear()
    had_network = "kind" in docker("network", "ls", "--format={{.Name}}").split()
    try:
        run(str(ROOT / "bench" / "kind" / "create"), NAME)
        give_addresses(result, "kind")
        docker(
            "build", "--quiet", f"--build-arg=BASE_IMAGE={newest('nginx')}", f"--tag={IMAGE}", f"{ROOT}/site"
        )
        run(program(), "load", "docker-image", IMAGE, f"--name={NAME}")
        yield result
    finally:
        clear()
        docker("image", "rm", "--force", IMAGE)
        if not had_network:
            docker("network", "rm", "kind")


def manifests() -> list[dict[str, Any]]:
    """An application of which the lab knows nothing, and that does without a node that is dead."""
    labels = {"app.kubernetes.io/name": "site"}

    def own(name: str, path: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    without = [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute"}
        | {"tolerationSeconds": 5}
        for what in ("not-ready", "unreachable")
    ]
    spread = {
        "topologyKey": "kubernetes.io/hostname",
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    container = {
        "name": "site",
        "image": IMAGE,
        "env": [own("POD_NAME", "metadata.name"), own("NODE_NAME", "spec.nodeName")],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "tolerations": without, "topologySpreadConstraints": [spread]},
    }
    name = {"name": "site", "namespace": "site"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "site"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": name,
            "spec": {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": name,
            "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]


@pytest.fixture(scope="module")
def served(made: Lab) -> Lab:
    path = made.home / "application.yml"
    path.write_text(yaml.safe_dump_all(manifests()))
    made.kubectl("apply", f"--filename={path}")
    made.rolled_out()
    assert len(made.pods()) == REPLICAS
    return made


def existing(lab: Lab) -> dict[str, Any]:
    return {
        "cluster_provider": "existing",
        "cluster_kubeconfig": lab.environment["KUBECONFIG"],
        "fault_namespace": "site",
        "fault_service": "site",
        "witness_path": "/whoami",
    }


def nodes(lab: Lab) -> dict[str, Any]:
    """All of the nodes that whoever owns them has a say in."""
    return {
        node["metadata"]["name"]: [node["spec"], node["metadata"]["labels"], node["metadata"]["annotations"]]
        for node in lab.get("nodes")["items"]
    }


@pytest.mark.parametrize("name", RUNS)
def test_its_nodes_are_broken_as_those_of_minikube(served: Lab, name: str) -> None:
    kind, recovery = RUNS[name]
    # Whoever owns them spreads them again; a run leaves that to him.
    served.spread_anew()
    before, pods = nodes(served), served.pods()
    assert set(before) == set(NODES)
    settings = existing(served) | {"fault_kind": kind, "fault_recovery": recovery}
    played = served.play("failover", "-e", json.dumps(settings), *SHORT, *BUSY)
    assert played.returncode == 0, played.output[-8000:]
    report = json.loads((served.reports / "latest" / "report.json").read_text())
    assert report["verdict"]["passed"] is True
    assert report["fault"]["kind"] == kind
    lost = report["fault"]["node"]
    assert lost in NODES[1:]
    assert {row["uid"] for row in report["displaced"]} == {uid for uid, node in pods.values() if node == lost}
    fresh = report["replacements"]
    assert fresh
    assert {row["uid"] for row in fresh}.isdisjoint(uid for uid, _ in pods.values())
    assert all(row["answers"] > 0 for row in fresh)
    for clock in ("endpoints", "capacity"):
        assert report["clocks_s"][clock] is not None
    assert nodes(served) == before
    for node in NODES:
        assert state(node) == "running"
        assert within_node(node, "systemctl", "is-active", "kubelet").strip() == "active"
        assert not is_cut_off(node, "ingress")
        assert not is_cut_off(node, "egress")
    nobody_asks(served)
