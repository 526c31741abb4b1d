"""The engine through its own API, as far as a small server on a socket of the same kind speaks it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.watchdog.fakes import FakeEngine, frame

from failover_lab.errors import UserError
from failover_lab.nodes import conntrack, docker
from failover_lab.nodes.docker import Engine, EngineError, Shell
from failover_lab.nodes.driver import Inspected, NodeState


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    engine = FakeEngine(tmp_path / "engine.sock")
    yield engine
    engine.server.shutdown()
    engine.server.server_close()


def test_the_containers_of_a_profile(fake: FakeEngine) -> None:
    states = {
        "lab": "running", "lab-m02": "paused", "lab-m03": "exited", "lab-m04": "dead", "lab-m05": "created",
        "lab-m06": "removing", "lab-m07": "restarting", "lab-m08": "something new", "lab-registry": "running",
        "other-lab": "running", "lab2": "running",
    }  # fmt: skip
    fake.containers = [{"Names": [f"/{name}"], "State": state} for name, state in states.items()]
    fake.containers.append({"Names": None})
    assert Engine("lab").containers() == {
        "lab": NodeState.RUNNING,
        "lab-m02": NodeState.PAUSED,
        "lab-m03": NodeState.STOPPED,
        "lab-m04": NodeState.STOPPED,
        "lab-m05": NodeState.STOPPED,
        "lab-m06": NodeState.STOPPED,
        "lab-m07": NodeState.UNKNOWN,
        "lab-m08": NodeState.UNKNOWN,
    }


def test_another_lab_is_no_node_of_this_one(fake: FakeEngine) -> None:
    """minikube's labels do not tell `team-m02`, a node of `team`, from `team-m02`, a lab."""
    networks = {
        "team": ["team"], "team-m02": ["team", "the-users"], "team-m03": ["bridge"], "team-m04": [],
        "team-m05": ["team-m05"], "team-m1": ["team-m1"], "team-m6": ["team"], "team-m02x": ["team"],
    }  # fmt: skip
    fake.containers = [
        {"Names": [f"/{name}"], "State": "running", "NetworkSettings": {"Networks": {key: {} for key in on}}}
        for name, on in networks.items()
    ]
    assert set(Engine("team").containers()) == {"team", "team-m02", "team-m03", "team-m04"}
    assert set(Engine("team-m05").containers()) == {"team-m05"}


@pytest.mark.parametrize(
    ("state", "container"),
    [
        ({"Running": True}, NodeState.RUNNING),
        ({"Running": True, "Paused": True}, NodeState.PAUSED),
        ({"Running": True, "Restarting": True}, NodeState.UNKNOWN),
        ({"Running": False}, NodeState.STOPPED),
    ],
)
def test_one_container(fake: FakeEngine, state: dict[str, bool], container: NodeState) -> None:
    fake.states["lab"] = {**state, "StartedAt": "2026-11-23T19:00:00.123456789Z"}
    assert Engine("lab").inspect("lab") == Inspected(container, "2026-11-23T19:00:00.123456789Z", "id-lab")
    assert Engine("lab").inspect("lab-m02") == Inspected(NodeState.ABSENT)


def test_the_process_of_a_container_that_is_here(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of an engine in a machine of its own mean other processes here."""
    monkeypatch.setattr(docker, "is_in_group", lambda pid, group: (pid, group) == (4711, "id-lab"))
    for pid, found in ((4711, 4711), (4712, None), (0, None)):
        fake.states["lab"] = {"Running": bool(pid), "Pid": pid}
        assert Engine("lab").process("lab") == found
    assert Engine("lab").process("none") is None


def test_a_file_in_a_container(fake: FakeEngine) -> None:
    fake.states["lab"] = {}
    fake.files = {"/etc/kubernetes/kubelet.conf"}
    engine = Engine("lab")
    assert engine.has("lab", "/etc/kubernetes/kubelet.conf")
    assert not engine.has("lab", "/etc/kubernetes/admin.conf")
    assert not engine.has("lab-m02", "/etc/kubernetes/kubelet.conf")
    fake.fail = True
    with pytest.raises(EngineError, match="driver failed"):
        engine.has("lab", "/etc/kubernetes/kubelet.conf")


def test_kill(fake: FakeEngine) -> None:
    fake.states["lab"] = {}
    Engine("lab").kill("lab")
    Engine("lab").kill("lab-m02")
    assert [a for a in fake.asked if "kill" in a] == [
        "POST /containers/lab/kill",
        "POST /containers/lab-m02/kill",
    ]


def test_one_that_has_ended_needs_no_kill(fake: FakeEngine) -> None:
    """The engine refuses it."""
    fake.states["lab"] = {"Running": False}
    Engine("lab").kill("lab")
    assert not fake.states["lab"]["Running"]


def test_start(fake: FakeEngine) -> None:
    fake.states["lab"] = {}
    Engine("lab").start("lab")
    assert fake.asked[-1] == "POST /containers/lab/start"
    with pytest.raises(EngineError, match="No such container"):
        Engine("lab").start("lab-m02")


def test_pause_and_resume(fake: FakeEngine) -> None:
    """The engine refuses what is so already; nobody else has to know."""
    fake.states["lab"] = {"Running": True}
    engine = Engine("lab")
    for _ in range(2):
        engine.pause("lab")
        assert engine.inspect("lab").state is NodeState.PAUSED
    for _ in range(2):
        engine.resume("lab")
        assert engine.inspect("lab").state is NodeState.RUNNING
    assert [a.rpartition("/")[2] for a in fake.asked if "pause" in a] == ["pause", "unpause"]
    for change in (engine.pause, engine.resume):
        with pytest.raises(EngineError, match="No such container"):
            change("lab-m02")


def test_when_it_happened_by_the_engines_own_account(fake: FakeEngine) -> None:
    now = time.time()
    times = {"before": now - 60, "first": now - 2, "last": now - 1.25, "later": now + 60}
    for at in times.values():
        fake.past += [("lab", "kill", int(at * 1e9)), ("lab", "pause", int(at * 1e9) + 1000)]
    # The engine finds it, by the beginning of its name.
    fake.past.append(("lab-m02", "kill", int((now - 0.5) * 1e9)))
    engine = Engine("lab")
    assert engine.ended_at("lab", now - 10) == pytest.approx(times["last"], abs=1e-6)
    assert engine.paused_at("lab", now - 10) == pytest.approx(times["last"] + 1e-6, abs=5e-7)
    assert engine.ended_at("lab-m02", now - 10) == pytest.approx(now - 0.5, abs=1e-6)
    assert engine.ended_at("lab", now - 1) is None
    assert engine.ended_at("lab-m03", now - 10) is None


def test_news_of_the_profile_alone(fake: FakeEngine) -> None:
    fake.events = [
        {"Actor": {"Attributes": {"name": name}}} for name in ("lab", "other", "lab-registry", "lab-m02")
    ]
    fake.events += [{"Actor": {}}, {}]
    assert list(Engine("lab").events()) == ["lab", "lab-m02"]


@pytest.mark.parametrize("end", [b"40\r\n{half", b"6\r\n{half}\r\n0\r\n\r\n"])
def test_news_that_are_damaged_end(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    def tell(handler: Any, _filters: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(end)
        handler.close_connection = True

    monkeypatch.setattr(fake, "tell", tell)
    with contextlib.suppress(EngineError):
        assert list(Engine("lab").events()) == []


def test_news_can_be_ended_by_whoever_does_not_wait_for_them(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening, over = threading.Event(), threading.Event()

    def tell(handler: Any, _filters: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.flush()
        listening.set()
        over.wait(10)
        handler.close_connection = True

    monkeypatch.setattr(fake, "tell", tell)
    engine = Engine("lab")
    engine.stop_events()
    waiting = threading.Thread(target=lambda: list(engine.events()), daemon=True)
    waiting.start()
    try:
        assert listening.wait(5)
        time.sleep(0.1)  # from the answer's head until it reads
        engine.stop_events()
        waiting.join(5)
        assert not waiting.is_alive()
    finally:
        over.set()


def test_a_program_with_its_input_and_output(fake: FakeEngine) -> None:
    fake.states["lab"] = {}
    shell = Engine("lab").shell("lab", ["perl", "-e", "1"])
    assert fake.executed[0]["Cmd"] == ["perl", "-e", "1"]
    assert (fake.executed[0]["AttachStdin"], fake.executed[0]["User"]) == (True, "root")
    # It may be asked nothing for hours.
    assert shell._sock.gettimeout() is None
    lines = shell.lines()
    shell.write("1 0.4 10.0.0.1:10250")
    assert next(lines) == "1 0.4 10.0.0.1:10250"
    shell.write("2")
    assert next(lines) == "2"
    shell.close()
    assert list(lines) == []
    with pytest.raises(OSError, match=r"."):
        shell.write("3")
    shell.close()


def test_a_connection_that_breaks_ends_the_lines() -> None:
    ours, theirs = socket.socketpair()
    shell = Shell(ours, None)
    theirs.sendall(frame(b"1 whole\n2 ha")[:-2])
    theirs.close()
    assert list(shell.lines()) == ["1 whole"]
    shell.close()
    assert list(shell.lines()) == []


def test_a_program_to_its_end(fake: FakeEngine) -> None:
    fake.states["lab"] = {}
    fake.output = frame(b"conntrack v1.4.7: 3 flow entries have been deleted.\n") + frame(
        b"conntrack v1.4.7: 4 flow entries have been deleted.\n", 2
    )
    said = Engine("lab").run("lab", conntrack.argv({"10.244.0.2", "10.244.0.1"}))
    assert conntrack.cleared(said) == 7
    assert fake.executed[0]["Cmd"][3:] == ["sh", "10.244.0.1", "10.244.0.2"]


def test_what_clears_flows_runs_in_a_shell(tmp_path: Path) -> None:
    """With a conntrack that says what it was called with, and has nothing to delete, which is status 1."""
    tool = tmp_path / "conntrack"
    tool.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho junk\n'
        'echo "conntrack v1.4.7 (conntrack-tools): 2 flow entries have been deleted." >&2\nexit 1\n'
    )
    tool.chmod(0o755)
    (tmp_path / "sleep").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "sleep").chmod(0o755)
    done = subprocess.run(
        conntrack.argv(["10.0.0.1", "10.0.0.2"]),
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert conntrack.cleared(done.stdout) == 24
    assert "junk" not in done.stdout
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[:2] == [f"-D -p tcp --reply-src 10.0.0.{n}" for n in (1, 2)]
    assert len(calls) == 12


def test_a_tool_that_is_missing_has_cleared_nothing() -> None:
    assert conntrack.cleared("sh: 1: conntrack: not found\n") is None


@pytest.mark.parametrize(
    "call", ["containers", "inspect", "kill", "pause", "resume", "ended_at", "events", "shell", "run"]
)
def test_an_engine_that_refuses_or_goes_away(fake: FakeEngine, call: str) -> None:
    engine = Engine("lab")
    fake.states["lab"] = {}
    arguments: dict[str, list[Any]] = {
        "inspect": ["lab"], "kill": ["lab"], "pause": ["lab"], "resume": ["lab"], "ended_at": ["lab", 0.0],
        "shell": ["lab", ["true"]], "run": ["lab", ["true"]]
    }  # fmt: skip

    def make() -> None:
        result = getattr(engine, call)(*arguments.get(call, []))
        if call == "events":
            list(result)

    fake.fail = True
    # Events that are refused are none.
    if call in {"events", "ended_at"}:
        make()
    else:
        with pytest.raises(EngineError, match="driver failed"):
            make()
    fake.server.shutdown()
    fake.server.server_close()
    Path(os.environ["DOCKER_HOST"].removeprefix("unix://")).unlink()
    engine._client.close()
    with pytest.raises(EngineError):
        make()


def test_programs_in_nodes_that_are_absent(fake: FakeEngine) -> None:
    engine = Engine("lab")
    with pytest.raises(EngineError, match="No such container"):
        engine.shell("lab", ["true"])
    with pytest.raises(EngineError, match="No such container"):
        engine.run("lab", ["true"])


def test_no_engine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(UserError, match="`docker info` must work"):
        Engine("lab")


@pytest.mark.parametrize("chosen_by", ["", "desktop"])
def test_the_chosen_context_is_obeyed(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen_by: str
) -> None:
    """As `docker context use` leaves it, or $DOCKER_CONTEXT says; minikube goes by the same."""
    from docker.context import ContextAPI

    host = os.environ["DOCKER_HOST"]
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("DOCKER_CONTEXT", chosen_by)
    asked: list[str | None] = []

    class Chosen:
        name = "desktop"
        Host = host
        TLSConfig = None

        def __init__(self, name: str | None) -> None:
            asked.append(name)

    monkeypatch.setattr(ContextAPI, "get_context", Chosen)
    assert Engine("lab").containers() == {}
    assert asked == [chosen_by or None]


def test_a_context_that_does_not_exist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "office")
    with pytest.raises(UserError, match="DOCKER_CONTEXT=office is not among"):
        Engine("lab")
