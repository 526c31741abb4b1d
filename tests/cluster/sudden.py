"""A node's loss as it is seen from outside, by docker and kubectl, and what must be left of it: nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .conftest import PROFILE, SHORT, Played, docker

if TYPE_CHECKING:
    from .conftest import Lab

EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
TAINT = "node.kubernetes.io/out-of-service"
ZONE_BY = "failover-lab/zone-by"
OF_WORKERS = f"--filter=name=^{PROFILE}-m[0-9]+$"


def workers() -> list[str]:
    """The nodes but the control plane; one in another's place may have another name."""
    return docker("ps", "--all", OF_WORKERS, "--format={{.Names}}").split()


def state(node: str) -> str:
    """What the engine says of a node's container."""
    return docker("container", "inspect", "--format={{.State.Status}}", node).strip()


def within_node(node: str, *words: str) -> str:
    """What a command in a node prints, whatever its status; nothing if the node cannot run any."""
    done = subprocess.run(
        ["docker", "exec", node, *words], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout


def is_cut_off(node: str, direction: str) -> bool:
    return "pref 3713" in within_node(node, "tc", "filter", "show", "dev", "eth0", direction)


def drops_some(node: str) -> bool:
    return any(
        "pref 3714" in within_node(node, "tc", "filter", "show", "dev", "eth0", way)
        for way in ("ingress", "egress")
    )


def is_slow(node: str) -> bool:
    """Whether all pods of a node together have a limit, by either version of cgroups."""
    find = "find /sys/fs/cgroup -maxdepth 4 -path '*kubepods*' "
    files = within_node(
        node, "sh", "-c", find + "'(' -name cpu.max -o -name cpu.cfs_quota_us ')' | grep -v /pod"
    )
    ours = [path for path in files.split() if path.rsplit("/", 2)[1].endswith(("kubepods", "kubepods.slice"))]
    return any(within_node(node, "cat", path).split()[:1] not in ([], ["-1"], ["max"]) for path in ours)


def seen_cut_off() -> Callable[[], bool]:
    """Whether a node has been cut off since now. Each looks by itself: a second later it may be ended."""
    script = "until tc filter show dev eth0 ingress | grep -q 'pref 3713'; do sleep 0.1; done"
    looking = [
        subprocess.Popen(["docker", "exec", node, "timeout", "150", "sh", "-c", script]) for node in workers()
    ]
    return lambda: any(one.poll() == 0 for one in looking)


def is_faulted(node: str) -> bool:
    """Whether anything at all is wrong with a node, as the engine and its own kernel see it."""
    return (
        state(node) != "running"
        or is_cut_off(node, "ingress")
        or is_cut_off(node, "egress")
        or drops_some(node)
        or is_slow(node)
        or within_node(node, "systemctl", "is-active", "kubelet").strip() != "active"
    )


def is_on_its_way_back(lab: Lab) -> bool:
    """A node runs again, and is kept from announcing until it carries work."""
    return any(
        EXCLUDE in node["metadata"]["labels"] and state(node["metadata"]["name"]) == "running"
        for node in lab.get("nodes")["items"]
        if node["metadata"]["name"] != PROFILE
    )


def is_nameless(node: str) -> bool:
    """Whether a node runs and has not been told where the control plane is: the engine does not."""
    return state(node) == "running" and "control-plane." not in within_node(node, "cat", "/etc/hosts")


def nothing_is_left(lab: Lab, nodes: int = 3) -> None:
    """No node is cordoned, tainted, paused, cut off, stopped; nobody asks any more."""
    there = lab.get("nodes")["items"]
    assert len(there) == nodes
    for node in there:
        name = node["metadata"]["name"]
        assert not node["spec"].get("unschedulable"), f"{name} is still cordoned"
        taints = [taint["key"] for taint in node["spec"].get("taints", [])]
        assert taints == [], f"{name} still has {taints}"
        # In which zone it is was said by setup.
        ours = [key for key in node["metadata"]["annotations"] if key.startswith("failover-lab/")]
        left = [key for key in ours if key != ZONE_BY]
        assert left == [], f"{name} still carries {left}"
        # kubeadm itself puts it on control planes.
        if name != PROFILE:
            assert EXCLUDE not in node["metadata"]["labels"], f"{name} may still not announce"
        ready = [c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"]
        assert ready == ["True"], f"{name} is not ready"
        assert not is_faulted(name), f"{name} is still faulted"
        assert not is_nameless(name), f"{name} does not know where the control plane is"
    assert not (lab.state / "journal.json").exists()
    nobody_asks(lab)


def nobody_asks(lab: Lab) -> None:
    """What a run has started is gone; the page of one that is over shows its report for ten seconds more."""
    deadline = time.monotonic() + 20
    while asking := still_asking(lab):
        assert time.monotonic() < deadline, f"still running: {asking}"
        time.sleep(0.2)


def still_asking(lab: Lab) -> list[str]:
    """The command lines of what works in the folder of a run."""
    running = [command_line(process) for process in Path("/proc").iterdir() if process.name.isdigit()]
    return [line for line in running if str(lab.reports) in line]


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def comes(process: subprocess.Popen[str], what: Callable[[], bool], otherwise: str) -> None:
    """Wait until it is so while a play runs; for two minutes at most."""
    began = time.monotonic()
    while not what():
        assert process.poll() is None, process.communicate()[0][-6000:]
        assert time.monotonic() - began < 120, otherwise
        time.sleep(0.1)


@contextlib.contextmanager
def running(lab: Lab, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A run of failover.yml with these options; interrupted where it goes on when nobody waits any more."""
    process = lab.start("failover", *SHORT, *options)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=200)


def at(
    lab: Lab,
    number: signal.Signals,
    settings: list[str],
    has_come: Callable[[Lab], bool],
    settle_s: float = 0.0,
) -> Played:
    """Run failover.yml with these settings, and send it this signal at the moment; how it ended."""
    process = lab.start("failover", *SHORT, *(word for setting in settings for word in ("-e", setting)))
    began = time.monotonic()
    try:
        comes(process, lambda: has_come(lab), "the moment did not come in 120 s")
        time.sleep(settle_s)
    finally:
        os.killpg(process.pid, number)
        output = process.communicate(timeout=300)[0]
        # For whoever has to find out why a test failed.
        print(output[-12000:])
    return Played(process.returncode, output, time.monotonic() - began)


def broken(
    lab: Lab, *options: str, bitten: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None
) -> tuple[Played, dict[str, Any]]:
    """Run failover.yml with these options, and see it bite from outside; gives back the report too."""
    began = time.monotonic()
    with running(lab, *options) as process:
        comes(process, bitten, "the fault did not bite in 120 s")
        meanwhile()
        output = process.communicate(timeout=400)[0]
    played = Played(process.returncode, output, time.monotonic() - began)
    assert played.returncode == 0, played.output[-8000:]
    report: dict[str, Any] = json.loads((lab.reports / "latest" / "report.json").read_text())
    return played, report


def is_true_to_the_cluster(lab: Lab, report: dict[str, Any], before: dict[str, tuple[str, str]]) -> None:
    """The replacements are pods that did not exist before; each answered; the spread is even."""
    old = {uid for uid, _ in before.values()}
    fresh = {row["uid"] for row in report["replacements"]}
    assert fresh, "nobody took the place of the lost pods"
    assert not fresh & old
    assert all(row["first_answer_s"] is not None and row["answers"] > 0 for row in report["replacements"])
    assert {row["uid"] for row in report["displaced"]} <= old
    living = lab.pods()
    assert len(living) == 4
    counts = {node: sum(where == node for _, where in living.values()) for _, node in living.values()}
    assert len(counts) == 3, f"not on every node again: {counts}"
    assert report["measurement"]["ok"]
    assert report["verdict"]["passed"], report["verdict"]["reasons"]
    is_traced(report)


def is_traced(report: dict[str, Any]) -> None:
    """Where nineteen of twenty lost requests went is evidence, and nobody answered but who was sent to."""
    trace = report["trace"]
    assert trace["answers"]["compared"] > 0
    assert trace["answers"]["disagreements"] == 0, trace["answers"]["examples"]
    assert trace["connections"]["missed"] == 0
    lost = trace["lost"]
    assert lost["guess"] <= 0.05 * (lost["guess"] + lost["evidence"]), trace["guessed_because"]


def of_any(node_is: Callable[[str], bool]) -> Callable[[], bool]:
    return lambda: any(node_is(node) for node in workers())


def marks_of(lab: Lab) -> list[str]:
    """What the run that is going on has marked so far."""
    path = Path(lab.journal().get("run_dir", "/nonexistent")) / "marks.jsonl"
    return re.findall(r'"event": "(\w+)"', path.read_text()) if path.exists() else []


def is_tainted(lab: Lab) -> bool:
    nodes = lab.get("nodes")["items"]
    return any(TAINT in [taint["key"] for taint in node["spec"].get("taints", [])] for node in nodes)


def awaits_operator(lab: Lab) -> bool:
    return lab.journal().get("awaits") == "operator"


def is_steady_before(lab: Lab) -> bool:
    """The run asks, and nothing has been done yet."""
    journal = lab.journal()
    return bool(journal) and (Path(journal["run_dir"]) / "status.json").exists() and not journal["begun"]
