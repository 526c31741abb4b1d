"""How fast a dead node is noticed: changed on the living lab, both ways, while users ask and lose nothing.

In this order: each test finds the lab as the one before has left it. The last one puts it back.
"""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import PROFILE, docker

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.cluster

FAST = ("-e", "cluster_failure_detection=fast")
MANIFEST = "/etc/kubernetes/manifests/kube-controller-manager.yaml"
KUBELET_FILE = "/var/lib/kubelet/config.yaml"
EVERY_S = 0.05


def names(lab: Lab) -> list[str]:
    return sorted(node["metadata"]["name"] for node in lab.get("nodes")["items"])


def leases(lab: Lab) -> dict[str, Any]:
    items = lab.get("leases", "--namespace=kube-node-lease")["items"]
    return {item["metadata"]["name"]: item["spec"] for item in items}


def flags(lab: Lab) -> list[str]:
    pods = lab.get("pods", "--namespace=kube-system", "--selector=component=kube-controller-manager")["items"]
    return [word for pod in pods for word in pod["spec"]["containers"][0]["command"] if "monitor" in word]


def declared_dead(lab: Lab) -> dict[str, int]:
    """How often each node was declared not ready, as far as the cluster remembers."""
    items = lab.get("events", "--namespace=default", "--field-selector=reason=NodeNotReady")["items"]
    return {item["metadata"]["uid"]: item.get("count") or 1 for item in items}


def files(lab: Lab) -> dict[str, str]:
    """Every file that is touched, and what lies beside the manifests."""
    found = {node: docker("exec", node, "cat", KUBELET_FILE) for node in names(lab)}
    found["manifest"] = docker("exec", PROFILE, "cat", MANIFEST)
    found["manifests"] = docker("exec", PROFILE, "ls", "-A", "/etc/kubernetes", "/etc/kubernetes/manifests")
    joining = lab.get("configmap", "kubelet-config", "--namespace=kube-system")
    return found | {"joining": joining["data"]["kubelet"]}


def within(seconds: float, what: Callable[[], bool]) -> float:
    """Wait until it is so; how long that took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began


@contextlib.contextmanager
def users(lab: Lab) -> Iterator[list[str]]:
    """Twenty requests a second on new connections meanwhile; what went wrong with them."""
    url, wrong, over = lab.url() + "/whoami", list[str](), threading.Event()

    def ask() -> None:
        while not over.wait(EVERY_S):
            try:
                with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 - our own cluster
                    answer.read()
            except OSError as error:
                wrong.append(f"{time.time():.1f}: {error}")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def before(lab: Lab) -> dict[str, str]:
    """The files as they were before anything was set."""
    assert lab.play("setup").returncode == 0
    return files(lab)


def test_check_mode_tells_what_would_be_set(lab: Lab, before: dict[str, str]) -> None:
    checked = lab.play("setup", *FAST, "--check", "--diff")
    assert checked.returncode == 0, checked.output[-4000:]
    assert checked.changed > 0
    assert "+grace_s: 5" in checked.output
    assert files(lab) == before


def test_faster_without_a_lost_request_or_a_node_that_looks_dead(lab: Lab, before: dict[str, str]) -> None:
    dead = declared_dead(lab)
    with users(lab) as wrong:
        played = lab.play("setup", *FAST)
    assert played.returncode == 0, played.output[-6000:]
    assert wrong == []
    assert declared_dead(lab) == dead
    assert sorted(flags(lab)) == ["--node-monitor-grace-period=5s", "--node-monitor-period=1s"]
    assert {spec["leaseDurationSeconds"] for spec in leases(lab).values()} == {4}
    assert files(lab)["manifests"] == before["manifests"], "something was left beside the manifests"

    earlier = leases(lab)
    within(2.5, lambda: all(leases(lab)[node]["renewTime"] > earlier[node]["renewTime"] for node in earlier))


def test_again_nothing_changes(lab: Lab) -> None:
    again = lab.play("setup", *FAST)
    assert again.returncode == 0, again.output[-4000:]
    changed = [line for line in again.output.splitlines() if line.startswith("changed:")]
    assert again.changed == 0, changed


def test_a_killed_node_is_noticed_and_comes_back_as_it_was(lab: Lab) -> None:
    node = next(node for _, node in lab.pods().values() if node != PROFILE)

    def is_ready() -> bool:
        conditions = lab.get("node", node)["status"]["conditions"]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def is_asked() -> bool:
        slices = lab.get("endpointslices", "--namespace=site", "--selector=kubernetes.io/service-name=site")
        endpoints = [endpoint for item in slices["items"] for endpoint in item["endpoints"] or []]
        return any(e["conditions"]["ready"] and e["nodeName"] == node for e in endpoints)

    assert is_asked()
    docker("kill", node)
    noticed_s = within(8, lambda: not is_ready())
    cleaned_s = noticed_s + within(2, lambda: not is_asked())
    assert 3.5 < noticed_s < 7, f"noticed after {noticed_s:.1f} s"
    assert cleaned_s < 7.5, f"endpoints clean after {cleaned_s:.1f} s"
    # Five seconds of toleration, and the start.
    within(15, lambda: sum(where != node for _, where in lab.pods().values()) >= 4)

    dead = declared_dead(lab)
    played = lab.play("setup", *FAST)
    assert played.returncode == 0, played.output[-6000:]
    assert is_ready()
    assert {spec["leaseDurationSeconds"] for spec in leases(lab).values()} == {4}
    assert declared_dead(lab) == dead, "it looked dead again after it had come back"


def test_what_was_changed_by_hand_is_set_again(lab: Lab) -> None:
    node = f"{PROFILE}-m02"
    script = (
        f"sed -i 's/^nodeLease.*/nodeLeaseDurationSeconds: 12/' {KUBELET_FILE} && systemctl restart kubelet"
    )
    docker("exec", node, "sh", "-c", script)
    within(20, lambda: leases(lab)[node]["leaseDurationSeconds"] == 12)
    played = lab.play("setup", *FAST)
    assert played.returncode == 0, played.output[-4000:]
    assert {spec["leaseDurationSeconds"] for spec in leases(lab).values()} == {4}


def test_slower_again_and_nothing_is_left(lab: Lab, before: dict[str, str]) -> None:
    dead = declared_dead(lab)
    with users(lab) as wrong:
        played = lab.play("setup")
    assert played.returncode == 0, played.output[-6000:]
    assert wrong == []
    assert declared_dead(lab) == dead
    assert flags(lab) == []
    assert {spec["leaseDurationSeconds"] for spec in leases(lab).values()} == {40}
    assert files(lab) == before
    assert lab.play("setup").changed == 0
