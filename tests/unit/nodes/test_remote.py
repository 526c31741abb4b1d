"""What is run in nodes that are hosts, played here by a shell among commands that are made up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from failover_lab import arguments
from failover_lab.errors import UserError
from failover_lab.nodes import remote, remote_command
from failover_lab.nodes.packets import Kept
from failover_lab.nodes.remote import Deed, Facts

KEPT = Kept("10.9.0.7", "10.0.0.2", 22, "10.0.0.1")
FACTS = Facts(KEPT, "eth0", ("eth0", "eth1"), "abc", {})
COMMANDS = {
    "systemctl": 'case "$1 $2" in "cat kubelet") true ;; "cat "*) false ;;\n'
    '"is-active --quiet") true ;; is-active*) cat "$ROOT/kubelet-is" ;;\n'
    '"stop kubelet") echo inactive >"$ROOT/kubelet-is" ;;\n'
    '"start kubelet") echo active >"$ROOT/kubelet-is" ;; esac',
    "systemd-run": "true",
    "systemd-detect-virt": "false",
    "tc": 'case "$1" in qdisc) [ "$2" != show ] || echo clsact ;; esac',
    "readlink": "echo 'pid:[4026531836]'",
    "setsid": 'exec "$@"',
}


# Where this machine's own things are, and where those of a made-up one.
PATHS = {
    remote.PLACE: "place",
    "/run/systemd/system": "systemd",
    "/proc/sysrq-trigger": "trigger",
    "/proc/sys/kernel": "kernel",
    "/sys/class": "class",
    "/.dockerenv": "dockerenv",
    "/etc/init.d": "init.d",
    "/run/.containerenv": "containerenv",
    "/etc/machine-id": "machine-id",
}


class Node:
    """A machine of made-up commands, whose every call is written down."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "bin").mkdir()
        for name, body in COMMANDS.items():
            self.has(name, body)
        for name, content in {
            "systemd/x": "", "trigger": "", "kernel/panic": "0", "kernel/sysrq": "0", "kubelet-is": "active",
            "class/net/eth0/type": "1", "class/net/eth1/type": "1", "class/rtc/rtc0/wakealarm": "",
        }.items():  # fmt: skip
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content + "\n")

    def has(self, name: str, body: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"$ROOT/calls"\n{body}\n')
        path.chmod(0o755)

    def runs(self, program: str) -> list[dict[str, Any]]:
        for path, here in PATHS.items():
            program = program.replace(path, str(self.root / here))
        done = subprocess.run(
            ["sh", "-c", program],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
            env=self.environment,
        )
        return remote.told(done.stdout)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "ROOT": str(self.root)}

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def says(self, name: str) -> str:
        return (self.root / name).read_text().strip()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


DEEDS = [
    *(Deed(action, 60) for action in ("cut-off", "join", "stop-kubelet", "start-kubelet")),
    *(Deed("kill", 60, how=how, command="echo 'it''s \"over\"'") for how in remote.HOWS),
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: f"{deed.action}-{deed.how}")
def test_a_shell_takes_it(deed: Deed) -> None:
    done = subprocess.run(
        ["sh", "-n"], input=remote.program(deed, FACTS), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "'" not in remote.wrapped("echo 'a' \"$b\"\n")


def test_the_timer_runs_before_the_node_is_cut_off(node: Node) -> None:
    (said,) = node.runs(remote.program(Deed("cut-off", 77), FACTS))
    assert abs(said["at"] - time.time()) < 10
    timer = next(place for place, call in enumerate(node.calls) if call.startswith("systemd-run"))
    assert "--on-active=77" in node.calls[timer]
    assert node.calls[timer].endswith(f"/bin/sh {node.root}/place/heal.sh")
    cuts = [place for place, call in enumerate(node.calls) if call.startswith("tc filter add")]
    assert len(cuts) == 4
    assert timer < min(cuts)
    # At the other interface nothing stays.
    kept, all_of_it = (node.calls[place] for place in (cuts[0], cuts[2]))
    assert "dev eth0 ingress pref 3713 protocol all bpf da bytecode 20," in kept
    assert "dev eth1 ingress pref 3713 protocol all bpf da bytecode 1,6 0 0 2," in all_of_it


def test_one_way_alone(node: Node) -> None:
    node.runs(remote.program(Deed("cut-off", 77, ways=("egress",)), FACTS))
    assert {call.split()[5] for call in node.calls if call.startswith("tc filter add")} == {"egress"}


def test_what_waits_on_the_node_undoes_it_by_itself(node: Node) -> None:
    node.runs(remote.program(Deed("cut-off", 77), FACTS))
    node.runs(remote.program(Deed("stop-kubelet", 77), FACTS))
    assert (node.says("kubelet-is"), node.says("place/kubelet")) == ("inactive", "kubelet")
    (node.root / "calls").unlink()
    subprocess.run(["sh", str(node.root / "place/heal.sh")], env=node.environment, check=True, timeout=20)
    assert node.says("kubelet-is") == "active"
    assert {call.split()[4] for call in node.calls if call.startswith("tc filter del")} == {"eth0", "eth1"}
    assert not (node.root / "place/kubelet").exists()
    assert not (node.root / "place/interfaces").exists()


def test_to_heal_earlier_ends_the_timer(node: Node) -> None:
    node.runs(remote.program(Deed("cut-off", 77), FACTS))
    assert node.runs(remote.program(Deed("join", 77), FACTS)) == [{}]
    assert f"systemctl stop {remote.UNIT}.timer" in node.calls
    assert [call for call in node.calls if call.startswith("tc filter del dev eth0")]
    assert not (node.root / "place/heal.sh").exists()
    # And once more, where nothing is left.
    assert node.runs(remote.program(Deed("join", 77), FACTS)) == [{}]


def test_a_kubelet_that_does_not_come_back_is_told(node: Node) -> None:
    node.runs(remote.program(Deed("stop-kubelet", 77), FACTS))
    node.has("systemctl", 'case "$1" in start) false ;; esac')
    with pytest.raises(UserError, match="its kubelet could not be started"):
        node.runs(remote.program(Deed("start-kubelet", 77), FACTS))


@pytest.mark.parametrize("broken", ["systemd-run", "systemctl"])
def test_without_a_timer_nothing_is_done(node: Node, broken: str) -> None:
    node.has(broken, 'case "$1 $2" in "cat kubelet") true ;; *) false ;; esac')
    with pytest.raises(UserError, match="timer"):
        node.runs(remote.program(Deed("stop-kubelet", 77), FACTS))
    assert "systemctl stop kubelet" not in node.calls
    assert node.says("kubelet-is") == "active"


def test_without_systemd_a_process_waits(node: Node) -> None:
    (node.root / "systemd/x").unlink()
    (node.root / "systemd").rmdir()
    (node.root / "init.d").mkdir()
    (node.root / "init.d/kubelet").write_text('#!/bin/sh\necho "init.d $*" >>"$ROOT/calls"\n')
    (node.root / "init.d/kubelet").chmod(0o755)
    (said,) = node.runs(remote.program(Deed("stop-kubelet", 77), FACTS))
    assert "at" in said
    assert "init.d stop" in node.calls
    waits = int(node.says("place/waits"))
    try:
        assert f"{node.root}/place/heal.sh" in Path(f"/proc/{waits}/cmdline").read_text()
        assert node.runs(remote.program(Deed("start-kubelet", 77), FACTS)) == [{}]
        assert "init.d start" in node.calls
        assert not Path(f"/proc/{waits}/cmdline").exists() or not Path(f"/proc/{waits}/cmdline").read_text()
    finally:
        for line in subprocess.run(
            ["pgrep", "-P", str(waits)], capture_output=True, text=True, check=False
        ).stdout:
            if line.strip():
                os.kill(waits, signal.SIGKILL)


# A sleep that ends when the test says so; the short ones between two looks are what they are.
UNTIL_OVER = (
    '[ "$1" != 0.1 ] || exec /bin/sleep 0.1\n'
    'for _ in $(seq 1200); do [ ! -e "$ROOT/over" ] || exit 0; /bin/sleep 0.05; done'
)


def test_one_that_was_over_before_is_told_at_once(node: Node) -> None:
    (node.root / "systemd/x").unlink()
    (node.root / "systemd").rmdir()
    # Of this number there is no process.
    node.has("setsid", 'echo 2147483646 >"$ROOT/place/waits"')
    with pytest.raises(UserError, match="has ended before anything was done"):
        node.runs(remote.program(Deed("cut-off", 77), FACTS))
    assert not (node.root / "place/interfaces").exists()


def test_a_process_that_waits_heals_at_the_deadline(node: Node) -> None:
    (node.root / "systemd/x").unlink()
    (node.root / "systemd").rmdir()
    # It may not be over before the fault is there, however slow this machine is.
    node.has("sleep", UNTIL_OVER)
    node.runs(remote.program(Deed("cut-off", 77), FACTS))
    assert (node.root / "place/interfaces").exists()
    (node.root / "over").touch()
    deadline = time.monotonic() + 10
    while (node.root / "place/interfaces").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not (node.root / "place/interfaces").exists()


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        (
            "tc",
            'case "$*" in *"filter add"*) false ;; *show*) echo clsact ;; esac',
            "modules sch_ingress and cls_bpf",
        ),
        ("cat", "echo 65534", "is no Ethernet"),
    ],
)
def test_what_cannot_be_cut_off_is_left_alone(node: Node, name: str, body: str, why: str) -> None:
    node.has(name, body)
    with pytest.raises(UserError, match=why):
        node.runs(remote.program(Deed("cut-off", 77), FACTS))
    assert not (node.root / "place/interfaces").exists()


@pytest.mark.parametrize("sign", ["dockerenv", "containerenv", "readlink", "systemd-detect-virt"])
@pytest.mark.parametrize("how", ["crash", "reboot"])
def test_in_a_container_the_kernels_trigger_is_never_touched(node: Node, sign: str, how: str) -> None:
    if sign == "readlink":
        node.has(sign, "echo 'pid:[4026532001]'")
    elif sign == "systemd-detect-virt":
        node.has(sign, "true")
    else:
        (node.root / sign).touch()
    with pytest.raises(UserError, match=r"it is a container, and \S+trigger in it is that of its host"):
        node.runs(remote.program(Deed("kill", 77, how=how), FACTS))
    time.sleep(0.6 if sign == "dockerenv" else 0)
    assert (node.says("trigger"), node.says("kernel/panic"), node.says("kernel/sysrq")) == ("", "0", "0")


def strikes(node: Node, path: str) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if said := node.says(path) if (node.root / path).exists() else "":
            return said
        time.sleep(0.02)
    return ""


def test_how_machines_are_ended(node: Node) -> None:
    node.has("sleep", "true")
    (said,) = node.runs(remote.program(Deed("kill", 77, how="crash"), FACTS))
    assert said["after_s"] == 0.5
    assert (strikes(node, "trigger"), node.says("kernel/panic")) == ("c", "77")
    (node.root / "trigger").write_text("\n")
    for deed in (Deed("kill", 77, how="reboot"), Deed("reboot", 77, how="crash")):
        (node.root / "trigger").write_text("\n")
        node.runs(remote.program(deed, FACTS))
        assert strikes(node, "trigger").strip() == "b", "it is one idea, whoever asks for it"
    node.runs(remote.program(Deed("kill", 77, how="command", command='echo "mine" >"$ROOT/mine"'), FACTS))
    assert strikes(node, "mine") == "mine"


def test_what_is_turned_off_has_somebody_to_start_it(node: Node) -> None:
    node.has("sleep", "true")
    node.runs(remote.program(Deed("kill", 77), FACTS))
    assert node.says("class/rtc/rtc0/wakealarm") == "+77"
    (node.root / "class/rtc/rtc0/wakealarm").unlink()
    with pytest.raises(UserError, match=r"no clock that could start it again, and there is no start\.yml"):
        node.runs(remote.program(Deed("kill", 77), FACTS))
    (said,) = node.runs(remote.program(Deed("kill", 77, elsewhere=True), FACTS))
    assert "at" in said


def test_a_container_leaves_its_hosts_clock_alone(node: Node) -> None:
    node.has("sleep", "true")
    (node.root / "dockerenv").touch()
    node.runs(remote.program(Deed("kill", 77, elsewhere=True), FACTS))
    assert node.says("class/rtc/rtc0/wakealarm") == ""


ASKED = {
    "connection": "10.9.0.7 40000 10.0.0.2 2222",
    "route": "10.9.0.7 via 10.0.0.1 dev eth0 src 10.0.0.2 uid 0",
    "interfaces": "eth0 eth1", "inside": True, "timer": True, "marked": False, "unit": "kubelet", "now": 1.5,
    "machine_id": "abc",
}  # fmt: skip
LOOKS = {"incoming": False, "outgoing": False, "lossy": False, "slow": False, "kubelet": "active"}
LOOKS |= {"nameless": True, "half_open_s": 120}


def spoken(asked: dict[str, Any] | None = None, looks: dict[str, Any] | None = None) -> str:
    lines = [remote.SAYS + json.dumps(ASKED | (asked or {})), remote.SAYS + json.dumps(LOOKS | (looks or {}))]
    # With a terminal between, and a login that greets.
    return "Welcome!\r\n" + "\r\n".join(lines) + "\r\n"


def test_what_a_node_says_of_itself() -> None:
    found = remote.facts(spoken())
    assert found == Facts(
        Kept("10.9.0.7", "10.0.0.2", 2222, "10.0.0.1"),
        "eth0",
        ("eth0", "eth1"),
        "abc",
        LOOKS | {"nameless": False},
    )
    on_link = remote.facts(spoken({"route": "10.9.0.7 dev eth0 src 10.0.0.2"}))
    assert on_link is not None
    assert on_link.kept is not None
    assert on_link.kept.next_hop == "10.9.0.7"
    # By another connection than ssh, an engine's say, nothing has to stay.
    other = remote.facts(spoken({"connection": "", "route": ""}))
    assert other is not None
    assert other.kept is None
    assert remote.facts("sudo: a password is required\n") is None


@pytest.mark.parametrize(("marked", "kubelet"), [(True, "inactive"), (False, "stopped by somebody else")])
def test_a_kubelet_that_somebody_else_has_stopped_is_not_ours_to_start(marked: bool, kubelet: str) -> None:
    found = remote.facts(spoken({"marked": marked}, {"kubelet": "inactive"}))
    assert found is not None
    assert found.row["kubelet"] == kubelet


def test_this_machine_answers() -> None:
    done = subprocess.run(
        ["sh", "-c", remote.wrapped(remote.ask("127.0.0.1"))],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    found = remote.facts(done.stdout)
    assert found is not None, done.stderr
    assert set(LOOKS) == set(found.row)


def test_the_instant_by_another_clock() -> None:
    assert remote.at({"at": 100.25, "after_s": 0.5}) == 100.75
    assert remote.at({"at": 100.25}, 99.0) == 100.25
    assert remote.at({"at": 100.25, "after_s": 0.5}, 5000.0) == 5000.5


REFUSES = f'{remote.SAYS}{{"error": "no clock"}}'


def heard(**more: Any) -> str:
    return json.dumps([{"name": "m02", "host": "box", "machine_id": "abc", "stdout": spoken()} | more])


def answer(*words: str) -> tuple[int, Any]:
    """What the command answers; the whole command line would be made anew each time."""
    parser = arguments.Parser(prog="failover-lab")
    remote_command.add_parser(parser.add_subparsers(parser_class=arguments.Parser))
    try:
        return 0, remote_command.run(parser.parse_args(["remote", *words])).data["nodes"]
    except UserError as error:
        return 2, str(error)


@pytest.mark.parametrize(
    ("more", "state", "symptoms"),
    [
        ({}, "running", []),
        ({"stdout": spoken(None, {"incoming": True})}, "running", ["cut_off"]),
        ({"stdout": spoken({"marked": True}, {"kubelet": "failed"})}, "running", ["no_kubelet"]),
        ({"unreachable": True, "stdout": ""}, "unreachable", ["exited"]),
        ({"state": "off", "stdout": ""}, "off", ["exited"]),
        ({"state": "paused", "stdout": ""}, "paused", ["paused"]),
        ({"state": "running", "stdout": ""}, "running", []),
    ],
)
def test_the_state_of_a_node(more: dict[str, Any], state: str, symptoms: list[str]) -> None:
    status, (row,) = answer("state", f"--heard={heard(**more)}")
    assert (status, row["name"], row["state"], row["symptoms"]) == (0, "m02", state, symptoms)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["state", f"--heard={heard(machine_id='other')}"], "box of the group nodes is not the node m02"),
        (["state", f"--heard={heard(stdout='sudo: a password')}"], "(sudo: a password)"),
        (["same", f"--heard={heard()}", "--id=other"], "its host is another one"),
        (["same", f"--heard={heard(unreachable=True)}"], "its host is not reached"),
        (["script", "--action=join", f"--heard={heard(unreachable=True, msg='timed out')}"], "(timed out)"),
        (["done", "--action=join", f"--heard={heard(stdout='sh: not found')}"], "(sh: not found)"),
        (["done", "--action=kill", "--heard=" + heard(stdout=REFUSES)], "m02: no clock"),
        (["state", "--heard={}"], "no list of nodes"),
        (["state", "--heard=x"], "no JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(words: list[str], why: str) -> None:
    status, told = answer(*words)
    assert status == 2
    assert why in told
    assert len(told.splitlines()) == 1


def test_a_script_and_what_came_of_it() -> None:
    status, (row,) = answer("script", "--action=stop-kubelet", "--deadline=9", f"--heard={heard()}")
    assert (status, row["name"]) == (0, "m02")
    assert row["run"].startswith('sh -c "$(printf %s ')
    out = f'{remote.SAYS}{{"at": 5.5}}'
    assert answer("done", "--action=kill", "--heard=" + heard(stdout=out)) == (
        0,
        [{"name": "m02", "at": 5.5}],
    )
    assert answer("same", "--id=abc", f"--heard={heard()}") == (0, [{"name": "m02"}])
