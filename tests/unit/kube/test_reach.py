"""What keeps users from a Service is named, and whether somebody is there is asked."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from failover_lab.faults import preflight
from failover_lab.kube import reach
from failover_lab.kube.names import EXCLUDE

Object = dict[str, Any]


def node(name: str, *, excluded: bool = False, ready: bool = True) -> Object:
    return {
        "metadata": {"name": name, "labels": {EXCLUDE: ""} if excluded else {}},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]},
    }


def service(
    address: str = "192.0.2.9", port: int = 80, annotations: Object | None = None, **spec: Any
) -> Object:
    return {
        "metadata": {"name": "site", "annotations": annotations or {}},
        "spec": {"ports": [{"port": port}]} | spec,
        "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
    }


@pytest.mark.parametrize(
    ("labels", "version"),
    [
        (["v1.2.3", "v1.2.3"], "v1.2.3"),
        (["v1.3.0", None, "v1.2.3"], "v1.2.3, v1.3.0"),
        ([None], None),
        ([], None),
    ],
)
def test_the_version_of_minikube_is_the_one_that_the_nodes_name(
    labels: list[str | None], version: str | None
) -> None:
    nodes = [node(f"n{number}") for number in range(len(labels))]
    for item, label in zip(nodes, labels, strict=True):
        item["metadata"]["labels"] = {"minikube.k8s.io/version": label} if label else {}
    assert preflight.minikube_of(nodes) == version


WELL = service(sessionAffinity="None", externalTrafficPolicy="Cluster", internalTrafficPolicy="Cluster")


@pytest.mark.parametrize(
    ("given", "nodes", "said"),
    [
        (
            WELL,
            [node("a", excluded=True), node("b", excluded=True)],
            "no node may announce the address: a, b with",
        ),
        (WELL, [node("a", excluded=True), node("b", ready=False)], "(b not ready)"),
        (service(loadBalancerClass="x/y"), [], "only a load balancer of that class"),
        (service(loadBalancerSourceRanges=["10.1.0.0/16", "::/0"]), [], "lets only 10.1.0.0/16, ::/0 in"),
        (service(externalTrafficPolicy="Local"), [], "only pods on the node that announces"),
        (service(sessionAffinity="ClientIP"), [], "every request of one client meets one pod"),
        (service(trafficDistribution="PreferSameNode"), [], "spec.trafficDistribution is PreferSameNode"),
        (
            service(annotations={"service.kubernetes.io/topology-mode": "Auto"}),
            [],
            "the annotation service.kubernetes.io/topology-mode is Auto",
        ),
    ],
    ids=str,
)
def test_what_hinders_is_named(given: Object, nodes: list[Object], said: str) -> None:
    (found,) = reach.hindrances(given, nodes)
    assert said in found


@pytest.mark.parametrize("nodes", [[], [node("a")], [node("a", excluded=True), node("b")]])
def test_nothing_hinders(nodes: list[Object]) -> None:
    assert reach.hindrances(WELL, nodes) == []
    off = service(annotations={"service.kubernetes.io/topology-mode": "Disabled"})
    assert reach.hindrances(off, nodes) == []


def test_somebody_is_there_or_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert reach.answers(service("127.0.0.1", port), 0.2)
    assert not reach.answers(service("127.0.0.1", port), 0.2)


def test_a_moment_s_silence_is_waited_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = threading.Event()

    def serve() -> None:
        began.wait(5)
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(10)
            server.accept()[0].close()

    thread = threading.Thread(target=serve)
    thread.start()
    threading.Timer(0.3, began.set).start()
    assert reach.answers(service("127.0.0.1", port), 10)
    thread.join()


def test_a_name_that_nobody_knows_is_nobody() -> None:
    assert not reach.answers(service("nobody.invalid"), 0)


def test_a_dead_address_is_refused_with_its_cause() -> None:
    said = preflight.silent("lab", service(loadBalancerSourceRanges=["10.1.0.0/16"]), [node("a")])
    assert said.startswith(
        "Nobody takes a connection at http://192.0.2.9, so there is nothing to fail over: "
        "spec.loadBalancerSourceRanges lets only 10.1.0.0/16 in."
    )
    assert "status.yml -e lab_profile=lab" in said


@pytest.mark.parametrize(
    ("spec", "all_of_them"),
    [
        ({}, True),
        ({"externalTrafficPolicy": "Cluster", "sessionAffinity": "None"}, True),
        ({"externalTrafficPolicy": "Local"}, False),
        ({"sessionAffinity": "ClientIP"}, False),
    ],
)
def test_whom_a_client_meets(spec: dict[str, str], *, all_of_them: bool) -> None:
    assert reach.meets_all({"spec": spec}) is all_of_them
