"""Nodes are heard from when they run until they end, and again once they are back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from failover_lab.errors import UserError
from failover_lab.nodes.driver import DriverError, Listed
from failover_lab.run import instants
from failover_lab.trace import log, nodes
from failover_lab.trace.event import NEW, Event

EVENT = Event(NEW, "192.168.49.1", 4000, "10.0.0.1", 8080)
TARGETS = [("192.168.49.200", 80)]


@dataclass
class Ear:
    by: str = "netlink"
    lost: int = 0
    delay_s: float = 0.0
    said: list[Event] = field(default_factory=list)
    over: bool = False
    closed: bool = False

    def read(self) -> list[Event]:
        if self.over:
            raise OSError
        said, self.said = self.said, []
        return said

    def close(self) -> None:
        self.closed = True


class Lab:
    """A driver of made-up nodes, whose processes are numbers, and their ears."""

    machine = "container"

    def __init__(self, *names: str) -> None:
        self.states = dict.fromkeys(names, "running")
        self.pids = {name: number for number, name in enumerate(names, start=100)}
        self.ears: dict[str, list[Ear]] = {}
        self.failure: DriverError | None = None
        self.refused: str = ""

    def listed(self) -> list[Listed]:
        if self.failure is not None:
            raise self.failure
        return [Listed(name, name, state) for name, state in self.states.items()]

    def process(self, name: str) -> int | None:
        return self.pids[name]

    def end(self, name: str) -> None:
        self.states[name] = "exited"
        self.pids.pop(name)

    def start(self, name: str) -> None:
        self.states[name] = "running"
        self.pids[name] = 1000 + len(self.ears[name])


@dataclass
class Clock:
    """A clock that a test turns, monotonic and of the run."""

    at: float = 1_700_000_000.0

    def now(self) -> float:
        return self.at


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab("m01", "m02")

    def hear(pid: int, _targets: Any) -> Ear:
        name = next(name for name, known in made.pids.items() if known == pid)
        if made.refused:
            raise PermissionError(made.refused)
        ear = Ear()
        made.ears.setdefault(name, []).append(ear)
        return ear

    def program(_driver: Any, name: str, _targets: Any) -> Ear:
        if made.refused == "altogether":
            raise DriverError(f"{name} has no command conntrack")
        ear = Ear("conntrack")
        made.ears.setdefault(name, []).append(ear)
        return ear

    monkeypatch.setattr(nodes, "Socket", hear)
    monkeypatch.setattr(nodes, "Program", program)
    monkeypatch.setattr(nodes, "started", lambda pid: "then" if pid in made.pids.values() else None)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("failover_lab.trace.nodes.time.monotonic", made.now)
    return made


def traced(lab: Lab, clock: Clock, directory: Path) -> nodes.Nodes:
    driver: Any = lab
    said: Any = clock
    return nodes.Nodes(driver, TARGETS, said, log.Writer(directory))


def step(found: nodes.Nodes, clock: Clock, seconds: float = 1.5) -> None:
    clock.at += seconds
    found.look()
    found.read()


def test_what_nodes_say_is_written_down_with_when_it_was_read(lab: Lab, clock: Clock, tmp_path: Path) -> None:
    found = traced(lab, clock, tmp_path)
    step(found, clock)
    lab.ears["m02"][0].said = [EVENT]
    step(found, clock, 0.25)
    found.close()
    found.log.close()
    (line,) = log.lines(tmp_path)
    assert (line.node, line.pod, line.at, line.within_s) == ("m02", "10.0.0.1", 1_700_000_001.75, 0.25)
    assert found.by == {"m01": "netlink", "m02": "netlink"}
    assert found.spans == [log.Span(name, 1_700_000_001.5, 1_700_000_001.75) for name in ("m01", "m02")]


def test_a_node_that_ends_is_heard_a_little_longer_and_again_once_it_is_back(
    lab: Lab, clock: Clock, tmp_path: Path
) -> None:
    found = traced(lab, clock, tmp_path)
    step(found, clock)
    lab.end("m02")
    step(found, clock)
    # Its kernel sends on until somebody takes its network away.
    lab.ears["m02"][0].said = [EVENT]
    step(found, clock, 0.5)
    assert found.log.written == 1
    for _ in range(4):
        step(found, clock)
    assert lab.ears["m02"][0].closed
    assert found.spans == [log.Span("m02", 1_700_000_001.5, 1_700_000_003.0)]
    assert found.unheard == {"m02": "its container is exited"}
    lab.start("m02")
    step(found, clock)
    assert found.unheard == {}
    assert len(lab.ears["m02"]) == 2
    assert [span.node for span in found.heard()] == ["m01", "m02"]


def test_what_is_long_on_its_way_may_have_been_so_earlier(lab: Lab, clock: Clock, tmp_path: Path) -> None:
    found = traced(lab, clock, tmp_path)
    step(found, clock)
    lab.ears["m01"][0].said, lab.ears["m01"][0].delay_s = [EVENT], 0.5
    step(found, clock, 0.25)
    found.log.close()
    assert [line.within_s for line in log.lines(tmp_path)] == [0.75]


def test_one_that_joins_is_heard(lab: Lab, clock: Clock, tmp_path: Path) -> None:
    found = traced(lab, clock, tmp_path)
    step(found, clock)
    lab.states["m03"], lab.pids["m03"] = "running", 200
    step(found, clock, 5.5)
    assert "m03" in found.by


def test_what_was_lost_is_told_with_when(lab: Lab, clock: Clock, tmp_path: Path) -> None:
    found = traced(lab, clock, tmp_path)
    step(found, clock)
    lab.ears["m01"][0].lost = 3
    step(found, clock, 0.5)
    step(found, clock, 0.5)
    assert found.losses == [log.Loss("m01", 1_700_000_001.5, 1_700_000_002.0)]


def test_whoever_is_not_root_asks_the_driver(lab: Lab, clock: Clock, tmp_path: Path) -> None:
    lab.refused = "here"
    found = traced(lab, clock, tmp_path)
    step(found, clock)
    assert found.by == {"m01": "conntrack", "m02": "conntrack"}
    lab.ears["m01"][0].over = True
    step(found, clock)
    # A node that ended with its program is tried again.
    step(found, clock)
    assert len(lab.ears["m01"]) == 2


def test_one_that_nobody_can_hear_is_told_with_why(lab: Lab, clock: Clock, tmp_path: Path) -> None:
    lab.refused = "altogether"
    found = traced(lab, clock, tmp_path)
    step(found, clock)
    assert found.by == {}
    assert found.unheard == {f"m0{n}": f"m0{n} has no command conntrack" for n in (1, 2)}


def test_an_engine_that_never_answered_is_an_error_and_one_that_ceased_to_is_not(
    lab: Lab, clock: Clock, tmp_path: Path
) -> None:
    found = traced(lab, clock, tmp_path)
    lab.failure = DriverError("no socket")
    with pytest.raises(UserError, match="the driver of the nodes does not answer: no socket"):
        step(found, clock)
    lab.failure = None
    step(found, clock, 10)
    lab.failure = DriverError("no socket")
    step(found, clock, 10)
    assert len(found.heard()) == 2


def test_instants_are_the_runs(tmp_path: Path) -> None:
    assert isinstance(instants.shared_clock(tmp_path), instants.Clock)
