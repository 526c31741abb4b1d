"""A drain that fails by itself: the node is uncordoned, nothing else was touched, and the report says why."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from .conftest import PROFILE

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]

# It may not leave: nothing would bring it back.
LONE = "nobodys-pod"


@pytest.fixture
def lone_afterwards(lab: Lab) -> Iterator[None]:
    """No such pod is left."""
    yield
    lab.kubectl(
        "delete", "pod", LONE, "--namespace=default", "--ignore-not-found", "--grace-period=0", "--force"
    )


def put_onto(lab: Lab, node: str) -> None:
    """Bind a pod without a controller to a node."""
    deployment = lab.get("deployment", "site", "--namespace=site")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": LONE, "namespace": "default"},
        "spec": {"nodeName": node, "containers": [{"name": "alone", "image": image}]},
    }
    path = lab.home / "lone.json"
    path.write_text(json.dumps(pod))
    lab.kubectl("create", f"--filename={path}")


def test_a_drain_that_fails_uncordons_and_says_why(lab: Lab, lone_afterwards: None) -> None:
    before = lab.pods()
    node = next(where for _, where in before.values() if where != PROFILE)
    earlier = set(lab.reports.glob("2*"))
    process = lab.start("failover", "-e", f"fault_node={node}")
    try:
        # Preflight is over once the run has a folder, and the steady state takes its seconds from then on.
        deadline = time.monotonic() + 60
        while not (runs := set(lab.reports.glob("2*")) - earlier):
            assert process.poll() is None, process.communicate()[0][-4000:]
            assert time.monotonic() < deadline, "the run did not begin within 60 s"
            time.sleep(0.1)
        put_onto(lab, node)
        output = process.communicate(timeout=200)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=120)
    assert process.returncode != 0
    assert "The verdict is no." in " ".join(output.split())
    assert lab.cordoned() == []
    marks = [item["metadata"]["annotations"] for item in lab.get("nodes")["items"]]
    assert not [key for found in marks for key in found if key.startswith("failover-lab/")]
    assert lab.pods() == before
    assert not (lab.state / "journal.json").exists()

    run = runs.pop()
    seen = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    cordoned = [row["name"] for row in seen if row["kind"] == "Node" and row.get("unschedulable")]
    assert set(cordoned) == {node}, "it failed before it had touched anything"
    report = json.loads((run / "report.json").read_text())
    assert report["verdict"]["passed"] is False
    assert any(
        f"default/{LONE} on {node} has no controller" in reason for reason in report["verdict"]["reasons"]
    )
    assert report["replacements"] == []
