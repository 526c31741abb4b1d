"""A node is lost without a word: it is put right, and the report is true to the cluster.

Each run is watched from outside: docker and kubectl see the fault bite, and afterwards nothing of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.pages import all_typed

from failover_lab import instants

from .conftest import PROFILE, ROOT, SHORT, Played, docker
from .detection import FAST, within
from .engine_relay import relayed

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("faster")]

EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
TAINT = "node.kubernetes.io/out-of-service"
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
        or within_node(node, "systemctl", "is-active", "kubelet").strip() != "active"
    )


def is_nameless(node: str) -> bool:
    """Whether a node runs and has not been told where the control plane is: the engine does not."""
    return state(node) == "running" and "control-plane." not in within_node(node, "cat", "/etc/hosts")


def asked_in_vain(node: str) -> list[str]:
    """Where the kubelet that runs now did not find the control plane; each time, it waits for longer."""
    of_now = "_SYSTEMD_INVOCATION_ID=$(systemctl show --property=InvocationID --value kubelet)"
    said = within_node(node, "sh", "-c", f"journalctl --quiet {of_now}").splitlines()
    assert said, f"the kubelet of {node} has said nothing"
    return [line for line in said if "lookup control-plane" in line]


def nothing_is_left(lab: Lab) -> None:
    """No node is cordoned, tainted, paused, cut off, stopped; nobody asks any more."""
    nodes = lab.get("nodes")["items"]
    assert len(nodes) == 3
    for node in nodes:
        name = node["metadata"]["name"]
        assert not node["spec"].get("unschedulable"), f"{name} is still cordoned"
        taints = [taint["key"] for taint in node["spec"].get("taints", [])]
        assert taints == [], f"{name} still has {taints}"
        left = [key for key in node["metadata"]["annotations"] if key.startswith("failover-lab/")]
        assert left == [], f"{name} still carries {left}"
        # kubeadm itself puts it on control planes.
        if name != PROFILE:
            assert EXCLUDE not in node["metadata"]["labels"], f"{name} may still not announce"
        ready = [c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"]
        assert ready == ["True"], f"{name} is not ready"
        assert not is_faulted(name), f"{name} is still faulted"
        assert not is_nameless(name), f"{name} does not know where the control plane is"
    assert not (lab.state / "run.json").exists()
    running = [command_line(process) for process in Path("/proc").iterdir() if process.name.isdigit()]
    asking = [line for line in running if str(lab.reports) in line]
    assert asking == [], "still running"


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


def broken(
    lab: Lab, *options: str, bitten: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None
) -> tuple[Played, dict[str, Any]]:
    """Run failover.yml with these options, and see it bite from outside; gives back the report too."""
    process = lab.start("failover", *SHORT, *options)
    began = time.monotonic()
    try:
        comes(process, bitten, "the fault did not bite in 120 s")
        meanwhile()
        output = process.communicate(timeout=400)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=200)
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


def of_any(node_is: Callable[[str], bool]) -> Callable[[], bool]:
    return lambda: any(node_is(node) for node in workers())


def test_kill(lab: Lab) -> None:
    before = lab.pods()
    # Which node announces is the load balancer's choice; the other one is what Kubernetes alone has to mend.
    played, report = broken(
        lab,
        *("-e", "fault_kind=kill", "-e", "fault_node=other"),
        bitten=of_any(lambda node: state(node) == "exited"),
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert report["fault"]["node"] != report["fault"]["announcer"]
    clocks = report["clocks_s"]
    assert 3.5 < clocks["endpoints"] < 9, clocks
    assert clocks["endpoints"] < clocks["capacity"] < 20, clocks
    # As Kubernetes sets it, kube-proxy alone takes a second.
    assert (clocks["stale_flows"] or 0) - clocks["endpoints"] < 0.8, clocks
    # Once it runs again, it may announce the address for a moment before it has found the others.
    started = docker("container", "inspect", "--format={{.State.StartedAt}}", report["fault"]["node"])
    causes = {group["cause"] for group in report["failures"] if group["began"] < started}
    assert causes <= {"endpoint_dead", "stale_reused_connection"}
    assert 0 < report["requests"]["failed"] < 0.1 * report["requests"]["total"]
    assert re.search(r"\d+ requests, \d+ failed; waiting for the replacements$", played.output, re.MULTILINE)
    assert asked_in_vain(report["fault"]["node"]) == []


@pytest.mark.parametrize("which", ["announcer", "other"])
def test_kill_with_a_watchdog(lab: Lab, which: str) -> None:
    before = lab.pods()
    _, report = broken(
        lab,
        *("-e", "fault_kind=kill", "-e", f"fault_node={which}", "-e", "fault_recovery=watchdog"),
        bitten=of_any(lambda node: state(node) == "exited"),
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert (report["fault"]["node"] == report["fault"]["announcer"]) is (which == "announcer")
    assert report["clocks_s"]["capacity"] < 10, report["clocks_s"]


@pytest.mark.parametrize("kind", ["freeze", "partition"])
def test_a_node_that_may_be_alive_is_ended_before_its_work_is_given_away(lab: Lab, kind: str) -> None:
    before = lab.pods()
    ended: list[bool] = []

    def fenced() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            tainted = [
                node["metadata"]["name"]
                for node in lab.get("nodes")["items"]
                if TAINT in [taint["key"] for taint in node["spec"].get("taints", [])]
            ]
            if tainted:
                ended.append(state(tainted[0]) == "exited")
                break
            time.sleep(0.1)

    _, report = broken(
        lab,
        *("-e", f"fault_kind={kind}", "-e", "fault_recovery=watchdog"),
        bitten=of_any(lambda node: state(node) == "paused") if kind == "freeze" else seen_cut_off(),
        meanwhile=fenced,
    )
    assert ended == [True], "its work was given away while it might have been alive"
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)


def test_one_way_partition_by_the_orchestrator_alone(lab: Lab) -> None:
    before = lab.pods()
    _, report = broken(
        lab,
        *("-e", "fault_kind=partition", "-e", "fault_partition_direction=incoming"),
        bitten=of_any(lambda node: is_cut_off(node, "ingress") and not is_cut_off(node, "egress")),
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)


def test_kubelet(lab: Lab) -> None:
    before = lab.pods()
    _, report = broken(
        lab,
        *("-e", "fault_kind=kubelet"),
        bitten=of_any(
            lambda node: within_node(node, "systemctl", "is-active", "kubelet").strip() == "inactive"
        ),
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)


@pytest.mark.parametrize("which", ["one", "all"])
def test_pods_killed_with_no_grace(lab: Lab, which: str) -> None:
    before = lab.pods()
    _, report = broken(
        lab,
        *("-e", "fault_kind=pod", "-e", f"fault_pods={which}"),
        bitten=lambda: {uid for uid, _ in before.values()} - {uid for uid, _ in lab.pods().values()} != set(),
    )
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    on_node = sum(node == report["fault"]["node"] for _, node in before.values())
    assert len(report["displaced"]) == (1 if which == "one" else on_node)


def test_another_node_in_its_place(lab: Lab) -> None:
    before = lab.pods()
    uids = {node["metadata"]["name"]: node["metadata"]["uid"] for node in lab.get("nodes")["items"]}
    _, report = broken(
        lab,
        *("-e", "fault_kind=kill", "-e", "fault_node_return=replace"),
        bitten=of_any(lambda node: state(node) == "exited"),
    )
    now = {node["metadata"]["name"]: node["metadata"]["uid"] for node in lab.get("nodes")["items"]}
    assert len(now) == 3
    assert uids[report["fault"]["node"]] not in now.values(), "the dead node is still in the cluster"
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert lab.play("setup", *FAST).changed == 0


def typed(line: str) -> Played:
    """What the lab told its operator to type, in another terminal: elsewhere, and knowing nothing."""
    environment = {"HOME": os.environ["HOME"], "PATH": "/usr/local/bin:/usr/bin:/bin"}
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", line], cwd="/", env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )  # fmt: skip
    return Played(done.returncode, done.stdout, time.monotonic() - began)


def test_an_operator_puts_it_right(lab: Lab) -> None:
    before = lab.pods()
    process = lab.start("failover", *SHORT, "-e", "fault_kind=kill", "-e", "fault_recovery=manual")
    lines: list[str] = []
    try:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            if re.search(r"ansible-playbook recover\.yml", line):
                break
        recovered = typed(lines[-1])
        lines += process.stdout.readlines()
        process.wait(timeout=300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=200)
    assert recovered.returncode == 0, recovered.output[-4000:]
    assert process.returncode == 0, "".join(lines)[-6000:]
    report = json.loads((lab.reports / "latest" / "report.json").read_text())
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert 0 < report["operator_s"] < recovered.took_s + 5


def test_an_operator_who_comes_too_late_is_sent_away(lab: Lab) -> None:
    late: list[Played] = []

    def waits_no_more() -> bool:
        steps = [step["step"] for step in lab.account().get("steps", [])]
        return not awaits_operator(lab) and "wait for the replacements" in steps

    process = lab.start(
        *("failover", *SHORT, "-e", "fault_kind=kill", "-e", "fault_recovery=manual"),
        *("-e", "fault_operator_timeout_s=3"),
    )
    try:
        comes(process, waits_no_more, "the run still waits after 120 s")
        # The node is being brought back: whoever gave its work away now would end it again.
        late.append(lab.play("recover"))
    finally:
        output = process.communicate(timeout=300)[0]
    assert "A run is going on" in late[0].error
    assert process.returncode != 0
    nothing_is_left(lab)
    report = json.loads((lab.reports / "latest" / "report.json").read_text())
    reasons = report["verdict"]["reasons"]
    assert any("No operator has come in 3 s" in reason for reason in reasons), output[-4000:]


def test_a_node_that_is_left_is_shown_and_brought_back(lab: Lab) -> None:
    played, report = broken(
        lab,
        *("-e", "fault_kind=kill", "-e", "fault_node_return=leave"),
        bitten=of_any(lambda node: state(node) == "exited"),
    )
    node = report["fault"]["node"]
    assert state(node) == "exited"
    assert "recover.yml" in played.output
    assert node in lab.play("status").output.partition("left     ")[2]
    again = lab.play("failover", "-e", "fault_kind=kill", "-e", f"fault_node={node}")
    assert again.returncode != 0
    assert node in again.error

    # As whoever was killed between the start of a node and telling it where the control plane is.
    docker("start", node)
    assert is_nameless(node)
    told = " ".join(lab.play("status").output.partition("left     ")[2].split())
    assert f"{node}: its start was not brought to its end" in told
    healed = lab.play("recover")
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)


def test_a_node_that_vanishes_before_the_fault_is_not_looked_for_elsewhere(lab: Lab) -> None:
    process = lab.start("failover", *SHORT, "-e", "fault_kind=freeze")
    try:
        comes(process, lambda: is_steady_before(lab), "no steady state was waited for in 120 s")
        # By its name the engine has it no more; to users it is still there, or none would be steady.
        node = lab.account()["node"]
        docker("rename", node, f"{PROFILE}-elsewhere")
        try:
            output = process.communicate(timeout=300)[0]
        finally:
            docker("rename", f"{PROFILE}-elsewhere", node)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=200)
    assert process.returncode != 0
    words = " ".join(output.split())
    assert f"{node} has vanished since it was chosen: its container is gone" in words, output[-6000:]
    assert [one for one in workers() if is_faulted(one)] == []
    healed = lab.play("recover")
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)


def test_an_engine_that_goes_away_in_mid_run(lab: Lab, tmp_path: Path) -> None:
    with relayed(tmp_path) as relay:
        through = dataclasses.replace(lab, environment=lab.environment | {"DOCKER_HOST": relay.host})
        process = through.start("failover", *SHORT, "-e", "fault_kind=kill")
        try:
            comes(process, lambda: "injected" in marks_of(lab), "nothing was injected in 120 s")
        finally:
            relay.close()
            output = process.communicate(timeout=300)[0]
    assert process.returncode != 0
    run = Path(lab.account()["run_dir"])
    report = json.loads((run / "report.json").read_text())
    silent = f"The engine at DOCKER_HOST={relay.host} does not answer"
    assert any(silent in reason for reason in report["verdict"]["reasons"]), output[-6000:]
    assert report["fault"]["healed_at"] is None
    assert state(report["fault"]["node"]) == "exited"

    healed = lab.play("recover")
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)


def marks_of(lab: Lab) -> list[str]:
    """What the run that is going on has marked so far."""
    path = Path(lab.account().get("run_dir", "/nonexistent")) / "marks.jsonl"
    return re.findall(r'"event": "(\w+)"', path.read_text()) if path.exists() else []


def is_tainted(lab: Lab) -> bool:
    nodes = lab.get("nodes")["items"]
    return any(TAINT in [taint["key"] for taint in node["spec"].get("taints", [])] for node in nodes)


def of_kind(bites: Callable[[str], bool]) -> Callable[[Lab], bool]:
    return lambda _lab: any(bites(node) for node in workers())


def awaits_operator(lab: Lab) -> bool:
    return lab.account().get("awaits") == "operator"


def is_on_its_way_back(lab: Lab) -> bool:
    """A node runs again, and is kept from announcing until it carries work."""
    return any(
        EXCLUDE in node["metadata"]["labels"] and state(node["metadata"]["name"]) == "running"
        for node in lab.get("nodes")["items"]
        if node["metadata"]["name"] != PROFILE
    )


def joins(lab: Lab) -> bool:
    """A node's container is newer than the run: minikube has made it, and goes on."""
    began = re.match(r"\d+T\d+Z", Path(lab.account().get("run_dir", "")).name)
    made = docker("ps", "--all", OF_WORKERS, "--format={{.CreatedAt}}").splitlines()
    # As 2026-11-27 03:17:49 +0000 UTC.
    return began is not None and any(
        instants.parse(one[:19] + one[20:25]) > instants.parse(began[0]) for one in made
    )


def spreads(lab: Lab) -> bool:
    marked = marks_of(lab)
    return "returned" in marked and "healed" not in marked


def has_stopped_asking(lab: Lab) -> bool:
    """What is left to do is the report."""
    return Path(lab.account().get("run_dir", "/nonexistent"), "probe.json").exists()


# The settings, what is waited for, who puts it right, and whether a node is broken at that moment.
MOMENTS: dict[str, tuple[list[str], Callable[[Lab], bool], str, bool]] = {
    "kill": (["fault_kind=kill"], of_kind(lambda node: state(node) == "exited"), "recover", True),
    "freeze": (["fault_kind=freeze"], of_kind(lambda node: state(node) == "paused"), "recover", True),
    # Both ways, and inwards alone, are other tests'.
    "partition": (
        ["fault_kind=partition", "fault_partition_direction=outgoing"],
        of_kind(lambda node: is_cut_off(node, "egress") and not is_cut_off(node, "ingress")),
        "failover",
        True,
    ),
    "kubelet": (
        ["fault_kind=kubelet"],
        of_kind(lambda node: within_node(node, "systemctl", "is-active", "kubelet").strip() == "inactive"),
        "recover",
        True,
    ),
    "given away": (["fault_kind=freeze", "fault_recovery=watchdog"], is_tainted, "recover", True),
    "waiting for the operator": (
        ["fault_kind=kill", "fault_recovery=manual"],
        awaits_operator,
        "recover",
        True,
    ),
    "on its way back": (["fault_kind=kill"], is_on_its_way_back, "recover", False),
    # Removed, and none in its place yet.
    "between two nodes": (
        ["fault_kind=kill", "fault_node_return=replace"],
        lambda _lab: len(workers()) == 1,
        "recover",
        False,
    ),
    "a new one joins": (["fault_kind=kill", "fault_node_return=replace"], joins, "failover", False),
    "spread again": (["fault_kind=kill"], spreads, "recover", False),
    "pods are gone": (["fault_kind=pod"], lambda lab: "injected" in marks_of(lab), "failover", False),
    "the report": (["fault_kind=pod"], has_stopped_asking, "recover", False),
}


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


def is_reported_as_aborted(run: Path) -> None:
    verdict = json.loads((run / "report.json").read_text())["verdict"]
    assert verdict["passed"] is False
    assert verdict["aborted"] is True
    assert any("aborted" in reason for reason in verdict["reasons"])


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_a_run_that_is_killed_is_put_right(lab: Lab, moment: str) -> None:
    settings, has_come, healer, breaks = MOMENTS[moment]
    at(lab, signal.SIGKILL, settings, has_come)
    run = Path(lab.account()["run_dir"])
    told = lab.play("status").output.partition("left     ")[2]
    if breaks:
        left = [node for node in workers() if is_faulted(node)]
        assert len(left) == 1
        assert left[0] in told
    assert "a run was interrupted" in told
    healed = lab.play(healer)
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)
    is_reported_as_aborted(run)
    assert ((lab.reports / "latest").resolve() == run) is (healer == "recover")


def is_steady_before(lab: Lab) -> bool:
    """The run asks, and nothing has been done yet."""
    account = lab.account()
    return bool(account) and (Path(account["run_dir"]) / "status.json").exists() and not account["begun"]


INTERRUPTED: dict[str, tuple[list[str], Callable[[Lab], bool]]] = {
    "the steady state before": (["fault_kind=drain"], is_steady_before),
    "mid-drain": (["fault_kind=drain"], lambda lab: lab.cordoned() != []),
    "waiting for the operator": (["fault_kind=kill", "fault_recovery=manual"], awaits_operator),
    "the steady state after": (["fault_kind=drain"], lambda lab: lab.account().get("healed") is True),
}


@pytest.mark.parametrize("moment", list(INTERRUPTED))
def test_control_c_puts_right_and_reports_at_once(lab: Lab, moment: str) -> None:
    # Into a task that takes its time. Between two, one Ctrl-C in ten is lost: Python passes over
    # what is raised in a handler of its own for a fork, and Ansible forks for every task.
    played = at(lab, signal.SIGINT, *INTERRUPTED[moment], settle_s=1.0)
    assert played.returncode != 0
    assert "Interrupted: putting right" in played.output
    nothing_is_left(lab)
    run = (lab.reports / "latest").resolve()
    assert run == max(lab.reports.glob("2*")), "reports/latest leads to an older run"
    is_reported_as_aborted(run)


def test_a_run_killed_in_the_steady_state_after_is_reported(lab: Lab) -> None:
    at(lab, signal.SIGKILL, ["fault_kind=drain"], lambda lab: lab.account().get("healed") is True)
    run = Path(lab.account()["run_dir"])
    healed = lab.play("recover")
    assert healed.returncode == 0, healed.output[-6000:]
    nothing_is_left(lab)
    is_reported_as_aborted(run)
    assert (lab.reports / "latest").resolve() == run


@contextlib.contextmanager
def kept_on(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    """The watchdog by the command that a page tells of, watching every node; ended if it still runs."""
    (told,) = {line for _, line in all_typed() if line.startswith("python -m failover_lab watchdog")}
    with subprocess.Popen(
        [sys.executable, *shlex.split(told)[1:], f"--profile={PROFILE}"],
        cwd=ROOT,
        env=lab.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:

        def is_ready() -> bool:
            assert process.poll() is None, process.communicate()[0]
            path = lab.state / "watchdog.json"
            status = json.loads(path.read_text()) if path.exists() else {}
            return status.get("pid") == process.pid and status["ready"]

        try:
            within(30, is_ready)
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def end(watchdog: subprocess.Popen[str]) -> list[str]:
    """End it as a user does; what it had said."""
    watchdog.send_signal(signal.SIGTERM)
    said = watchdog.communicate(timeout=30)[0].splitlines()
    assert watchdog.returncode == 0, said
    return said


def test_a_watchdog_that_is_kept_on(lab: Lab) -> None:
    with kept_on(lab) as watchdog:
        # One with pods: recover spreads none, and without any there are no flows to clear.
        node = next(where for _, where in lab.pods().values() if where != PROFILE)
        docker("kill", node)
        within(10, lambda: is_tainted(lab))
        assert lab.cordoned() == [node]
        refused = lab.play("teardown")
        assert refused.returncode != 0
        assert f"kill {watchdog.pid}" in refused.error
        assert refused.changed == 0
        recovered = lab.play("recover")
        assert recovered.returncode == 0, recovered.output[-6000:]
        nothing_is_left(lab)
        said = end(watchdog)
    # On a busy machine it may have had to look or to try again.
    steps = [step for line in said[:-1] if (step := line.split()[1]) not in {"refused", "stuck"}]
    assert steps[:4] == ["watching", "dead", "fenced", "marked"], said
    assert {*steps[4:6]} == {"pods_deleted", "flows_cleared"}, said
    assert steps[6:] in (["released"], ["closed"]), said
    assert said[-1].endswith(f"nodes given away: {node}; stopped: SIGTERM")


def test_a_run_relies_on_a_watchdog_that_is_kept_on(lab: Lab) -> None:
    before = lab.pods()
    with kept_on(lab) as watchdog:
        _, report = broken(
            lab,
            *("-e", "fault_kind=kill", "-e", "fault_recovery=watchdog"),
            bitten=of_any(lambda node: state(node) == "exited"),
        )
        end(watchdog)
    is_true_to_the_cluster(lab, report, before)
    nothing_is_left(lab)
    assert report["clocks_s"]["capacity"] < 10, report["clocks_s"]
    marks = [json.loads(line) for line in (lab.reports / "latest" / "marks.jsonl").read_text().splitlines()]
    of_it = [mark for mark in marks if mark["event"].startswith("watchdog_")]
    assert of_it[0]["event"] == "watchdog_kept_on"
    assert of_it[0]["process"] == str(watchdog.pid)
    given = {mark["event"] for mark in of_it if mark.get("node") == report["fault"]["node"]}
    assert given >= {"watchdog_dead", "watchdog_fenced", "watchdog_marked", "watchdog_pods_deleted"}
    assert not (lab.reports / "latest" / "watchdog.json").exists(), "the run started one of its own"
