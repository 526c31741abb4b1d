"""Who answered is known while the run goes on, of applications that do not say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.trace.test_join import CLIENT, lost, request

from failover_lab.probe.wait import AnswerWatch, SteadyState
from failover_lab.run import files, instants, records
from failover_lab.run.layout import Run
from failover_lab.run.records import RecordWriter
from failover_lab.trace import log
from failover_lab.trace.event import NEW, Event
from failover_lab.trace.live import Answered

AT = 1_700_000_000.0


class Going:
    """A run that goes on: its files grow."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.records = RecordWriter(Run(out).probe().records)
        self.records.begin()
        self.trace = log.Writer(out)
        Run(out).trace.write_text(json.dumps(log.About("http://x/", [CLIENT]).as_json()))
        self.pod("site-a", "10.0.0.1")

    def pod(self, name: str, address: str) -> None:
        told = {"at": instants.text(AT), "kind": "Pod", "change": "ADDED", "name": name, "address": address}
        with Run(self.out).events.open("a") as file:
            file.write(json.dumps(told) + "\n")

    def answer(self, at: float, port: int, **facts: Any) -> None:
        self.records.write(records.row(request(AT + at, port, **facts)))

    def sent(self, at: float, port: int, address: str) -> None:
        self.trace.add("m02", AT + at + 0.01, 0.05, [Event(NEW, CLIENT, port, address, 8080)])
        self.trace.flush()


@pytest.fixture
def going(tmp_path: Path) -> Going:
    return Going(tmp_path)


def names(answered: Answered) -> list[tuple[str, float]]:
    return [(name, round(record.due - AT, 3)) for name, record in answered.new()]


def test_each_answer_has_its_pod_as_soon_as_the_kernel_has_said_so(going: Going) -> None:
    answered = Answered(going.out, Run(going.out).probe())
    assert names(answered) == []
    going.answer(1.0, 4000)
    assert names(answered) == []
    going.sent(1.0, 4000, "10.0.0.1")
    assert names(answered) == [("site-a", 1.0)]
    assert names(answered) == []
    # A pod that comes meanwhile.
    going.pod("site-b", "10.0.0.2")
    going.sent(2.0, 4001, "10.0.0.2")
    going.answer(2.0, 4001)
    going.answer(2.1, 4002, pod="site-z", node="m03")
    going.records.write(records.row(lost(AT + 2.2, 4003)))
    assert names(answered) == [("site-b", 2.0)]


def test_an_answer_that_two_pods_may_have_given_is_nobodys(going: Going) -> None:
    answered = Answered(going.out, Run(going.out).probe())
    going.pod("site-b", "10.0.0.2")
    for port, other in ((4000, "10.0.0.2"), (4001, "10.0.0.1")):
        going.answer(1.0, port)
        going.trace.add("m03", AT + 1.01, 0.05, [Event(NEW, CLIENT, port, other, 8080)])
        going.sent(1.0, port, "10.0.0.1")
    assert names(answered) == [("site-a", 1.0)]


def test_what_the_cluster_has_said_is_read_once(going: Going, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long run it is much, and every answer of somebody unknown asks for it."""
    read: list[str | bytes] = []
    parse = files.parse

    def noted(text: str | bytes) -> Any:
        read.append(text)
        return parse(text)

    monkeypatch.setattr(files, "parse", noted)
    answered = Answered(going.out, Run(going.out).probe())
    read.clear()
    for number in range(20):
        going.pod(f"other-{number}", f"10.0.1.{number}")
        going.answer(1.0 + number, 4000 + number)
        going.sent(1.0 + number, 4000 + number, "10.9.9.9")
        assert names(answered) == []
    assert len(read) == 21
    going.pod("site-b", "10.0.0.2")
    going.answer(30.0, 5000)
    going.sent(30.0, 5000, "10.0.0.2")
    assert names(answered) == [("site-b", 30.0)]
    assert len(read) == 22


def test_what_the_kernel_never_says_is_not_waited_for(going: Going) -> None:
    answered = Answered(going.out, Run(going.out).probe())
    going.answer(1.0, 4000)
    going.answer(9.0, 4001)
    assert names(answered) == []
    going.sent(1.0, 4000, "10.0.0.1")
    going.sent(9.0, 4001, "10.0.0.1")
    assert names(answered) == [("site-a", 9.0)]


def test_first_answers_of_an_application_that_says_nothing(going: Going) -> None:
    clock = instants.shared_clock(going.out)
    watch = AnswerWatch(going.out, clock, ["site-a"], AT + 5.0)
    going.answer(1.0, 4000)
    going.sent(1.0, 4000, "10.0.0.1")
    assert watch.look().missing == ["a first answer of site-a"]
    going.answer(6.0, 4001)
    going.sent(6.0, 4001, "10.0.0.1")
    assert watch.look().missing == []
    assert watch.first == {"site-a": AT + 6.001}


def nothing_said(going: Going) -> tuple[instants.Clock, float, dict[str, Any]]:
    """A probe that runs, and no answer has named a pod: its clock, what it says now, and its status."""
    clock = instants.shared_clock(going.out)
    now = clock.now()
    status = {
        "state": "running", "updated": instants.text(now), "elapsed_s": 60.0, "since_last_failure_s": None,
        "pods": {}, "last_ok": instants.text(now), "sent": 1, "failed": 0,
    }  # fmt: skip
    Run(going.out).probe().status.write_text(json.dumps(status))
    return clock, now, status


def test_the_steady_state_of_an_application_that_says_nothing(going: Going) -> None:
    clock, now, _ = nothing_said(going)
    steady = SteadyState(10.0, ["site-a"])
    assert steady.look(going.out, clock).missing == ["an answer of site-a within 10 s"]
    going.answer(now - AT - 1.0, 4000)
    going.sent(now - AT - 1.0, 4000, "10.0.0.1")
    assert steady.look(going.out, clock).missing == []


def test_where_nobody_says_who_answers_no_pod_is_waited_for(going: Going) -> None:
    clock, now, status = nothing_said(going)
    assert SteadyState(10.0, ["web-0"], untraced=True).look(going.out, clock).missing == []
    named = {"web-1": {"last": instants.text(now)}}
    Run(going.out).probe().status.write_text(json.dumps(status | {"pods": named}))
    said = SteadyState(10.0, ["web-0"], untraced=True).look(going.out, clock).missing
    assert said == ["an answer of web-0 within 10 s"], "others say who they are"
    watch = AnswerWatch(going.out, clock, ["web-0"], AT + 5.0, untraced=True)
    going.answer(1.0, 4000)
    assert watch.look().missing == ["a first answer of web-0"], "that was before"
    going.answer(6.0, 4001)
    assert (watch.look().missing, watch.first) == ([], {})
    going.answer(7.0, 4002, pod="web-1", node="m03")
    assert watch.look().missing == ["a first answer of web-0"]
