"""The command line, and the cluster through its own API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.watchdog.conftest import SimNode, World
from tests.unit.watchdog.fakes import ApiServer

from failover_lab import cli, nodes
from failover_lab.errors import UserError
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import OUT_OF_SERVICE_BY
from failover_lab.kube.rights import Right
from failover_lab.run import files, lifetime, stop
from failover_lab.run.layout import Lab
from failover_lab.waiting import until
from failover_lab.watchdog import cluster, command
from failover_lab.watchdog.cluster import connect
from failover_lab.watchdog.journal import Journal, Phase
from failover_lab.watchdog.only_one import only_one


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def api(server: ApiServer, tmp_path: Path) -> cluster.Api:
    return connect(server.kubeconfig(tmp_path / "kubeconfig"), "lab")


LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
PODS = "/api/v1/namespaces/site/pods"


def test_what_is_asked(server: ApiServer, api: cluster.Api) -> None:
    lab = {"metadata": {"name": "lab"}}
    server.answers = {
        "GET /api/v1/nodes": (200, {"items": [lab]}),
        "GET /api/v1/nodes/lab": (200, lab),
        f"GET {LEASES}": (
            200,
            {"items": [{**lab, "spec": {"renewTime": "t"}}, {"metadata": {"name": "new"}}]},
        ),
        f"GET {PODS}?fieldSelector=spec.nodeName%3Dlab": (200, {"items": None}),
        "GET /version": (200, {"gitVersion": "v1.99.1"}),
    }
    assert api.nodes() == [lab]
    assert api.node("lab") == lab
    assert api.node("lab-m02") is None
    assert api.leases() == {"lab": "t", "new": ""}
    assert api.pods("site", "lab") == []
    assert api.version() == {"gitVersion": "v1.99.1"}
    # One connection for all of it.
    assert server.connections == 1


def test_what_is_changed(server: ApiServer, api: cluster.Api) -> None:
    server.answers = {"PATCH /api/v1/nodes/lab": (200, {}), f"DELETE {PODS}/site-1": (200, {})}
    api.patch_node("lab", {"spec": {"unschedulable": True}})
    api.delete_pod("site", "site-1", "uid-1")
    assert server.asked == [
        (
            "PATCH",
            "/api/v1/nodes/lab",
            "application/merge-patch+json",
            {"spec": {"unschedulable": True}},
        ),
        (
            "DELETE",
            f"{PODS}/site-1",
            "application/json",
            {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "gracePeriodSeconds": 0,
                "preconditions": {"uid": "uid-1"},
            },
        ),
    ]


def test_what_may_be_done(server: ApiServer, api: cluster.Api) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    server.answers = {f"POST {path}": (201, {"status": {"allowed": True}})}
    assert api.may("list", Right("leases", ("list",), "kube-node-lease", "coordination.k8s.io"))
    server.answers = {f"POST {path}": (201, {"status": {"allowed": False, "reason": ""}})}
    assert not api.may("create", Right("pods/eviction", ("create",)))
    assert [body["spec"]["resourceAttributes"] for _, _, _, body in server.asked] == [
        {
            "verb": "list",
            "resource": "leases",
            "namespace": "kube-node-lease",
            "group": "coordination.k8s.io",
        },
        {"verb": "create", "resource": "pods", "subresource": "eviction"},
    ]


@pytest.mark.parametrize("status", [404, 409])
def test_a_pod_that_is_gone_or_another_is_deleted_enough(
    server: ApiServer, api: cluster.Api, status: int
) -> None:
    server.answers = {f"DELETE {PODS}/site-1": (status, {"kind": "Status"})}
    api.delete_pod("site", "site-1", "uid-1")


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ((403, {"kind": "Status", "message": "no"}), 403, "the API server says 403: no"),
        ((500, {}), 500, "the API server says 500"),
        ((200, b"<html>"), 0, "the API server does not answer"),
    ],
)
def test_what_is_not_granted(
    server: ApiServer, api: cluster.Api, answer: tuple[int, Any], status: int, words: str
) -> None:
    server.answers = {"GET /api/v1/nodes/lab": answer, f"DELETE {PODS}/site-1": answer}
    with pytest.raises(RefusedError) as raised:
        api.node("lab")
    assert words in raised.value.account
    assert raised.value.status == status
    with pytest.raises(RefusedError) as raised:
        api.delete_pod("site", "site-1", "uid-1")
    assert words in raised.value.account
    assert raised.value.status == status


def test_silence_is_noticed_and_asked_once(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_TIMEOUT_S", (0.5, 0.1))
    api = connect(server.kubeconfig(tmp_path / "kubeconfig"), "lab")
    server.hold_s = 5.0
    began = time.monotonic()
    with pytest.raises(RefusedError) as raised:
        api.nodes()
    assert raised.value.account.startswith("the API server does not answer")
    assert raised.value.status == 0
    assert time.monotonic() - began < 4.5
    # Who has given up need not have been heard yet.
    until(lambda: not server.asked, 10)
    assert len(server.asked) == 1
    server.server.shutdown()
    server.server.server_close()


def test_nobody_there(server: ApiServer, api: cluster.Api) -> None:
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(RefusedError) as raised:
        api.nodes()
    assert raised.value.account.startswith("the API server does not answer")


def test_an_unknown_context_is_told(server: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="check --kubeconfig and --context"):
        connect(server.kubeconfig(tmp_path / "kubeconfig"), "other")
    with pytest.raises(UserError, match="no access to the cluster"):
        connect(tmp_path / "missing", None)


# The command


@pytest.fixture
def lab(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """The command, in the small world instead of a cluster."""
    monkeypatch.setattr(cluster, "connect", lambda *_: world.api)
    monkeypatch.setattr(nodes, "driver_of", lambda _name, _profile: world)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return world


def call(*arguments: str) -> int:
    return cli.main(["watchdog", "--profile=lab", *arguments])


def test_it_watches_until_told(lab: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    out.mkdir()
    stop_file = out / "stop"
    stopper = threading.Timer(0.3, stop_file.touch)
    stopper.start()
    assert (
        call(f"--out={out}", f"--stop-file={stop_file}", f"--parent-pid={os.getpid()}", "--max-duration=60")
        == 0
    )
    said = capsys.readouterr().out.splitlines()
    assert said[-1].endswith("looks; nodes given away: none; stopped: stop file")
    status = json.loads((out / "watchdog.json").read_text())
    assert (status["state"], status["pid"], status["profile"]) == ("ended", os.getpid(), "lab")
    assert (out / "marks.jsonl").exists()
    state = tmp_path / "state" / "failover-lab" / "lab"
    assert sorted(path.name for path in state.iterdir()) == ["watchdog.jsonl", "watchdog.lock"]
    assert state.stat().st_mode & 0o777 == 0o700


def test_without_a_run_the_state_is_in_its_own_place(
    lab: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    assert call(f"--state-dir={place}", f"--journal={tmp_path}/j.jsonl", "--max-duration=0.1") == 0
    assert sorted(path.name for path in place.iterdir()) == ["watchdog.json", "watchdog.lock"]
    assert (tmp_path / "j.jsonl").exists()
    monkeypatch.delenv("XDG_STATE_HOME")
    assert Lab.of("lab").directory == Path.home() / ".local" / "state" / "failover-lab" / "lab"


def test_a_second_one_is_refused(lab: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "place"
    place.mkdir()
    parent = os.getppid()
    holder = {"pid": parent, "started": lifetime.started(parent), "since": "then"}
    (place / "watchdog.lock").write_text(json.dumps(holder))
    assert call(f"--state-dir={place}", "--max-duration=60") == 2
    assert f"a watchdog of lab is running already: process {parent}, since then" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("journal", "marked"),
    [
        ({"recovery": "watchdog"}, True),
        ({"recovery": "automatic"}, False),
        ({"recovery": "watchdog", "started": "before"}, False),
        ({"recovery": "watchdog", "run_dir": ""}, False),
        ({"recovery": "watchdog", "run_dir": "/proc/none"}, False),
        ("damaged", False),
    ],
    ids=str,
)
def test_a_run_that_relies_on_it_is_told(lab: World, tmp_path: Path, journal: Any, marked: bool) -> None:
    place, run = tmp_path / "place", tmp_path / "run"
    place.mkdir()
    run.mkdir()
    play = os.getppid()
    going_on = {"pid": play, "started": lifetime.started(play), "run_dir": str(run)}
    (place / "journal.json").write_text(
        json.dumps(going_on | journal if isinstance(journal, dict) else journal)
    )
    assert call(f"--state-dir={place}", "--max-duration=0.3") == 0
    assert (run / "marks.jsonl").exists() is marked
    assert [mark["event"] for mark in files.read_lines(run / "marks.jsonl")] == ["watchdog_watching"] * marked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--interval=0"], "out of range"),
        (["--confirm=0"], "out of range"),
        (["--confirm=x"], "no whole number"),
        (["--profile=a/b"], "no name of a profile"),
        (["--profile="], "no name of a profile"),
        (["--max-duration=-1"], "out of range"),
        (["--parent-pid=0"], "out of range"),
        (["--wait=3"], "give it with --release"),
        (["--out=/proc/none"], "give --out another directory"),
        (["--state-dir=/proc/none"], "give --state-dir another"),
        (["--journal=/proc/none"], "give --journal another file"),
    ],
)
def test_bad_input_is_told_in_one_line(
    lab: World, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    try:
        status = call("--max-duration=1", *arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def marked(node: SimNode) -> None:
    node.annotations[OUT_OF_SERVICE_BY] = '{"changed": ["cordon", "label", "taint"]}'
    node.spec = {"unschedulable": True}


def test_release(lab: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--release") == 0
    marked(lab.nodes["lab-m02"])
    marked(lab.nodes["lab-m03"])
    lab.nodes["lab-m01"] = SimNode("lab-m01", "10.0.0.9", spec={"unschedulable": True})
    lab.nodes["lab-m03"].container = lab.nodes["lab-m03"].container.STOPPED
    for node in lab.nodes.values():
        node.started -= 1
    assert call("--release") == 1
    assert "lab-m03 stays out of service: its container is stopped" in capsys.readouterr().out
    assert lab.nodes["lab-m02"].spec == {}
    assert lab.nodes["lab-m03"].spec == {"unschedulable": True}
    # Not ours, and so not touched.
    assert lab.nodes["lab-m01"].spec == {"unschedulable": True}


def test_release_leaves_alone_what_was_left_on_purpose(lab: World) -> None:
    for name in ("lab-m02", "lab-m03"):
        marked(lab.nodes[name])
        lab.nodes[name].started -= 1
    assert call("--release", "--but=lab-m03") == 0
    assert lab.nodes["lab-m02"].spec == {}
    assert lab.nodes["lab-m03"].spec == {"unschedulable": True}


def test_release_closes_what_a_watchdog_left_open(lab: World, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.write("lab-m02", Phase.OUT)
    journal.write("lab-m03", Phase.ACTING)
    journal.write("gone", Phase.OUT)
    marked(lab.nodes["lab-m02"])
    lab.nodes["lab-m02"].started -= 1
    lab.nodes["gone"] = SimNode("gone", "10.0.0.9", listed=False)
    assert call("--release", f"--journal={tmp_path}/j.jsonl") == 0
    assert lab.nodes["lab-m02"].spec == {}
    assert Journal(tmp_path / "j.jsonl").phases == {}


def test_release_with_a_full_disk_is_told(
    lab: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    marked(lab.nodes["lab-m02"])
    lab.nodes["lab-m02"].started -= 1

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    assert call("--release", f"--journal={tmp_path}/j.jsonl") == 2
    assert "j.jsonl: No space left on device; free some space, then run" in capsys.readouterr().err
    assert lab.nodes["lab-m02"].spec == {"unschedulable": True}


def test_release_beside_a_watchdog_leaves_the_journal_to_it(lab: World, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "watchdog.jsonl")
    journal.write("lab-m02", Phase.OUT)
    marked(lab.nodes["lab-m02"])
    lab.nodes["lab-m02"].started -= 1
    with only_one(tmp_path, "lab"):
        assert call("--release", f"--state-dir={tmp_path}") == 0
    assert lab.nodes["lab-m02"].spec == {}
    assert Journal(tmp_path / "watchdog.jsonl").phases == {"lab-m02": Phase.OUT}


def test_release_waits_for_those_that_come_back(lab: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_LOOK_EVERY_S", 0.02)
    marked(lab.nodes["lab-m02"])
    lab.stop("lab-m02")
    back = threading.Timer(0.1, lab.start, ["lab-m02"])
    back.start()
    assert call("--release", "--wait=10") == 0
    assert lab.nodes["lab-m02"].spec == {}


def test_release_without_an_api_server_is_told(lab: World, capsys: pytest.CaptureFixture[str]) -> None:
    lab.api_up = False
    assert call("--release") == 2
    assert "the cluster cannot be asked for its nodes" in capsys.readouterr().err


def test_release_notes_what_it_does_in_the_run(lab: World, tmp_path: Path) -> None:
    marked(lab.nodes["lab-m02"])
    lab.nodes["lab-m02"].started -= 1
    assert call("--release", f"--out={tmp_path}") == 0
    assert json.loads((tmp_path / "marks.jsonl").read_text())["event"] == "watchdog_released"


def test_the_one_of_an_interrupted_run_is_ended(tmp_path: Path) -> None:
    sleep = "import time; print('up', flush=True); time.sleep(30)"
    argv = [sys.executable, "-c", sleep, "failover_lab", "watchdog", f"--out={tmp_path}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        (tmp_path / "watchdog.json").write_text(json.dumps({"pid": child.pid}))
        assert stop.processes_of(tmp_path) == [child.pid]
        child.kill()
