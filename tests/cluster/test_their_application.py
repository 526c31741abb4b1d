"""On somebody's application, with just the documented rights: measured, and nothing of it or a node changes.

It is there by another context, in a namespace of its own on the lab's own cluster, and no role has made it.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .conftest import BUSY, ROOT, SHORT, Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]

CONTEXT = "failover-lab-test-shop"
NAMESPACE = "shop"
RIGHTS = ROOT / "docs" / "how-to" / "rights.yml"
# Everything whose specs, labels and annotations have to stay as they were.
KINDS = (
    "deployments,replicasets,statefulsets,daemonsets,services,configmaps,poddisruptionbudgets,networkpolicies,"
    "serviceaccounts,resourcequotas,limitranges,roles,rolebindings,clusterroles,clusterrolebindings"
)
# With an engine that nobody is to ask, and no kubeconfig but the one in the settings.
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "KUBECONFIG": "/nonexistent/kubeconfig"}
# Where another application of the namespace does not count, its pods' emptyDirs are somebody else's data.
API_IS_NO_PART = ("-e", "fault_may_lose=emptydir")
# What Kubernetes itself writes down while pods come and go.
OWN_NOTES = ("resourceVersion", "managedFields", "generation", "uid", "creationTimestamp")


def workload(kind: str, name: str, template: dict[str, Any], replicas: int | None = None) -> dict[str, Any]:
    """One whose pods are as the site's, and of which the lab knows nothing."""
    spec: dict[str, Any] = copy.deepcopy(template)
    for ours in ("serviceAccount", "serviceAccountName", "topologySpreadConstraints"):
        spec.pop(ours, None)
    labels = {"app": name}
    spec["affinity"] = {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": labels},
                    },
                }
            ]
        }
    }
    found: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    if replicas is not None:
        found["spec"]["replicas"] = replicas
    if kind == "StatefulSet":
        found["spec"] |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    return found


def service(name: str, kind: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"type": kind, "selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def budget(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}},
    }


def apply(lab: Lab, *documents: Any) -> None:
    path = lab.home / "shop.yml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump_all(documents))
    lab.kubectl("apply", "--server-side", f"--filename={path}")


@pytest.fixture(scope="module")
def shop(lab: Lab) -> Iterator[Lab]:
    """The application, and a context that has just the documented rights; gone afterwards."""
    template = lab.get("deployment", "site", "--namespace=site")["spec"]["template"]["spec"]
    secrets = [
        {"apiVersion": "v1", "kind": "Secret", "type": item["type"], "data": item["data"]}
        | {"metadata": {"name": item["metadata"]["name"], "namespace": NAMESPACE}}
        for item in lab.get("secrets", "--namespace=site")["items"]
    ]
    apply(
        lab,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *secrets,
        workload("Deployment", "web", template, 3),
        workload("StatefulSet", "api", template, 2),
        workload("DaemonSet", "edge", template),
        *(budget(name) for name in ("web", "api")),
        service("web", "LoadBalancer"),
        service("api", "NodePort"),
        service("edge", "LoadBalancer"),
        *yaml.safe_load_all(RIGHTS.read_text()),
    )
    try:
        for what in ("deployment/web", "statefulset/api", "daemonset/edge"):
            lab.kubectl("rollout", "status", what, f"--namespace={NAMESPACE}", "--timeout=55s")
        yield dataclasses.replace(lab, profile=CONTEXT, namespace=NAMESPACE)
    finally:
        lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        for kind in ("clusterrole", "clusterrolebinding"):
            lab.kubectl("delete", kind, "failover-lab-look", "failover-lab-drain")
        for kind in ("role", "rolebinding"):
            lab.kubectl("delete", kind, "failover-lab-leases", "--namespace=kube-node-lease")
        deadline = time.monotonic() + 120
        while NAMESPACE in [item["metadata"]["name"] for item in lab.get("namespaces")["items"]]:
            assert time.monotonic() < deadline, f"the namespace {NAMESPACE} is still there"
            time.sleep(1)


@pytest.fixture
def theirs(lab: Lab, shop: Lab) -> tuple[str, ...]:
    """How to reach it: by a kubeconfig of the ServiceAccount alone."""
    config = yaml.safe_load(lab.kubectl("config", "view", "--raw", "--flatten", "--minify"))
    token = lab.kubectl(
        "create", "token", "failover-lab", f"--namespace={NAMESPACE}", "--duration=2h"
    ).strip()
    config["users"] = [{"name": "failover-lab", "user": {"token": token}}]
    config["contexts"] = [
        {
            "name": CONTEXT,
            "context": {"cluster": config["clusters"][0]["name"], "user": "failover-lab"},
        }
    ]
    config["current-context"] = CONTEXT
    path = shop.home / "shop-kubeconfig.yml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return (
        "-e",
        f"cluster_provider=existing cluster_kubeconfig={path} fault_namespace={NAMESPACE}",
        *SHORT,
        *BUSY,
    )


def objects(lab: Lab) -> dict[str, Any]:
    """Specs, labels and annotations of whatever the lab must not touch; pods come and go."""
    found = {}
    for kinds in ("nodes,namespaces,persistentvolumes", KINDS):
        for item in lab.get(kinds, "--all-namespaces")["items"]:
            meta = {key: value for key, value in item["metadata"].items() if key not in OWN_NOTES}
            rest = {key: value for key, value in item.items() if key not in ("metadata", "status")}
            found[f"{item['kind']}/{meta.get('namespace', '')}/{meta['name']}"] = rest | {"metadata": meta}
    return found


def unchanged(lab: Lab, before: dict[str, Any]) -> None:
    """A taint that follows from a cordon is taken off a moment after it."""
    deadline = time.monotonic() + 20
    while (now := objects(lab)) != before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert now == before


def uids(lab: Lab) -> dict[str, str]:
    items = lab.get("pods", f"--namespace={NAMESPACE}")["items"]
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in items}


def report_of(shop: Lab, *options: str) -> dict[str, Any]:
    played = shop.play("failover", *options, **NO_ENGINE)
    assert played.returncode == 0, played.output[-6000:]
    found: dict[str, Any] = json.loads((shop.reports / "latest" / "report.json").read_text())
    return found


def workers(lab: Lab) -> list[str]:
    controls = "node-role.kubernetes.io/control-plane"
    return [
        n["metadata"]["name"] for n in lab.get("nodes")["items"] if controls not in n["metadata"]["labels"]
    ]


def address(lab: Lab, name: str) -> str:
    found = lab.get("service", name, f"--namespace={NAMESPACE}")
    return str(found["status"]["loadBalancer"]["ingress"][0]["ip"])


def test_a_deployment_is_drained_and_each_replacement_answers(
    lab: Lab, shop: Lab, theirs: tuple[str, ...]
) -> None:
    before, old = objects(lab), uids(lab)
    report = report_of(shop, *theirs, "-e", "fault_service=web witness_path=/whoami", *API_IS_NO_PART)
    assert report["requests"]["failed"] == 0
    assert report["replacements"]
    assert all(row["answers"] > 0 and row["uid"] not in old.values() for row in report["replacements"])
    assert report["verdict"]["unproven"] == []
    unchanged(lab, before)


def test_two_services_are_one_application_asked_by_an_address_of_ones_own(
    lab: Lab, shop: Lab, theirs: tuple[str, ...]
) -> None:
    before, old = objects(lab), uids(lab)
    # Nobody looks who gave the answer, and no node's kernel is heard.
    url = f"http://{address(lab, 'web')}/"
    report = report_of(shop, *theirs, "-e", f"fault_service=web,api witness_url={url} witness_identity=none")
    assert report["address"] == url
    assert report["requests"]["failed"] == 0
    assert report["verdict"]["checks"]["replacements answered"] is None
    assert report["verdict"]["unproven"][-1].startswith("no answer says which pod gave it")
    replaced = {row["pod"] for row in report["replacements"]}
    assert {row["uid"] for row in report["replacements"]}.isdisjoint(old.values())
    again = replaced & {row["pod"] for row in report["displaced"]}
    assert again == {row["pod"] for row in report["displaced"] if row["pod"].startswith("api-")}
    unchanged(lab, before)


def test_a_pod_of_a_stateful_set_by_a_node_port(lab: Lab, shop: Lab, theirs: tuple[str, ...]) -> None:
    before, old = objects(lab), uids(lab)
    refused = shop.play("failover", *theirs, "-e", "fault_service=api", **NO_ENGINE)
    assert "has no address of a load balancer: give witness_url" in refused.error
    port = lab.get("service", "api", f"--namespace={NAMESPACE}")["spec"]["ports"][0]["nodePort"]
    node = lab.get("nodes")["items"][0]["status"]["addresses"]
    host = next(item["address"] for item in node if item["type"] == "InternalIP")
    url = f"http://{host}:{port}/whoami"
    report = report_of(shop, *theirs, "-e", f"fault_service=api fault_kind=pod witness_url={url}")
    (gone,), (new,) = report["displaced"], report["replacements"]
    assert (gone["pod"], gone["uid"]) == (new["pod"], old[new["pod"]])
    assert new["uid"] != gone["uid"]
    assert new["answers"] > 0
    unchanged(lab, before)


def test_a_drain_leaves_what_a_daemon_set_keeps_and_says_so(
    lab: Lab, shop: Lab, theirs: tuple[str, ...]
) -> None:
    before = objects(lab)
    report = report_of(shop, *theirs, "-e", "fault_service=edge witness_path=/whoami", *API_IS_NO_PART)
    assert (report["displaced"], report["replacements"]) == ([], [])
    assert "belongs to a DaemonSet, which a drain leaves on" in report["verdict"]["unproven"][0]
    assert report["verdict"]["checks"]["replacements answered"] is None
    unchanged(lab, before)


def test_what_is_not_to_be_lost_is_refused_before_anything_is_touched(
    lab: Lab, shop: Lab, theirs: tuple[str, ...]
) -> None:
    pods = lab.get("pods", f"--namespace={NAMESPACE}", "--selector=app=web")["items"]
    node = next(pod["spec"]["nodeName"] for pod in pods if pod["spec"]["nodeName"] in workers(lab))
    template = lab.get("deployment", "web", f"--namespace={NAMESPACE}")["spec"]["template"]["spec"]
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "alone", "namespace": NAMESPACE, "labels": {"app": "none"}},
        "spec": {key: value for key, value in template.items() if key != "affinity"} | {"nodeName": node},
    }
    apply(lab, bare)
    try:
        before = objects(lab)
        options = (*theirs, "-e", f"fault_service=web fault_node={node}")
        refused = shop.play("failover", *options, "-e", "fault_force=true", **NO_ENGINE)
        assert f"{NAMESPACE}/alone on {node} has no controller" in refused.error
        refused = shop.play("failover", *options, "-e", "fault_may_lose=orphans", **NO_ENGINE)
        # So does whichever pod of another Service is there.
        assert re.search(rf"{NAMESPACE}/alone[^:]* on {node} keeps? data in an emptyDir", refused.error)
        assert lab.cordoned() == []
        unchanged(lab, before)
        report_of(shop, *options, "-e", "fault_may_lose=orphans,emptydir witness_path=/whoami")
        assert "alone" not in uids(lab)
        unchanged(lab, before)
    finally:
        lab.kubectl(
            "delete", "pod", "alone", f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait=false"
        )


def test_a_right_that_is_missing_is_named(lab: Lab, shop: Lab, theirs: tuple[str, ...]) -> None:
    before = objects(lab)
    lab.kubectl("delete", "clusterrolebinding", "failover-lab-drain")
    try:
        refused = shop.play("failover", *theirs, "-e", "fault_service=web", *API_IS_NO_PART, **NO_ENGINE)
        assert "may not patch nodes; create pods/eviction: fault_kind=drain takes that" in refused.error
        assert "PLAY RECAP" in refused.output
        assert "Witness | Start" not in refused.output
        assert lab.cordoned() == []
    finally:
        apply(lab, *yaml.safe_load_all(RIGHTS.read_text()))
    unchanged(lab, before)
