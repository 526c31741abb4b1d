"""Never two at once: neither two nodes that announce the address, nor two containers of one pod's name.

The hardest case for both: a node that is frozen, and so might wake up, announces the address and carries a
pod of a StatefulSet, whose name there may be only once. It has to end before anybody takes its place.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from .announcers import nodes_by_hardware, two_at_once, who_announces
from .conftest import PROFILE, SHORT, containers_of, docker
from .containers import Look, overlaps

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]

ONLY = "only-one"
POD = f"{ONLY}-0"


def stateful_set(lab: Lab, node: str) -> dict[str, Any]:
    """One replica, rather on this node than on another; of the site's image, which is there already."""
    spec = lab.get("deployment", "site", "--namespace=site")["spec"]["template"]["spec"]
    container = {
        key: spec["containers"][0][key] for key in ("image", "securityContext", "resources", "volumeMounts")
    }
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    labels = {"app": ONLY}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        # In the site's namespace: its pods are what a watchdog gives away at once.
        "metadata": {"name": ONLY, "namespace": "site"},
        "spec": {
            "serviceName": ONLY,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "affinity": {
                        "nodeAffinity": {
                            "preferredDuringSchedulingIgnoredDuringExecution": [
                                {"weight": 100, "preference": here}
                            ]
                        }
                    },
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": spec["securityContext"],
                    "imagePullSecrets": spec.get("imagePullSecrets", []),
                    "containers": [container | {"name": "only"}],
                    "volumes": spec["volumes"],
                },
            },
        },
    }


@contextlib.contextmanager
def only_one_on(lab: Lab, node: str) -> Iterator[None]:
    """A StatefulSet whose one pod runs on this node; gone afterwards."""
    path = lab.home / "only-one.json"
    path.write_text(json.dumps(stateful_set(lab, node)))
    try:
        lab.kubectl("create", f"--filename={path}")
        lab.kubectl("rollout", "status", f"statefulset/{ONLY}", "--namespace=site", "--timeout=50s")
        assert the_pod(lab)["spec"]["nodeName"] == node
        yield
    finally:
        lab.kubectl("delete", "statefulset", ONLY, "--namespace=site", "--ignore-not-found", "--wait=true")


def the_pod(lab: Lab) -> Any:
    return lab.get("pod", POD, "--namespace=site")


def look(node: str, last: Look | None) -> Look | None:
    """The containers of the pod that run on a node now. None where the node says nothing."""
    began = time.time()
    state = inspected(node, "Status")
    if state == "paused":
        # Nothing ends while nothing runs: what ran before may go on at any moment.
        return last and Look(node, began, time.time(), last.running)
    if state != "running":
        return Look(node, began, time.time(), frozenset())
    done = subprocess.run(
        ["docker", "exec", node, "crictl", "ps", "--quiet", f"--label=io.kubernetes.pod.name={POD}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,  # it may be frozen or ended at this moment, or have no containerd yet
    )
    if done.returncode != 0:
        return None
    return Look(node, began, time.time(), frozenset(done.stdout.split()))


@contextlib.contextmanager
def watched() -> Iterator[list[Look]]:
    """Look at every node again and again, in the background."""
    looks: list[Look] = []
    failed: list[Exception] = []
    over = threading.Event()

    def watch() -> None:
        last: dict[str, Look] = {}
        try:
            while not over.wait(0.2):
                for node in containers_of(PROFILE):
                    seen = look(node, last.get(node))
                    if seen is not None:
                        last[node] = seen
                        looks.append(seen)
        except Exception as error:  # noqa: BLE001 - told by the thread that has asked
            failed.append(error)

    thread = threading.Thread(target=watch, name="containers")
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()
    assert failed == []


def inspected(node: str, what: str) -> str:
    """What the engine says of a node's state."""
    return docker("container", "inspect", f"--format={{{{.State.{what}}}}}", node).strip()


def instant(text: str) -> float:
    """An instant as the engine and the containers' runtime write it, to the microsecond."""
    whole, _, rest = text.partition(".")
    fraction = "".join(letter for letter in rest if letter.isdigit())[:6] or "0"
    began = datetime.strptime(whole.rstrip("Z"), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return began.timestamp() + float(f"0.{fraction}")


def test_neither_two_announcers_nor_two_of_one_name(lab: Lab) -> None:
    with who_announces(lab) as first:
        deadline = time.monotonic() + 10
        while not first:
            assert time.monotonic() < deadline, "nobody announces the address"
            time.sleep(0.1)
    node = nodes_by_hardware()[first[-1].hardware]
    with only_one_on(lab, node):
        old = the_pod(lab)
        with who_announces(lab) as heard, watched() as looks:
            played = lab.play(
                "failover",
                *SHORT,
                *("-e", "fault_kind=freeze", "-e", "fault_node=announcer", "-e", "fault_recovery=watchdog"),
            )
        assert played.returncode == 0, played.output[-6000:]
        report = json.loads((lab.reports / "latest" / "report.json").read_text())
        assert report["fault"]["node"] == node

        new = the_pod(lab)
        assert new["metadata"]["uid"] != old["metadata"]["uid"]
        assert new["spec"]["nodeName"] != node
        # To the microsecond: the engine's word on the one end, the runtime's on the other beginning.
        dead_at, back_at = instant(inspected(node, "FinishedAt")), instant(inspected(node, "StartedAt"))
        container = new["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        said = json.loads(docker("exec", new["spec"]["nodeName"], "crictl", "inspect", container))
        assert dead_at < instant(said["status"]["startedAt"]), "the new one ran before the old one had ended"
        # And as it was seen meanwhile, where something else might have started a third.
        assert {one for seen in looks for one in seen.running} >= {container}
        assert len({seen.node for seen in looks if seen.running}) == 2
        assert overlaps(looks) == []

        assert dead_at < back_at
        told = nodes_by_hardware()
        assert heard[0].hardware == first[-1].hardware
        assert {told.get(one.hardware) for one in heard if dead_at < one.at < back_at} - {node}, (
            "nobody took the address over"
        )
        assert two_at_once(heard, until=back_at)[:3] == []
