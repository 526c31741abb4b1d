"""``trace`` runs beside a play: it ends with it, and says in its file how it fared."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from failover_lab import cli, nodes
from failover_lab.errors import UserError
from failover_lab.nodes.driver import DriverError, Listed
from failover_lab.run.layout import Run
from failover_lab.trace import command, log
from failover_lab.trace import nodes as traced_nodes
from failover_lab.trace.event import NEW, Event

URL = "--url=http://127.0.0.1:8080/whoami"


class Ear:
    """Hears one connection, whenever it is asked."""

    by = "netlink"
    lost = 0
    delay_s = 0.0

    def read(self) -> list[Event]:
        return [Event(NEW, "127.0.0.1", 4000, "10.0.0.1", 80)]

    def close(self) -> None:
        """Nothing is open."""


class Lab:
    machine = "container"
    wait: threading.Event | None = None
    failure: Exception | None = None

    def listed(self) -> list[Listed]:
        if self.wait is not None:
            self.wait.wait(10)
        if self.failure is not None:
            raise self.failure
        return [Listed("m01", "1", "running")]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab()
    monkeypatch.setattr(nodes, "driver_of", lambda _name, _profile: made)
    monkeypatch.setattr(traced_nodes, "Program", lambda *_: Ear())
    monkeypatch.setattr("failover_lab.run.lifetime.StopCondition.catch_signals", lambda _self: None)
    monkeypatch.setattr(command, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(command, "_END_S", 0.2)
    return made


def trace(out: Path, *words: str) -> int:
    return cli.main(["trace", f"--out={out}", URL, "--profile=lab", "--max-duration=0.4", *words])


def state(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Run(out).trace.read_text())
    return found


@pytest.mark.usefixtures("lab")
def test_it_writes_what_it_hears_until_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(tmp_path) == 0
    lines = list(log.lines(tmp_path))
    about = log.about(tmp_path)
    assert about is not None
    assert about.written is not None
    assert len(lines) == about.written > 1
    assert about.by == {"m01": "netlink"}
    assert [(span.node, span.end is None) for span in about.spans] == [("m01", False)]
    assert about.clients == ["127.0.0.1"]
    assert "stopped: the hard bound of 0.4 s" in capsys.readouterr().out
    assert state(tmp_path)["state"] == "ended"


@pytest.mark.usefixtures("lab")
def test_it_ends_at_the_stop_file(tmp_path: Path) -> None:
    stop = Run(tmp_path).stop
    stop.touch()
    began = time.monotonic()
    assert trace(tmp_path, f"--stop-file={stop}", "--max-duration=60") == 0
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("lab")
def test_it_hears_for_as_long_as_the_probe_asks(tmp_path: Path) -> None:
    stop = Run(tmp_path).stop
    stop.touch()
    began = time.monotonic()
    assert trace(tmp_path, f"--stop-file={stop}", "--max-duration=60", "--duration=0.3") == 0
    assert 0.3 <= time.monotonic() - began < 10


def test_an_engine_that_takes_its_time_keeps_nothing_waiting(lab: Lab, tmp_path: Path) -> None:
    """The kernels' words are read, whatever the engine does meanwhile."""
    real = traced_nodes.Nodes.look
    looked = threading.Event()

    def look(self: traced_nodes.Nodes) -> None:
        real(self)
        looked.set()
        lab.wait = threading.Event()
        self._next_list = self._next_try = 0.0

    traced_nodes.Nodes.look = look  # type: ignore[method-assign]
    try:
        assert trace(tmp_path) == 0
    finally:
        traced_nodes.Nodes.look = real  # type: ignore[method-assign]
        if lab.wait is not None:
            lab.wait.set()
    assert looked.is_set()
    assert len(list(log.lines(tmp_path))) > 3


def test_an_engine_that_does_not_answer_is_told(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.failure = DriverError("no socket")
    assert trace(tmp_path) == 2
    assert "the driver of the nodes does not answer: no socket" in capsys.readouterr().err
    assert "does not answer: no socket" in state(tmp_path)["trouble"]
    assert state(tmp_path)["state"] == "ended"


def test_a_look_that_breaks_down_is_told(lab: Lab, tmp_path: Path) -> None:
    lab.failure = AssertionError("a fault of ours")
    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        assert trace(tmp_path) == 2
    finally:
        threading.excepthook = hook
    assert "the look for nodes broke down" in state(tmp_path)["trouble"]


def test_where_nobody_reaches_the_nodes_that_is_written_down(tmp_path: Path) -> None:
    assert trace(tmp_path / "run", "--driver=none") == 0
    about = log.about(tmp_path / "run")
    assert about is not None
    assert about.trouble == "nobody reaches the nodes of this cluster: there is no driver for them"
    assert list(log.lines(tmp_path / "run")) == []


def test_a_driver_that_there_is_not_is_written_down(tmp_path: Path) -> None:
    assert trace(tmp_path, "--driver=pigeon") == 2
    assert "no driver 'pigeon'" in state(tmp_path)["trouble"]


@pytest.mark.usefixtures("lab")
def test_another_runs_trace_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(tmp_path) == 0
    before = state(tmp_path)
    assert trace(tmp_path) == 2
    assert "exists already; give --out a directory of its own" in capsys.readouterr().err
    assert state(tmp_path) == before


@pytest.mark.usefixtures("lab")
def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: log.Writer) -> None:
        raise UserError("cannot write: No space left on device")

    monkeypatch.setattr(log.Writer, "flush", full)
    with monkeypatch.context() as context:
        context.setattr(log.Writer, "__init__", _begun)
        assert trace(tmp_path) == 2
    assert "No space left" in state(tmp_path)["trouble"]


def _begun(self: log.Writer, directory: Path) -> None:
    self._rows, self.written, self._path = [], 0, Run(directory).connections


def test_all_addresses_of_a_name_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    from failover_lab.arguments import target

    found = [
        (2, 1, 6, "", ("10.0.0.2", 80)),
        (2, 1, 6, "", ("10.0.0.1", 80)),
        (10, 1, 6, "", ("fe80::1%eth0", 80, 0, 2)),
    ]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    assert command.addresses(target("http://site.test/")) == [
        ("10.0.0.1", 80),
        ("10.0.0.2", 80),
        ("fe80::1", 80),
    ]


def test_addresses_that_are_given_are_heard() -> None:
    from failover_lab.arguments import target

    site = target("http://site.test:8080/")
    assert command.addresses(site, ["10.0.0.2", "10.0.0.1"]) == [("10.0.0.1", 8080), ("10.0.0.2", 8080)]
    with pytest.raises(UserError, match=r"'here' does not appear to be .* give --address addresses such as"):
        command.addresses(site, ["here"])


def test_a_name_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from failover_lab.arguments import target

    def unknown(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(UserError, match=r"site\.test has no address"):
        command.addresses(target("http://site.test/"))
