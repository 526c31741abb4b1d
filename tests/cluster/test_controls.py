"""Negative controls: take one protection away, and the loss that theory predicts is there, with its cause.

A witness that reports no loss proves nothing unless it reports one where there has to be one.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import PROFILE, SHORT
from .planted import agrees, planted
from .web_server import CONTAINER, WHO, configured

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.cluster


def slow_start(seconds: int) -> str:
    """What a container does that serves so many seconds after its start, and is at rest until then."""
    return f"sleep {seconds}; exec /site/entrypoint.sh"


def patch(lab: Lab, *operations: dict[str, Any]) -> None:
    """Change the Deployment by JSON patch and wait until it is rolled out."""
    lab.kubectl(
        *("patch", "deployment", "site", "--namespace=site", "--type=json"),
        f"--patch={json.dumps(operations)}",
    )
    lab.rolled_out()


@pytest.fixture(scope="module")
def protected(lab: Lab) -> Lab:
    """The lab as setup leaves it; each control leaves it so too."""
    lab.put_back()
    return lab


@pytest.fixture
def unprotected(protected: Lab) -> Iterator[Lab]:
    """The lab as setup leaves it, and again afterwards, whatever was patched meanwhile."""
    lab = protected
    before = {kind: lab.get(kind, "site", "--namespace=site") for kind in ("deployment", "pdb")}
    yield lab
    for kind, thing in before.items():
        lab.kubectl("delete", kind, "site", "--namespace=site", "--ignore-not-found", "--wait=true")
        thing["metadata"] = {
            key: thing["metadata"][key] for key in ("name", "namespace", "labels", "annotations")
        }
        del thing["status"]
        path = lab.home / f"{kind}.json"
        path.write_text(json.dumps(thing))
        lab.kubectl("create", f"--filename={path}")
    lab.rolled_out()
    # What was asked of nobody is remembered for two minutes, and would be asked of nobody again.
    for node in (PROFILE, f"{PROFILE}-m02", f"{PROFILE}-m03"):
        subprocess.run(
            ["docker", "exec", node, "conntrack", "-D", "-p", "tcp", "--dport", "80"],
            capture_output=True,
            timeout=60,
            check=False,  # 1: there was nothing to forget
        )


def every_pod_answers(lab: Lab) -> None:
    """Wait until each has answered, whatever fails until then."""
    silent = set(lab.pods())
    deadline = time.monotonic() + 40
    while silent:
        assert time.monotonic() < deadline, f"{silent} did not answer in 40 s"
        with contextlib.suppress(OSError):
            silent.discard(json.loads(lab.ask("/whoami")[0])["pod"])
        time.sleep(0.02)


def drained(lab: Lab, *options: str) -> dict[str, Any]:
    """Drain a node; gives back the report, whatever the verdict."""
    latest = lab.reports / "latest"
    before = latest.resolve()
    played = lab.play("failover", *SHORT, *options)
    assert latest.resolve() != before, f"this run made no report: {played.output[-4000:]}"
    report: dict[str, Any] = json.loads((latest / "report.json").read_text())
    assert (played.returncode == 0) is report["verdict"]["passed"], played.output[-4000:]
    return report


def causes(report: dict[str, Any]) -> dict[str, int]:
    """How many requests were lost by each cause."""
    found: dict[str, int] = {}
    for group in report["failures"]:
        found[group["cause"]] = found.get(group["cause"], 0) + group["count"]
    assert sum(found.values()) == report["requests"]["failed"]
    return found


def main_cause(report: dict[str, Any]) -> str:
    """The cause of most losses."""
    found = causes(report)
    assert found, "nothing was lost, though it had to be"
    assert not report["verdict"]["passed"]
    assert any("lost" in reason for reason in report["verdict"]["reasons"]), report["verdict"]
    return max(found, key=lambda cause: found[cause])


@pytest.mark.nightly
def test_without_the_sleep_before_the_stop(unprotected: Lab) -> None:
    # Told to stop, nginx closes its door at once; the nodes' rules send users there for a moment more.
    played = unprotected.play("setup", "-e", "site_prestop_s=0")
    assert played.returncode == 0, played.output[-4000:]
    assert main_cause(drained(unprotected)) == "shutdown_race"


@pytest.fixture
def slow_answers(unprotected: Lab) -> Iterator[Lab]:
    """The same, its answers three seconds long, and told to stop without a sleep before.

    The kubelet grants two seconds even to who is granted none: shorter answers would still be finished.
    """
    # Each second 220 of an answer's some 770 bytes, the first ones at once.
    with configured(unprotected, "slow", f"{WHO}\n            limit_rate 220;") as mounted:
        patch(unprotected, {"op": "remove", "path": f"{CONTAINER}/lifecycle"}, *mounted)
        yield unprotected


@pytest.mark.nightly
def test_without_a_graceful_stop(slow_answers: Lab) -> None:
    # Given time, the server finishes what it is at work on: only what comes too late for it is lost.
    graceful = drained(slow_answers)
    assert 2500 <= graceful["latency_ms"]["p50"] <= 4500
    assert "ungraceful_stop" not in causes(graceful)
    # Given none, it is killed in the middle of its answers.
    patch(
        slow_answers,
        {"op": "replace", "path": "/spec/template/spec/terminationGracePeriodSeconds", "value": 0},
    )
    killed = drained(slow_answers)
    assert 2500 <= killed["latency_ms"]["p50"] <= 4500
    assert causes(killed).get("ungraceful_stop", 0) > 0
    broken = [group for group in killed["failures"] if group["cause"] == "ungraceful_stop"]
    assert {group["outcome"] for group in broken} <= {"closed_early", "reset"}
    assert not killed["verdict"]["passed"]


@pytest.mark.nightly
def test_without_readiness(unprotected: Lab) -> None:
    # Slow to start and not asked whether it serves: it counts as ready from its first moment.
    patch(
        unprotected,
        {"op": "remove", "path": f"{CONTAINER}/readinessProbe"},
        {"op": "remove", "path": f"{CONTAINER}/startupProbe"},
        {"op": "remove", "path": f"{CONTAINER}/livenessProbe"},
        {"op": "add", "path": f"{CONTAINER}/command", "value": ["/bin/sh", "-c", slow_start(7)]},
    )
    every_pod_answers(unprotected)
    assert main_cause(drained(unprotected)) == "not_serving_yet"


def on_one_node(lab: Lab) -> str:
    """Both of two replicas on one worker, each slower to start than the sleep before a stop is long.

    Slower by seconds: nodes' rules lead to who has gone for one more, and for two where they are busy.
    """
    patch(
        lab,
        {"op": "replace", "path": "/spec/replicas", "value": 2},
        {"op": "add", "path": f"{CONTAINER}/command", "value": ["/bin/sh", "-c", slow_start(14)]},
    )
    worker = f"{PROFILE}-m02"
    others = (PROFILE, f"{PROFILE}-m03")
    lab.kubectl("cordon", *others)
    try:
        lab.kubectl(
            "delete", "pods", "--namespace=site", "--selector=app.kubernetes.io/name=site", "--wait=true"
        )
        lab.rolled_out()
    finally:
        lab.kubectl("uncordon", *others)
    assert {node for _, node in lab.pods().values()} == {worker}
    return worker


@pytest.mark.nightly
def test_the_disruption_budget_alone_makes_the_difference(unprotected: Lab) -> None:
    node = on_one_node(unprotected)
    assert drained(unprotected, "-e", f"fault_node={node}")["requests"]["failed"] == 0
    node = on_one_node(unprotected)
    unprotected.kubectl("delete", "pdb", "site", "--namespace=site")
    assert main_cause(drained(unprotected, "-e", f"fault_node={node}")) == "no_endpoint"


@pytest.mark.nightly
def test_without_spare_room_a_drain_is_refused(unprotected: Lab) -> None:
    # What pods still take that are going would be room for others a moment later.
    unprotected.settled()
    image = unprotected.get("deployment", "site", "--namespace=site")["spec"]["template"]["spec"][
        "containers"
    ][0]
    pods = unprotected.pods()
    node = max((n for _, n in pods.values() if n != PROFILE), key=[n for _, n in pods.values()].count)
    ballast = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"ballast-{index}", "namespace": "default"},
            "spec": {
                "nodeName": other["metadata"]["name"],
                "tolerations": [{"operator": "Exists"}],
                "containers": [
                    {
                        "name": "ballast",
                        "image": image["image"],
                        # More than is left: admitted nowhere else, it takes all room by its request.
                        "resources": {"requests": {"memory": room_for_ballast(unprotected, other)}},
                    }
                ],
            },
        }
        for index, other in enumerate(unprotected.get("nodes")["items"])
        if other["metadata"]["name"] != node
    ]
    path = unprotected.home / "ballast.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": ballast}))
    unprotected.kubectl("create", f"--filename={path}")
    try:
        played = unprotected.play("failover", "-e", f"fault_node={node}")
        assert played.returncode != 0
        assert "There is no room for" in played.error
        assert unprotected.cordoned() == []
        assert unprotected.pods() == pods
    finally:
        unprotected.kubectl("delete", f"--filename={path}", "--grace-period=0", "--force")


def room_for_ballast(lab: Lab, node: dict[str, Any]) -> str:
    """All but 10 MiB of what a node has left."""
    of_node = f"--field-selector=spec.nodeName={node['metadata']['name']}"
    taken = sum(
        mebibytes(container.get("resources", {}).get("requests", {}).get("memory", "0Mi"))
        for pod in lab.get("pods", "--all-namespaces", of_node)["items"]
        for container in pod["spec"]["containers"]
    )
    return f"{mebibytes(node['status']['allocatable']['memory']) - taken - 10:.0f}Mi"


def mebibytes(quantity: str) -> float:
    """A quantity as the cluster writes memory."""
    number, unit = quantity[:-2], quantity[-2:]
    return float(number) * {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024}[unit]


def test_one_refusal_in_fifty_is_counted_to_the_last(protected: Lab, tmp_path: Path) -> None:
    refused, report = planted(protected, tmp_path)
    agrees(refused, report)
    assert causes(report) == {"endpoint_refuses": refused}
    # Its own estimate holds what is known here.
    (group,) = report["failures"]
    assert group["share"]["pod"] is None
    assert group["share"]["low_95"] <= refused / report["requests"]["total"] <= group["share"]["high_95"]
