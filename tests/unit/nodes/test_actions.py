"""What is done to nodes, by the command, against an engine; and the programs that run in them, in a shell."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.watchdog.fakes import FakeEngine, frame

from failover_lab import cli
from failover_lab.nodes import actions, hampered, script, start_nodes

NOW = 1795955109.213164


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    engine = FakeEngine(tmp_path / "engine.sock")
    engine.states = {name: {"Running": True} for name in ("lab", "lab-m02")}
    yield engine
    engine.server.shutdown()
    engine.server.server_close()


def do(action: str, *more: str, nodes: str = "lab-m02") -> int:
    return cli.main(["node", action, "--profile=lab", f"--nodes={nodes}", *more])


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("identity", [[], ["--id=id-lab-m02"]])
def test_one_that_runs_is_the_same(fake: FakeEngine, identity: list[str]) -> None:
    assert do("same", *identity) == 0


@pytest.mark.parametrize(
    ("state", "identity", "what"),
    [
        (None, "id-lab-m02", "gone"),
        ({"Running": True}, "other", "another one"),
        ({"Running": False}, "id-lab-m02", "stopped"),
        ({"Running": True, "Paused": True}, "id-lab-m02", "paused"),
    ],
)
def test_one_that_has_vanished_is_told(
    fake: FakeEngine, capsys: Any, state: dict[str, bool] | None, identity: str, what: str
) -> None:
    fake.states = {} if state is None else {"lab-m02": state}
    assert do("same", f"--id={identity}") == 2
    said = capsys.readouterr().err
    assert f"lab-m02 has vanished since it was chosen: its container is {what}. Nothing was done" in said
    assert "recover.yml" in said


def test_each_of_several_has_to_be_one_of_those_that_were_chosen(fake: FakeEngine) -> None:
    fake.states = {"lab-m02": {"Running": True}, "lab-m03": {"Running": True}}
    assert do("same", "--id=id-lab-m02,id-lab-m03", nodes="lab-m02,lab-m03") == 0
    assert do("same", "--id=id-lab-m02,other", nodes="lab-m02,lab-m03") == 2


def test_several_are_struck_at_once(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    both = threading.Barrier(2, timeout=5)

    def strike(_driver: object, _name: str, _options: object) -> dict[str, Any]:
        return {"at": both.wait() + NOW}

    monkeypatch.setitem(actions.ACTIONS, "pause", strike)
    assert do("pause", nodes="lab-m02,lab-m03") == 0
    assert [row["name"] for row in told(capsys)] == ["lab-m02", "lab-m03"]


@pytest.mark.parametrize("action", ["kill-first", "kill-sandbox"])
def test_the_instant_at_which_a_process_was_killed(fake: FakeEngine, capsys: Any, action: str) -> None:
    fake.output = frame(b"1795955109.213164\nover 0\n")
    assert do(action, f"--containers=uid-a={'a' * 64}") == 0
    assert told(capsys) == [{"name": "lab-m02", "at": NOW}]
    fake.output = frame(b"process 10 lives on\nover 1\n")
    assert do(action, f"--containers=uid-a={'a' * 64}") == 2
    assert "could not be killed: process 10 lives on" in capsys.readouterr().err


def at_the_time(monkeypatch: pytest.MonkeyPatch, instant: float) -> None:
    """What is done begins then, whatever the time is for the engine."""
    clock = argparse.Namespace(time=lambda: instant, monotonic=time.monotonic, sleep=time.sleep)
    monkeypatch.setattr(actions, "time", clock)


def test_kill_says_when_the_engine_did_it(
    fake: FakeEngine, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = int(time.time() * 1e9)
    at_the_time(monkeypatch, at / 1e9 - 1)
    fake.past = [("lab-m02", "kill", at), ("lab-m02", "die", at + 1000)]
    assert do("kill") == 0
    (row,) = told(capsys)
    assert row == {"name": "lab-m02", "at": pytest.approx(at / 1e9, abs=1e-6)}
    assert not fake.states["lab-m02"]["Running"]


def test_one_that_has_ended_stays_as_it_is(fake: FakeEngine, capsys: Any) -> None:
    fake.states["lab-m02"] = {"Running": False}
    assert do("kill") == 0
    assert told(capsys) == [{"name": "lab-m02"}]
    assert not any("kill" in asked for asked in fake.asked)


def test_kill_without_an_account_is_when_it_was_asked_for(fake: FakeEngine, capsys: Any) -> None:
    began = time.time()
    assert do("kill") == 0
    assert began <= told(capsys)[0]["at"] <= time.time()


@pytest.mark.parametrize("node", ["lab-m03", "lab-m02"])
def test_what_does_not_end_is_told(
    fake: FakeEngine, capsys: Any, monkeypatch: pytest.MonkeyPatch, node: str
) -> None:
    monkeypatch.setattr(actions, "_END_S", 0.1)
    monkeypatch.setattr(fake, "states", {"lab-m02": Immortal(Running=True)})
    assert do("kill", nodes=node) == 2
    state = "absent" if node == "lab-m03" else "running"
    assert f"{node} was killed and has not ended: it is {state}" in capsys.readouterr().err


class Immortal(dict[str, Any]):
    """Nothing changes its state."""

    def __ior__(self, _other: Any) -> Any:  # type: ignore[misc]  # that of a dict is overloaded
        return self


def test_a_reboot_is_a_kill_and_a_start(
    fake: FakeEngine, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    at = time.time()
    clock = argparse.Namespace(time=lambda: at, monotonic=time.monotonic, sleep=slept.append)
    monkeypatch.setattr(actions, "time", clock)
    monkeypatch.setattr(start_nodes, "start", lambda _driver, names: dict.fromkeys(names, "then"))
    assert do("reboot", "--away=7") == 0
    assert told(capsys) == [{"name": "lab-m02", "at": at, "since": "then"}]
    assert not fake.states["lab-m02"]["Running"]
    assert slept == [pytest.approx(7.0)]


def test_a_driver_that_reboots_does_so_itself() -> None:
    class Itself:
        def reboot(self, name: str) -> float:
            return NOW if name == "m02" else 0.0

    assert actions.reboot(Itself(), "m02", argparse.Namespace()) == {"at": NOW}  # type: ignore[arg-type]


def test_pause_and_resume(fake: FakeEngine, capsys: Any) -> None:
    began = time.time()
    assert do("pause") == 0
    assert fake.states["lab-m02"] == {"Running": True, "Paused": True}
    assert began <= told(capsys)[0]["at"] <= time.time()
    assert do("resume", nodes="lab-m02,lab") == 0
    assert fake.states["lab-m02"] == {"Running": True, "Paused": False}
    assert [row["name"] for row in told(capsys)] == ["lab-m02", "lab"]


def test_a_pause_that_does_not_hold_is_told_unless_the_account_has_it(
    fake: FakeEngine, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watchdog may have ended the node by the time that somebody looks."""
    fake.states["lab-m02"] = Immortal(Running=True)
    assert do("pause") == 2
    assert "lab-m02 was paused, and it is running" in capsys.readouterr().err
    fake.past = [("lab-m02", "pause", int(time.time() * 1e9))]
    at_the_time(monkeypatch, time.time() - 1)
    assert do("pause") == 0


@pytest.mark.parametrize("action", ["cut-off", "stop-kubelet", "drop-some", "slow-down"])
def test_what_a_node_says_of_the_instant(fake: FakeEngine, capsys: Any, action: str) -> None:
    fake.output = frame(b"1795955109.213164\nover 0\n")
    assert do(action) == 0
    assert told(capsys) == [{"name": "lab-m02", "at": NOW}]
    assert fake.executed[0]["Cmd"][:2] == ["sh", "-c"]


@pytest.mark.parametrize(
    ("direction", "ways"), [("both", "ingress egress"), ("incoming", "ingress"), ("outgoing", "egress")]
)
def test_which_ways_are_cut(fake: FakeEngine, direction: str, ways: str) -> None:
    fake.output = frame(b"1795955109.213164\nover 0\n")
    assert do("cut-off", f"--direction={direction}", "--interface=eth7") == 0
    assert fake.executed[0]["Cmd"][3:] == ["sh", "eth7", "3713", ways]


@pytest.mark.parametrize("action", ["join", "start-kubelet", "drop-none", "speed-up"])
def test_what_undoes_it(fake: FakeEngine, capsys: Any, action: str) -> None:
    fake.output = frame(b"over 0\n")
    assert do(action) == 0
    assert told(capsys) == [{"name": "lab-m02"}]


@pytest.mark.parametrize(
    ("action", "output", "words"),
    [
        ("cut-off", b"Error: Unknown qdisc\nover 2\n", ["lab-m02 could not be cut off (Error: Unknown qdisc)",
                                                      "sch_ingress and cls_bpf", "fault_kind=freeze"]),
        ("cut-off", b"over 1\n", ["lab-m02 could not be cut off (status 1)"]),
        ("cut-off", b"over 0\n", ["lab-m02 could not be cut off"]),
        ("drop-some", b"Error: Unknown qdisc\nover 2\n", ["could not be made to drop packets (Error: Unknown",
                                                        "cls_bpf"]),
        ("slow-down", b"its pods have a limit already, 5 9\nover 1\n", ["slowed down (its pods have",
                                                                  "CFS bandwidth"]),
        ("stop-kubelet", b"179.1\nit is active\nover 1\n", ["of lab-m02 did not stop: it is active."]),
        ("join", b"half\n", ["cannot join lab-m02: lab-m02 has ended, or says nothing"]),
        ("start-kubelet", b"no\nover 5\n", ["cannot start-kubelet lab-m02: no"]),
    ],
)  # fmt: skip
def test_what_fails_in_a_node_is_told(
    fake: FakeEngine, capsys: Any, action: str, output: bytes, words: list[str]
) -> None:
    fake.output = frame(output)
    assert do(action) == 2
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == []


def test_an_engine_that_refuses_is_told(fake: FakeEngine, capsys: Any, monkeypatch: Any) -> None:
    assert do("resume", nodes="lab-m03") == 2
    said = capsys.readouterr().err
    assert "the container engine cannot resume lab-m03" in said
    assert "No such container" in said


# The programs themselves


def in_shell(tmp_path: Path, program: str, *given: str, tools: dict[str, str]) -> list[str]:
    """Run one as a node would, with tools that write down how they were called."""
    for name, body in tools.items():
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n{body}\n')
        tool.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script._FRAME.replace("{program}", program), "sh", *given],
        input="now\n",
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout.splitlines()


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


@pytest.mark.parametrize("there", ["clsact", "fq"])
def test_cutting_off(tmp_path: Path, there: str) -> None:
    at, over = in_shell(
        tmp_path,
        actions._CUT,
        "eth7",
        "9",
        "ingress egress",
        tools={"tc": f"case $* in *show*) echo {there} ;; esac"},
    )
    assert (float(at) > 0, over) == (True, "over 0")
    added = [] if there == "clsact" else ["tc qdisc add dev eth7 clsact"]
    assert calls(tmp_path) == ["tc qdisc show dev eth7", *added] + [
        f"tc filter add dev eth7 {way} pref 9 protocol all bpf da bytecode 1,6 0 0 2,"
        for way in ("ingress", "egress")
    ]


def test_a_kernel_that_does_not_take_it(tmp_path: Path) -> None:
    body = 'case $* in *add*) echo "Error: Unknown qdisc" >&2; exit 2 ;; esac'
    said = in_shell(tmp_path, actions._CUT, "eth0", "9", "ingress", tools={"tc": body})
    assert said == ["Error: Unknown qdisc", "over 2"]


@pytest.mark.parametrize("others", ["", "filter protocol ip pref 1"])
def test_joining_leaves_what_others_have_there(tmp_path: Path, others: str) -> None:
    body = f'case $* in *show*) echo "{others}" ;; filter*del*) exit 2 ;; esac'.replace('echo ""', "true")
    assert in_shell(tmp_path, actions._JOIN, "eth0", "9", tools={"tc": body})[-1] == "over 0"
    assert ("tc qdisc del dev eth0 clsact" in calls(tmp_path)) == (not others)
    assert calls(tmp_path)[:2] == [f"tc filter del dev eth0 {way} pref 9" for way in ("ingress", "egress")]


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_stopping_a_kubelet(tmp_path: Path, state: str) -> None:
    body = f'[ "$1" = is-active ] && {{ echo {state}; exit 3; }}; exit 0'
    at, over = in_shell(tmp_path, actions._STOP_KUBELET, tools={"systemctl": body})
    assert (float(at) > 0, over) == (True, "over 0")
    assert calls(tmp_path) == ["systemctl stop kubelet", "systemctl is-active kubelet"]


def test_a_kubelet_that_runs_on(tmp_path: Path) -> None:
    said = in_shell(
        tmp_path, actions._STOP_KUBELET, tools={"systemctl": '[ "$1" = stop ] || echo active', "sleep": ""}
    )
    assert said[1:] == ["it is active", "over 1"]
    assert calls(tmp_path).count("systemctl is-active kubelet") == 201


@pytest.mark.parametrize(("percent", "bound"), [("0.1", 4290672329), ("50", 2147483648), ("100", 0)])
def test_how_many_are_dropped(fake: FakeEngine, percent: str, bound: int) -> None:
    fake.output = frame(b"1795955109.213164\nover 0\n")
    assert do("drop-some", f"--percent={percent}", "--interface=eth7") == 0
    assert fake.executed[0]["Cmd"][3:] == ["sh", "eth7", "3714", str(bound)]


@pytest.mark.parametrize("percent", ["0", "101", "much"])
def test_what_is_no_part_of_all_packets(percent: str) -> None:
    with pytest.raises(SystemExit):
        do("drop-some", f"--percent={percent}")


def test_dropping_some(tmp_path: Path) -> None:
    at, over = in_shell(tmp_path, hampered._DROP_SOME, "eth7", "9", "5", tools={"tc": "true"})
    assert (float(at) > 0, over) == (True, "over 0")
    drops = "4,32 0 0 4294963256,53 0 1 5,6 0 0 2,6 0 0 4294967295,"
    assert calls(tmp_path) == ["tc qdisc show dev eth7", "tc qdisc add dev eth7 clsact"] + [
        f"tc filter add dev eth7 {way} pref 9 protocol all bpf da bytecode {drops}"
        for way in ("ingress", "egress")
    ]


@pytest.mark.parametrize(
    ("queue", "others"), [("clsact", ""), ("clsact", "filter protocol ip pref 1"), ("fq", "")]
)
def test_dropping_none_leaves_what_others_have_there(tmp_path: Path, queue: str, others: str) -> None:
    shows = f'qdisc*show*) echo {queue} ;; filter*show*) printf %s "{others}" ;;'
    body = f"case $* in {shows} filter*del*) exit 2 ;; esac"
    assert in_shell(tmp_path, hampered._DROP_NONE, "eth0", "9", tools={"tc": body})[-1] == "over 0"
    gone = "tc qdisc del dev eth0 clsact" in calls(tmp_path)
    assert gone == (queue == "clsact" and not others)


V1, V2 = ("cpu.cfs_quota_us", "cpu.cfs_period_us"), ("cpu.max",)


def pods_group(tmp_path: Path, version: tuple[str, ...], said: str, where: str = "kubepods") -> Path:
    """A node's groups, of which that of its pods has this limit."""
    group = tmp_path / "groups" / where
    group.mkdir(parents=True)
    for name, words in zip(version, [said] if version == V2 else said.split(), strict=True):
        (group / name).write_text(words + "\n")
    return group


def limit(group: Path, version: tuple[str, ...]) -> str:
    return " ".join((group / name).read_text().strip() for name in version)


def in_groups(tmp_path: Path, program: str, *given: str) -> list[str]:
    return in_shell(tmp_path, program.replace("/sys/fs/cgroup", str(tmp_path / "groups")), *given, tools={})


@pytest.mark.parametrize(
    ("version", "free", "where"),
    [
        (V1, "-1 100000", "cpu/kubepods"),
        (V1, "-1 100000", "cpu/kubelet/kubepods"),
        (V2, "max 100000", "kubepods.slice"),
        (V2, "max 100000", "kubelet.slice/kubelet-kubepods.slice"),
    ],
)
def test_slowing_down_and_back(tmp_path: Path, version: tuple[str, ...], free: str, where: str) -> None:
    group = pods_group(tmp_path, version, free, where)
    at, over = in_groups(tmp_path, hampered._SLOW_DOWN, "3713")
    assert (float(at) > 0, over, limit(group, version)) == (True, "over 0", "3713 37130")
    # Again, as by a run that follows one that was killed.
    assert in_groups(tmp_path, hampered._SLOW_DOWN, "1114")[-1] == "over 0"
    assert limit(group, version) == "1114 37130"
    assert in_groups(tmp_path, hampered._SPEED_UP) == ["over 0"]
    assert limit(group, version) == free


@pytest.mark.parametrize(("version", "theirs"), [(V1, "5000 100000"), (V2, "5000 100000")])
def test_somebody_elses_limit_stays(tmp_path: Path, version: tuple[str, ...], theirs: str) -> None:
    group = pods_group(tmp_path, version, theirs)
    said = in_groups(tmp_path, hampered._SLOW_DOWN, "3713")
    assert said == ["its pods have a limit already, 5000 100000", "over 1"]
    assert in_groups(tmp_path, hampered._SPEED_UP) == ["over 0"]
    assert limit(group, version) == theirs


def test_a_node_without_such_groups(tmp_path: Path) -> None:
    said = in_groups(tmp_path, hampered._SLOW_DOWN, "3713")
    assert said == ["it has no group of pods whose share of the processors could be limited", "over 1"]
    assert in_groups(tmp_path, hampered._SPEED_UP) == ["over 0"]
