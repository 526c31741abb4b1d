"""On a cluster that the lab did not make site, drain, pod, witness and report work; nothing else changes.

minikube alone starts it, with the images that are there already; then nothing of the lab asks the engine.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from .conftest import PROFILE, SHORT, Lab, docker, give_addresses

if TYPE_CHECKING:
    from .conftest import Played

pytestmark = pytest.mark.cluster

BARE = f"{PROFILE}-bare"
THEIRS = f"{PROFILE}-theirs"
# With an engine that nobody is to ask, and no kubeconfig but the one in the settings.
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "KUBECONFIG": "/nonexistent/kubeconfig"}


def start_flags(lab: Lab) -> list[str]:
    """How the first lab's own cluster was started, for one of two nodes and another name."""
    words: list[str] = json.loads((lab.state / "cluster.json").read_text())["start"]
    ours = ("--profile=", "--nodes=")
    return [*(w for w in words if not w.startswith(ours)), f"--profile={BARE}", "--nodes=2"]


def minikube(lab: Lab, *words: str) -> None:
    home = {"MINIKUBE_HOME": lab.environment["XDG_DATA_HOME"] + "/failover-lab/.minikube"}
    done = subprocess.run(
        words, env=lab.environment | home, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.fixture(scope="module")
def bare(lab: Lab) -> Iterator[Lab]:
    """The cluster, with MetalLB, and within reach of the registry; gone afterwards."""
    result = dataclasses.replace(lab, profile=BARE)
    flags = start_flags(lab)
    try:
        minikube(lab, *flags)
        docker("network", "connect", BARE, f"{PROFILE}-registry")
        give_addresses(result, BARE)
        yield result
    finally:
        subprocess.run(
            ["docker", "network", "disconnect", "--force", BARE, f"{PROFILE}-registry"],
            capture_output=True,
            timeout=60,
            check=False,  # it may not have come so far
        )
        minikube(lab, flags[0], "delete", f"--profile={BARE}")
        # minikube leaves the network of several nodes behind.
        docker("network", "rm", "--force", BARE)


def existing(lab: Lab) -> tuple[str, ...]:
    """The cluster is there already, and this is how to reach it."""
    return ("-e", f"cluster_provider=existing cluster_kubeconfig={lab.environment['KUBECONFIG']}")


@pytest.fixture(scope="module")
def image(lab: Lab) -> tuple[str, ...]:
    """The site's image, and how to pull it."""
    spec = lab.get("deployment", "site", "--namespace=site")["spec"]["template"]["spec"]
    settings = {
        "site_image": spec["containers"][0]["image"],
        "site_replicas": 3,
        "site_pull_registry": f"{PROFILE}-registry:5000",
        "site_pull_username": "lab",
        "site_pull_password": (lab.state / "registry" / "password").read_text().strip(),
    }
    path = lab.home / "existing.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(settings))
    return (*existing(lab), "-e", f"@{path}")


def objects(bare: Lab) -> dict[str, Any]:
    """What the lab must not touch: the specs of the nodes and of every workload outside the site."""
    found = {f"Node/{n['metadata']['name']}": n["spec"] for n in bare.get("nodes")["items"]}
    for item in bare.get("deployments,daemonsets,configmaps", "--all-namespaces")["items"]:
        meta = item["metadata"]
        if meta["namespace"] != bare.namespace:
            name = f"{item['kind']}/{meta['namespace']}/{meta['name']}"
            found[name] = item.get("spec") or item.get("data")
    return found


@pytest.fixture
def found(lab: Lab) -> Iterator[Lab]:
    """The lab's own cluster, as whoever knows nothing of the lab finds it: by another context.

    Afterwards the lab's own pods are where they were: they too had to leave the node that was drained.
    """
    path = lab.home / "theirs.yml"
    config = yaml.safe_load(lab.kubectl("config", "view", "--raw", "--flatten", "--minify"))
    config["contexts"][0]["name"] = config["current-context"] = THEIRS
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    theirs = lab.environment | {"KUBECONFIG": str(path)}
    yield dataclasses.replace(lab, profile=THEIRS, namespace="theirs", environment=theirs)
    lab.is_as_set_up = False
    lab.put_back()


def test_a_drain_on_a_cluster_that_is_there(found: Lab, image: tuple[str, ...]) -> None:
    options = (*existing(found), "-e", f"site_namespace={found.namespace}")
    before = objects(found)
    played = found.play("setup", *image, *options, **NO_ENGINE)
    assert played.returncode == 0, played.output[-6000:]
    pods = found.pods()
    assert len(pods) == 3
    drain = report_of(found.play("failover", *options, *SHORT, **NO_ENGINE), found)
    assert drain["requests"]["failed"] == 0
    assert drain["lab"]["minikube"] is None
    fresh = {row["uid"] for row in drain["replacements"]}
    assert fresh
    assert fresh.isdisjoint(uid for uid, _ in pods.values())
    assert found.cordoned() == []

    gone = found.play("teardown", *options, **NO_ENGINE)
    assert gone.returncode == 0, gone.output[-4000:]
    assert found.namespace not in [item["metadata"]["name"] for item in found.get("namespaces")["items"]]
    assert objects(found) == before


def report_of(played: Played, bare: Lab) -> Any:
    assert played.returncode == 0, played.output[-6000:]
    return json.loads((bare.reports / "latest" / "report.json").read_text())


@pytest.mark.nightly
def test_a_namespace_of_somebody_elses_is_neither_taken_nor_removed(
    bare: Lab, image: tuple[str, ...]
) -> None:
    bare.kubectl("create", "namespace", "site")
    try:
        before = bare.get("namespace", "site")["metadata"]
        refused = bare.play("setup", *image, **NO_ENGINE)
        assert refused.returncode != 0
        assert "namespace site on the cluster" in refused.error
        assert "choose another site_namespace" in refused.error
        assert refused.changed == 0
        spared = bare.play("teardown", *existing(bare), **NO_ENGINE)
        assert spared.returncode == 0, spared.output[-4000:]
        assert bare.get("namespace", "site")["metadata"] == before
        assert bare.get("all,networkpolicies", "--namespace=site")["items"] == []
    finally:
        bare.kubectl("delete", "namespace", "site")


@pytest.mark.nightly
def test_the_site_and_its_failover_on_a_cluster_of_somebody_elses(bare: Lab, image: tuple[str, ...]) -> None:
    options = existing(bare)
    before = objects(bare)
    played = bare.play("setup", *image, **NO_ENGINE)
    assert played.returncode == 0, played.output[-6000:]
    assert len(bare.pods()) == 3
    again = bare.play("setup", *image, **NO_ENGINE)
    assert again.changed == 0, again.output[-4000:]

    pods = bare.pods()
    drain = report_of(bare.play("failover", *options, *SHORT, **NO_ENGINE), bare)
    assert drain["requests"]["failed"] == 0
    assert drain["lab"]["minikube"] is None
    assert {row["uid"] for row in drain["replacements"]}.isdisjoint(uid for uid, _ in pods.values())
    assert bare.cordoned() == []

    # With two nodes all pods are on the other one now.
    played = bare.play("setup", *image, **NO_ENGINE)
    assert played.returncode == 0, played.output[-6000:]
    killed = report_of(bare.play("failover", *options, *SHORT, "-e", "fault_kind=pod", **NO_ENGINE), bare)
    assert len(killed["displaced"]) == 1
    assert all(row["answers"] > 0 for row in killed["replacements"])

    for kind in ("kill", "kubelet"):
        refused = bare.play("failover", *options, "-e", f"fault_kind={kind}", **NO_ENGINE)
        assert refused.returncode != 0
        assert f"fault_kind={kind} needs a driver" in refused.error
    assert objects(bare) == before

    screen = bare.play("status", *options, **NO_ENGINE)
    assert "3 of 3 pods ready" in screen.output
    gone = bare.play("teardown", *options, **NO_ENGINE)
    assert gone.returncode == 0, gone.output[-4000:]
    assert "site" not in [item["metadata"]["name"] for item in bare.get("namespaces")["items"]]
    assert objects(bare) == before
    assert bare.play("teardown", *options, **NO_ENGINE).changed == 0


@pytest.mark.nightly
def test_a_context_that_is_none_is_refused(lab: Lab) -> None:
    config = yaml.safe_load(Path(lab.environment["KUBECONFIG"]).read_text())
    assert "nobody" not in {context["name"] for context in config["contexts"]}
    refused = dataclasses.replace(lab, profile="nobody").play("setup", *existing(lab), **NO_ENGINE)
    assert refused.returncode != 0
    assert "the context nobody" in refused.error
    assert "get-contexts" in refused.error


@pytest.mark.nightly
def test_what_would_change_its_nodes_is_refused(lab: Lab) -> None:
    refused = lab.play("setup", *existing(lab), "-e", "cluster_failure_detection=fast")
    assert refused.returncode != 0
    assert "which the lab does not do to a cluster that it did not make" in refused.error
