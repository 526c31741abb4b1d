"""How fast a dead node is noticed: what is set for it and where, and how users fare while it changes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.declared import added, declared_dead

from failover_lab import arguments
from failover_lab.probe import spread

from .conftest import PROFILE, docker

if TYPE_CHECKING:
    from .conftest import Lab, Played

FAST = ("-e", "cluster_failure_detection=fast")
MANIFEST = "/etc/kubernetes/manifests/kube-controller-manager.yaml"
KUBELET_FILE = "/var/lib/kubelet/config.yaml"
EVERY_S = 0.05


@dataclass(frozen=True)
class Change:
    """A setup that changed it.

    Attributes:
        played: the setup.
        before: every file that is touched, as it was.
        wrong: what users met meanwhile.
        looked_dead: the nodes that were declared not ready meanwhile, by event, and how often.
    """

    played: Played
    before: dict[str, str]
    wrong: list[str]
    looked_dead: dict[str, int]


def change(lab: Lab, *options: str) -> Change:
    """Change it on the living lab, while users ask."""
    before, dead = files(lab), declared_dead(lab.kubectl)
    with users(lab) as wrong:
        played = lab.play("setup", *options)
    assert played.returncode == 0, played.output[-6000:]
    return Change(played, before, wrong, added(dead, declared_dead(lab.kubectl)))


def names(lab: Lab) -> list[str]:
    """The nodes."""
    return sorted(node["metadata"]["name"] for node in lab.get("nodes")["items"])


def leases(lab: Lab) -> dict[str, Any]:
    """What each node's sign of life is."""
    items = lab.get("leases", "--namespace=kube-node-lease")["items"]
    return {item["metadata"]["name"]: item["spec"] for item in items}


def flags(lab: Lab) -> list[str]:
    """What the controller manager was told of it."""
    pods = lab.get("pods", "--namespace=kube-system", "--selector=component=kube-controller-manager")["items"]
    return [word for pod in pods for word in pod["spec"]["containers"][0]["command"] if "monitor" in word]


def files(lab: Lab) -> dict[str, str]:
    """Every file that is touched, and what lies beside the manifests."""
    found = {node: docker("exec", node, "cat", KUBELET_FILE) for node in names(lab)}
    found["manifest"] = docker("exec", PROFILE, "cat", MANIFEST)
    found["manifests"] = docker("exec", PROFILE, "ls", "-A", "/etc/kubernetes", "/etc/kubernetes/manifests")
    joining = lab.get("configmap", "kubelet-config", "--namespace=kube-system")
    proxies = lab.get("configmap", "kube-proxy", "--namespace=kube-system")
    return found | {"joining": joining["data"]["kubelet"], "proxies": proxies["data"]["config.conf"]}


def gathers(node: str) -> str:
    """For how long a node's kube-proxy gathers changes, as it says itself."""
    running = docker("exec", node, "curl", "--silent", "http://127.0.0.1:10249/configz")
    return str(json.loads(running)["kubeproxy.config.k8s.io"]["MinSyncPeriod"])


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
    # From ports that have rested: what runs before have lost may still be answered for by a pod that is gone.
    asker = spread.Asker(arguments.site(lab.url()))
    wrong, over = list[str](), threading.Event()

    def ask() -> None:
        while not over.wait(EVERY_S):
            if asker.ask(3.0) is None:
                wrong.append(f"at {time.time():.1f}")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()
