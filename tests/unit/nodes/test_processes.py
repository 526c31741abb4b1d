"""Which processes of a node are killed: the programs, in a shell, with a /proc that is made up."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest

from failover_lab.errors import UserError
from failover_lab.nodes import processes, script

APP, PROXY, BOX, OTHER = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
UID = "1111-2222"
# Of any runtime, by either driver of the kubelet's.
CGROUPFS = "12:cpu:/docker/feed/kubepods/burstable/pod{uid}/{id}"
SYSTEMD = "0::/kubelet.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{id}.scope"


def process(tmp_path: Path, pid: int, group: str, container: str, started: int, *, uid: str = UID) -> None:
    folder = tmp_path / "proc" / str(pid)
    folder.mkdir(parents=True)
    path = group.format(uid=uid, under=uid.replace("-", "_"), id=container)
    (folder / "cgroup").write_text(f"13:pids:/x\n{path}\n")
    fields = ["S", *["0"] * 18, str(started), "0"]
    (folder / "stat").write_text(f"{pid} (a (b) c) {' '.join(fields)}\n")


def in_node(tmp_path: Path, program: str, *words: str, deadly: bool = True) -> tuple[list[str], list[str]]:
    """What it says, and whom it has killed; who is killed is gone, or not."""
    end = 'for pid; do rm -r "/proc/$pid"; done' if deadly else "true"
    body = f"""
kill() {{ shift; echo "$@" >>{tmp_path}/killed; {end}; }}
sleep() {{ true; }}
{program}
""".replace("/proc/", f"{tmp_path}/proc/")
    done = subprocess.run(
        ["sh", "-c", script._FRAME.replace("{program}", body), "sh", *words],
        input="now\n", capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    killed = tmp_path / "killed"
    return done.stdout.splitlines(), killed.read_text().split() if killed.exists() else []


@pytest.mark.parametrize("group", [CGROUPFS, SYSTEMD])
@pytest.mark.parametrize(
    ("program", "victim"), [(processes._KILL_FIRST, "20"), (processes._KILL_SANDBOX, "10")]
)
def test_the_oldest_of_its_group(tmp_path: Path, group: str, program: str, victim: str) -> None:
    process(tmp_path, 10, group, BOX, 100)
    # A worker whose number came round again, and what a probe has started.
    process(tmp_path, 19, group, APP, 120)
    process(tmp_path, 20, group, APP, 110)
    process(tmp_path, 21, group, APP, 111)
    process(tmp_path, 15, group, PROXY, 105)
    process(tmp_path, 5, group, OTHER, 50, uid="3333-4444")
    said, killed = in_node(tmp_path, program, f"{UID}={APP}+{PROXY}")
    assert killed == [victim]
    assert (float(said[0]) > 0, said[1:]) == (True, ["over 0"])


def test_several_pods_at_once(tmp_path: Path) -> None:
    process(tmp_path, 10, CGROUPFS, APP, 100)
    process(tmp_path, 11, CGROUPFS, PROXY, 100, uid="3333-4444")
    said, killed = in_node(tmp_path, processes._KILL_FIRST, f"{UID}={APP}", f"3333-4444={PROXY}")
    assert (killed, said[-1]) == (["10", "11"], "over 0")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (processes._KILL_FIRST, f"the container {APP} has no process"),
        (processes._KILL_SANDBOX, f"the pod {UID} has no process of a sandbox"),
    ],
)
def test_nobody_is_killed_where_one_is_not_found(tmp_path: Path, program: str, words: str) -> None:
    process(tmp_path, 10, CGROUPFS, PROXY, 100, uid="3333-4444")
    process(tmp_path, 9, CGROUPFS, BOX, 90, uid="3333-4444")
    said, killed = in_node(tmp_path, program, f"3333-4444={PROXY}", f"{UID}={APP}")
    assert (said, killed) == ([words, "over 1"], [])


def test_one_that_lives_on_is_told(tmp_path: Path) -> None:
    process(tmp_path, 10, CGROUPFS, APP, 100)
    program = processes._KILL_FIRST.replace("-le 200", "-le 3")
    said, _ = in_node(tmp_path, program, f"{UID}={APP}", deadly=False)
    assert said[1:] == ["process 10 lives on", "over 1"]


def test_what_names_a_pod() -> None:
    (one, two) = processes.targets(f"u-1={APP}+{BOX},u-2={APP}")
    assert (one.word, two.containers) == (f"u-1={APP}+{BOX}", (APP,))
    for text in ("u-1", "u-1=", f"u;1={APP}", f"u-1={APP};reboot"):
        with pytest.raises(argparse.ArgumentTypeError):
            processes.targets(text)


def test_somebody_has_to_say_whose() -> None:
    options = argparse.Namespace(containers=[])
    with pytest.raises(UserError, match="nobody says of which pods on m02 the first process"):
        processes.kill_first(None, "m02", options)  # type: ignore[arg-type]  # it is not asked
