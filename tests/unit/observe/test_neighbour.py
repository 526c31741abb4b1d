"""Who announces the address: the users' own kernel first, then the load balancer's own words."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from failover_lab.kube import neighbours
from failover_lab.observe import neighbour
from failover_lab.observe.log import EventLog
from failover_lab.observe.neighbour import Neighbour
from failover_lab.report import cluster
from failover_lab.report.load import Change
from failover_lab.run import instants

HEAD = "IP address       HW type     Flags       HW address            Mask     Device\n"
NODES = {"lab": "192.168.49.2", "lab-m02": "192.168.49.3"}
SERVICE = "192.168.49.200"


def table(**hardware: str) -> str:
    addresses = {"lab": "192.168.49.2", "m02": "192.168.49.3", "site": SERVICE}
    rows = [
        f"{addresses[name]}     0x1         {'0x0' if at == '-' else '0x2'}         "
        f"{'00:00:00:00:00:00' if at == '-' else at}     *        br-1\n"
        for name, at in hardware.items()
    ]
    return HEAD + "".join(rows)


def test_only_complete_entries_count(tmp_path: Path) -> None:
    (tmp_path / "arp").write_text(table(lab="aa", site="-"))
    assert neighbours.read(tmp_path / "arp") == {"192.168.49.2": "aa"}
    assert neighbours.read(tmp_path / "none") == {}


def test_the_kernel_s_own_table_can_be_read() -> None:
    assert isinstance(neighbours.read(), dict)


def follow(tmp_path: Path, *states: str, wait_s: float = 0.15) -> list[tuple[str, str, str]]:
    path = tmp_path / "arp"
    path.write_text(states[0])
    log, stop = EventLog(tmp_path, instants.Clock(0.0)), threading.Event()
    following = Neighbour(SERVICE, NODES, log, stop, table=path)
    following.start()
    for state in states[1:]:
        time.sleep(wait_s)
        new = tmp_path / "new"
        new.write_text(state)
        new.rename(path)
    time.sleep(wait_s)
    stop.set()
    following.end()
    assert not following.is_alive()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    return [(line["change"], line["name"], line["node"]) for line in lines]


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Nobody is asked anything here; who would be."""
    result: list[set[str]] = []
    monkeypatch.setattr(neighbour, "_LOOK_EVERY_S", 0.01)

    def ask(self: Any, addresses: set[str]) -> None:
        result.append(addresses)
        self._asked |= addresses

    monkeypatch.setattr(Neighbour, "_ask", ask)
    return result


def test_a_move_is_told_once(tmp_path: Path, asked: list[set[str]]) -> None:
    here, there = table(lab="aa", m02="bb", site="bb"), table(lab="aa", m02="bb", site="aa")
    assert follow(tmp_path, here, here, there, table(lab="aa", site="-"), there) == [
        ("LISTED", SERVICE, "lab-m02"),
        ("MODIFIED", SERVICE, "lab"),
    ]
    assert asked[0] == set(NODES.values())


def test_another_network_says_nothing(tmp_path: Path) -> None:
    assert follow(tmp_path, table(lab="aa")) == []


def test_a_node_that_nobody_knows_has_no_name(tmp_path: Path, asked: list[set[str]]) -> None:
    assert follow(tmp_path, table(lab="aa", site="ff"), wait_s=0.4) == [("LISTED", SERVICE, "")]
    assert len(asked) > 3, "it was not asked for"


class Looks:
    """Looks one by one at a table that is written for each."""

    def __init__(self, folder: Path, nodes: dict[str, str]) -> None:
        self.folder, self.nodes = folder, nodes
        log = EventLog(folder, instants.Clock(0.0))
        self.following = Neighbour(SERVICE, nodes, log, threading.Event(), table=folder / "arp")

    def look(self, state: str, times: int = 1) -> list[str]:
        """The nodes that have been told so far, after so many looks more."""
        (self.folder / "arp").write_text(state)
        for _ in range(times):
            self.following._look()
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        return [json.loads(line)["node"] for line in lines]


def test_before_the_nodes_are_listed_nobody_is_unknown(tmp_path: Path) -> None:
    here = table(lab="aa", m02="bb", site="bb")
    looks = Looks(tmp_path, {})
    assert looks.look(here, 40) == []
    looks.nodes.update(NODES)
    assert looks.look(here, 3) == ["lab-m02"]


def test_one_that_becomes_known_later_is_told_once(tmp_path: Path, asked: list[set[str]]) -> None:
    looks = Looks(tmp_path, dict(NODES))
    assert looks.look(table(lab="aa", site="bb"), 200) == [""]
    # Twenty datagrams a second for the whole of a run are too many.
    assert len(asked) < 35
    assert looks.look(table(lab="aa", m02="bb", site="bb"), 3) == ["", "lab-m02"]
    # And so is the next of whom nothing is known.
    assert looks.look(table(lab="aa", m02="bb", site="cc"), 40) == ["", "lab-m02", ""]
    assert looks.look(table(lab="cc", m02="bb", site="cc"), 3) == ["", "lab-m02", "", "lab"]


def change(at: float, kind: str, how: str = "MODIFIED", **facts: Any) -> Change:
    return Change(at, kind, how, "x", facts)


def assigned(at: float, node: str, how: str = "MODIFIED") -> Change:
    message = f'announcing from node "{node}" with protocol "layer2"'
    return change(at, "Event", how, reason="nodeAssigned", message=message)


STATES = [
    change(0.0, "ServiceL2Status", "LISTED", node="lab-m02"),
    change(9.0, "ServiceL2Status", node="lab-m02"),
    change(60.0, "ServiceL2Status", node="lab"),
]


def test_the_kernel_s_word_is_worth_more_than_any_other() -> None:
    seen = [change(0.5, "Neighbour", "LISTED", node="lab-m02"), change(2.0, "Neighbour", node="lab")]
    found = cluster.read([*STATES, *seen, assigned(2.4, "lab"), assigned(70.0, "lab-m02")])
    assert found.announcers == [(0.5, "lab-m02"), (2.0, "lab")]


def test_without_it_the_speakers_events_as_they_come() -> None:
    found = cluster.read([*STATES, assigned(0.1, "lab-m03", "LISTED"), assigned(2.4, "lab")])
    assert found.announcers == [(0.0, "lab-m02"), (2.4, "lab")]


def test_without_those_the_status_objects() -> None:
    other = change(3.0, "Event", reason="Killing", message="Stopping container")
    unknown = change(3.0, "Neighbour", node="")
    assert cluster.read([*STATES, other, unknown]).announcers == [(0.0, "lab-m02"), (60.0, "lab")]


def test_while_it_names_nobody_the_others_are_heard() -> None:
    seen = [(0.5, "lab-m02"), (2.6, ""), (9.0, "lab"), (50.0, "")]
    kernel = [change(at, "Neighbour", node=node) for at, node in seen]
    # A move to nobody is noted half a second late, and what was said meanwhile counts.
    said = [(1.0, "lab-m03"), (2.4, "lab"), (20.0, "lab-m03"), (70.0, "lab-m02")]
    found = cluster.read([*STATES, *kernel, *(assigned(at, node) for at, node in said)])
    assert found.announcers == [(0.5, "lab-m02"), (2.4, "lab"), (70.0, "lab-m02")]


def test_before_it_first_names_somebody_the_others_are_heard() -> None:
    kernel = [change(0.7, "Neighbour", "LISTED", node=""), change(4.0, "Neighbour", node="lab")]
    assert cluster.read([*STATES, *kernel, assigned(2.4, "lab")]).announcers == [
        (0.0, "lab-m02"),
        (2.4, "lab"),
    ]
