"""The report goes by what the nodes' kernels said of each connection, and says where it only guesses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.made_up import AFTER, BEFORE, NODES, ZERO, MadeUpRun

from failover_lab.report import build, html, load, summary
from failover_lab.run import instants
from failover_lab.run.layout import Run
from failover_lab.trace import log
from failover_lab.trace.event import END, NEW, Event

CLIENT = "192.168.49.1"
NODE_OF = BEFORE | AFTER
ADDRESS = {pod: f"10.244.0.{number}" for number, pod in enumerate(NODE_OF, start=1)}


class Traced:
    """A made-up run with a trace; times are seconds after the fault."""

    def __init__(self, run: MadeUpRun) -> None:
        self.run = run
        # Few, so that the tests are quick.
        run.rate = 20.0
        self.about: dict[str, Any] = {}
        self.spans = [log.Span(node, ZERO - 25.0, ZERO + 45.0) for node in NODES]
        self.losses: list[log.Loss] = []
        # Which entries a request makes: (due, pod that answers or ""), to (node, pod) or None: none.
        self.way: Callable[[float, str], tuple[str, str] | None] = lambda _due, pod: ("lab", pod or "site-c")
        self.extra: list[tuple[float, str, Event]] = []
        for pod, node in NODE_OF.items():
            told = {"uid": f"uid-{pod[-1]}", "node": node, "ready": True, "address": ADDRESS[pod]}
            run.change(-20, "Pod", pod, "LISTED", **told)
        run.change(-20, "ServiceL2Status", "l2-1", "LISTED", service="site", node="lab")

    def entry(self, at: float, node: str, port: int, pod: str, change: str = NEW) -> None:
        """One more line."""
        self.extra.append((at, node, Event(change, CLIENT, port, ADDRESS.get(pod, pod), 8080)))

    def write(self) -> Path:
        directory = self.run.write()
        lines = list(self.extra)
        for row in self.run.rows:
            _, kind, due, _, _, _, outcome, _, pod, _, port, *_ = row.split(",")
            at = instants.parse(due) - ZERO
            if kind == "new" and (way := self.way(at, pod if outcome == "ok" else "")) is not None:
                node, sent_to = way
                lines.append(
                    (at + 0.002, node, Event(NEW, CLIENT, int(port), ADDRESS.get(sent_to, sent_to), 8080))
                )
        writer = log.Writer(directory)
        for at, node, event in sorted(lines, key=lambda line: line[0]):
            writer.add(node, ZERO + at, 0.05, [event])
        writer.close()
        known: dict[str, Any] = {"clients": [CLIENT], "by": dict.fromkeys(NODES, "netlink")}
        about = log.About(
            "http://192.168.49.100/whoami", spans=self.spans, losses=self.losses, written=writer.written,
            **known | self.about,
        )  # fmt: skip
        Run(directory).trace.write_text(json.dumps(about.as_json()))
        return directory

    def report(self) -> build.Report:
        found = build.build(load.load(self.write()))
        load.validator("report").validate(found.content)
        return found

    def content(self) -> dict[str, Any]:
        return self.report().content


@pytest.fixture
def traced(made_up: MadeUpRun) -> Traced:
    return Traced(made_up)


def only(content: dict[str, Any]) -> dict[str, Any]:
    (group,) = content["failures"]
    found: dict[str, Any] = group
    return found


def killed(traced: Traced, announcer: str = "lab") -> None:
    """lab-m02 dies at ZERO."""
    traced.run.observed_kill()
    traced.run.marks = [(-2.0, "steady_before"), (0.0, "fault_begin"), (0.0, "injected")]
    traced.spans[1] = log.Span("lab-m02", ZERO - 25.0, ZERO + 0.2)
    traced.run.change(-20, "ServiceL2Status", "l2-1", "MODIFIED", service="site", node=announcer)


def test_without_a_trace_everything_is_as_before(made_up: MadeUpRun) -> None:
    made_up.lose(1.0, 2.0)
    content = made_up.content()
    assert content["trace"] is None
    assert only(content)["traced"] == 0
    assert not any("kernels" in line for line in summary.lines(content, Path("x")))


def test_who_answered_is_compared_with_what_the_kernel_says(traced: Traced) -> None:
    answers = traced.content()["trace"]["answers"]
    assert answers == {"compared": 1200, "named": 0, "disagreements": 0, "examples": []}


@pytest.mark.parametrize("says_who", [True, False])
def test_of_two_that_may_have_carried_it_the_one_that_answered_did(traced: Traced, says_who: bool) -> None:
    """The address moves for a moment, while a connection is opened."""

    def answer(due: float, kind: str, _number: int) -> dict[str, Any]:
        its = {"pod": "site-a", "port": 4999} if kind == "new" and abs(due - 5.0) < 0.001 else {}
        return its if says_who else its | {"pod": "", "node": ""}

    traced.run.differ = answer
    traced.way = lambda due, pod: ("lab", "site-a" if abs(due - 5.0) < 0.001 else pod or "site-c")
    traced.entry(5.001, "lab-m03", 4999, "site-b")
    answers = traced.content()["trace"]["answers"]
    # Where nobody says so, the one is nobody's.
    whose = {"compared": 1200, "named": 0} if says_who else {"compared": 0, "named": 1199}
    assert answers == whose | {"disagreements": 0, "examples": []}


@pytest.mark.parametrize("read_s", [0.003, 0.001])
def test_what_was_opened_as_the_address_moved_was_reset_by_who_knew_nothing_of_it(
    traced: Traced, read_s: float
) -> None:
    """Whichever node's kernel was read first: neither says which of the two made its entry first."""
    traced.run.lose(5.0, 5.04, "reset", took=0.02, port=4999)
    traced.entry(5.0 + read_s, "lab-m03", 4999, "site-b")
    traced.entry(5.0 + read_s, "lab-m03", 4999, "site-b", END)
    group = only(traced.content())
    assert (group["cause"], group["traced"]) == ("address_moved", 1)
    assert group["evidence"] == (
        "they were opened through lab; what followed, lab-m03 received, which knew nothing of them"
    )


def test_a_disagreement_is_a_finding(traced: Traced) -> None:
    traced.way = lambda due, pod: ("lab", "site-d" if 5.0 <= due < 5.25 and pod == "site-c" else pod)
    report = traced.report()
    answers = report.content["trace"]["answers"]
    assert answers["disagreements"] == len(answers["examples"]) > 0
    assert (answers["examples"][0]["said"], answers["examples"][0]["sent_to"]) == ("site-c", "site-d")
    assert "answers name another pod" in "\n".join(summary.lines(report.content, Path("x")))
    assert "answers name another pod" in html.render(report)


def test_an_application_that_says_nothing_is_known_all_the_same(traced: Traced) -> None:
    said: list[str] = []

    def nameless(_due: float, kind: str, number: int) -> dict[str, Any]:
        pods = traced.run.pods_at(_due)
        said.append(pods[number % len(pods)])
        return {"pod": "", "node": ""} if kind == "new" else {}

    traced.run.differ = nameless
    traced.way = lambda due, _pod: ("lab", "site-x" if due > 10 else "site-a")
    found = traced.report()
    assert found.content["trace"]["answers"]["named"] == 1200
    assert {r.pod for r in found.data.records if r.kind == "new" and r.due > ZERO + 11} == {"site-x"}
    assert {r.node for r in found.data.records if r.kind == "new" and r.due > ZERO + 11} == {"lab"}


def test_lost_requests_were_sent_to_a_pod_on_a_dead_node(traced: Traced) -> None:
    killed(traced)
    traced.run.lose(1.0, 2.0, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod or "site-a")
    report = traced.report()
    group = only(report.content)
    assert (group["cause"], group["traced"], group["count"]) == ("endpoint_dead", 20, 20)
    assert (group["received_by"], group["pods"]) == ({"lab": 20}, {"site-a": 20})
    assert "lab sent them to site-a on lab-m02, dead from 19:00:00.000 on" in group["evidence"]
    assert report.content["trace"]["lost"] == {"evidence": 20, "guess": 0}
    assert "say where 20 of 20 lost requests went" in "\n".join(summary.lines(report.content, Path("x")))
    page = html.render(report)
    assert "Received by, sent to" in page
    assert "(a guess)" not in page


def test_a_pod_that_lived_is_not_put_down_to_the_dead_node(traced: Traced) -> None:
    """The list still has the dead node's pods: a guess would be theirs."""
    killed(traced)
    traced.run.lose(1.0, 2.0, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod or "site-c")
    group = only(traced.content())
    assert group["cause"] == "unexplained"
    assert group["pods"] == {"site-c": 20}
    assert "lab sent them to site-c" in group["evidence"]


def test_no_node_received_what_was_sent_to_a_dead_one(traced: Traced) -> None:
    killed(traced, "lab-m02")
    traced.run.change(2.0, "ServiceL2Status", "l2-1", service="site", node="lab")
    traced.run.lose(0.1, 1.8, "connect_timeout", took=3.0)
    traced.way = lambda due, pod: ("lab-m02" if due < 1.0 else "lab", pod) if pod else None
    group = only(traced.content())
    assert (group["cause"], group["traced"]) == ("address_moved", group["count"])
    assert "no node received them: the address led to lab-m02, dead from 19:00:00.000 on" in group["evidence"]
    assert "; lab received others from 19:00:01.802 on" in group["evidence"]


def test_no_node_received_what_was_sent_while_there_was_no_endpoint(traced: Traced) -> None:
    # Whoever announced the address does so no more, until there is one.
    traced.run.observed_drain()
    traced.run.endpoints(10.0)
    traced.run.endpoints(11.0, site_c="ready")
    traced.run.lose(10.1, 11.2, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod) if pod else None
    group = only(traced.content())
    assert (group["cause"], group["traced"]) == ("no_endpoint", group["count"])
    assert group["evidence"] == (
        "no node received them, as the Service had no ready endpoint from 19:00:10.000 on"
    )


@pytest.mark.parametrize(
    ("peer", "cause", "evidence", "pods"),
    [
        (
            "192.168.49.100",
            "no_endpoint",
            (
                "lab took them while it had nobody to send them to, as the Service had no ready endpoint "
                "from 19:00:10.000 on"
            ),
            {},
        ),
        # Of a name, or a proxy before it, the address that was asked is another one.
        (
            "192.0.2.7",
            "unexplained",
            "lab sent them to 192.168.49.100, which lived; nothing that the cluster reported goes with it",
            {"192.168.49.100": 22},
        ),
    ],
)
def test_what_a_node_took_for_nobody_stays_with_the_address(
    traced: Traced, peer: str, cause: str, evidence: str, pods: dict[str, int]
) -> None:
    """Its rules led to no pod as the connection was begun, and it keeps to that as it is tried again."""
    traced.run.observed_drain()
    traced.run.endpoints(10.0)
    traced.run.endpoints(11.0, site_c="ready")
    traced.run.lose(10.1, 11.2, "connect_timeout", took=3.0, peer=peer)
    traced.way = lambda _due, pod: ("lab", pod or "192.168.49.100")
    group = only(traced.content())
    assert (group["cause"], group["evidence"], group["pods"]) == (cause, evidence, pods)
    assert group["traced"] == group["count"] == 22


def test_an_address_that_stays_with_the_dead_has_not_moved(traced: Traced) -> None:
    killed(traced, "lab-m02")
    traced.run.lose(1.0, 30.0, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod) if pod else None
    content = traced.content()
    assert {group["cause"] for group in content["failures"]} == {"not_received"}


def test_what_no_node_received_though_all_lived(traced: Traced) -> None:
    traced.run.lose(1.0, 2.0, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod) if pod else None
    group = only(traced.content())
    assert group["cause"] == "not_received"
    assert group["evidence"] == "no node received them, while the address led to lab"
    assert (group["received_by"], group["traced"]) == ({}, 20)


def test_an_entry_that_is_older_than_the_rules(traced: Traced) -> None:
    """From the same port, a connection before: its entry is still there, and no new one is made."""
    killed(traced)
    traced.run.lose(20.0, 21.0, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod) if pod else None
    traced.run.write()
    numbers = [row.split(",") for row in traced.run.rows]
    ports = [int(row[10]) for row in numbers if row[6] == "connect_timeout"]
    for path in traced.run.directory.glob("*"):
        path.unlink()
    for port in ports[:-1]:
        traced.entry(-19.0, "lab", port, "site-a")
    # This one was forgotten in time.
    traced.entry(-19.0, "lab", ports[-1], "site-a")
    traced.entry(5.0, "lab", ports[-1], "site-a", END)
    content = traced.content()
    counts = {group["cause"]: group["count"] for group in content["failures"]}
    assert counts == {"stale_flow": 19, "not_received": 1}
    stale = next(group for group in content["failures"] if group["cause"] == "stale_flow")
    assert (
        "lab sent them to site-a by entries of earlier connections from the same ports" in stale["evidence"]
    )


def test_one_that_was_sent_to_a_pod_that_had_been_told_to_stop(traced: Traced) -> None:
    traced.run.observed_drain()
    traced.run.lose(1.0, 1.5, "refused", took=0.001)
    traced.way = lambda _due, pod: ("lab", pod or "site-a")
    group = only(traced.content())
    assert (group["cause"], group["traced"]) == ("shutdown_race", 10)
    assert "lab sent them to site-a, told to stop at 19:00:00.500" in group["evidence"]


def test_one_that_a_pod_was_at_work_on_as_it_was_told_to_stop(traced: Traced) -> None:
    traced.run.observed_drain()
    # Sent before the order came, and broken off after it.
    traced.run.lose(0.3, 0.5, "closed_early", took=0.4)
    traced.way = lambda _due, pod: ("lab", pod or "site-a")
    group = only(traced.content())
    assert (group["cause"], group["traced"]) == ("ungraceful_stop", 4)
    assert group["evidence"] == (
        "lab sent them to site-a, told to stop at 19:00:00.500, which broke off what it was at work on"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda t: t.losses.append(log.Loss("lab-m03", ZERO + 1.0, ZERO + 3.0)),
            "kernel of lab-m03 said more",
        ),
        (lambda t: t.spans.pop(2), "lab-m03 was not heard just then"),
        (lambda t: t.about.update(by={}) or t.spans.clear(), "no node was heard"),
        (
            lambda t: t.about.update(by={}, trouble="nobody reaches the nodes") or t.spans.clear(),
            "nobody reaches",
        ),
    ],
)
def test_without_evidence_it_is_a_guess_and_says_why(
    traced: Traced, change: Callable[[Traced], object], says: str
) -> None:
    traced.run.lose(1.5, 2.0, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod) if pod else None
    change(traced)
    report = traced.report()
    content = report.content
    assert content["trace"]["lost"] == {"evidence": 0, "guess": 10}
    assert any(says in reason for reason in content["trace"]["guessed_because"])
    assert only(content)["cause"] == "unexplained"
    assert "(a guess)" in html.render(report)
    assert any("the causes of 10 are guessed" in line for line in summary.lines(content, Path("x")))


def test_whoever_refused_it_had_received_it(traced: Traced) -> None:
    traced.run.lose(1.0, 2.0, "refused", took=0.001)
    traced.way = lambda _due, pod: ("lab", pod) if pod else None
    content = traced.content()
    assert content["trace"]["guessed_because"] == {
        "somebody refused them, and no node's kernel had said so": 20
    }


def test_a_node_that_died_took_its_last_lines_along(traced: Traced) -> None:
    """So it is where a program in the node says what its kernel does."""
    killed(traced)
    traced.about["by"] = dict.fromkeys(NODES, "conntrack")
    traced.run.lose(0.0, 0.15, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod) if pod else None
    content = traced.content()
    assert content["trace"]["guessed_because"] == {
        "lab-m02 took along what its kernel said last as it died": 4
    }


@pytest.mark.parametrize(("outcome", "took"), [("connect_timeout", 3.0), ("refused", 0.001), ("reset", 0.2)])
def test_to_whom_the_address_led_is_known_though_the_dying_node_s_last_lines_are_not(
    traced: Traced, outcome: str, took: float
) -> None:
    """Its program dies before its kernel, which goes on taking connections, and refuses them."""
    killed(traced, "lab-m02")
    traced.about["by"] = dict.fromkeys(NODES, "conntrack")
    traced.run.change(2.0, "ServiceL2Status", "l2-1", service="site", node="lab")
    traced.run.lose(0.0, 0.15, outcome, took=took)
    traced.way = lambda due, pod: ("lab-m02" if due < 1.0 else "lab", pod) if pod else None
    content = traced.content()
    assert content["trace"]["lost"] == {"evidence": 4, "guess": 0}
    group = only(content)
    assert group["cause"] == "address_moved"
    says = (
        "the address led to lab-m02, dead from 19:00:00.000 on, which took its kernel's last words along; lab"
    )
    assert group["evidence"].startswith(says)


def test_other_peoples_connections_prove_nothing(traced: Traced) -> None:
    """Ports are translated on the way: nothing that was answered is in the trace."""
    traced.run.lose(1.0, 2.0, "connect_timeout", took=3.0)
    traced.way = lambda _due, _pod: None
    content = traced.content()
    assert content["trace"]["lost"] == {"evidence": 0, "guess": 20}
    assert content["trace"]["connections"]["missed"] == 1180
    assert any(
        "answered connections are not in the trace either" in r for r in content["trace"]["guessed_because"]
    )


def test_a_pod_without_an_address_is_nobody(traced: Traced) -> None:
    """It waits for a node."""
    traced.run.change(3.0, "Pod", "site-p", "ADDED", uid="uid-p", node="", ready=False)
    assert traced.content()["trace"]["answers"]["disagreements"] == 0


def test_a_pod_that_started_anew_has_another_address(traced: Traced) -> None:
    killed(traced)
    told: dict[str, Any] = {"uid": "uid-a", "node": "lab-m02", "ready": True, "address": "10.244.7.7"}
    traced.run.change(15.0, "Pod", "site-a", **told)
    traced.run.lose(1.0, 2.0, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod or "site-a")
    assert only(traced.content())["pods"] == {"site-a": 20}


def test_a_damaged_trace_is_an_error_in_one_line(traced: Traced) -> None:
    from failover_lab.errors import UserError

    directory = traced.write()
    Run(directory).trace.write_text("{")
    with pytest.raises(UserError, match=r"trace.json is damaged"):
        build.build(load.load(directory))


@pytest.mark.parametrize(
    ("receiver", "evidence"),
    [
        (
            "lab",
            "lab sent them to site-a on lab-m02, and lab-m02 dropped a part of all packets from 19:00:00",
        ),
        (
            "lab-m02",
            "lab-m02 sent them to site-a, and lab-m02 dropped a part of all packets from 19:00:00.000 on",
        ),
        (
            None,
            "no node received them: the address led to lab-m02, which dropped a part of all packets from",
        ),
    ],
)
def test_a_node_that_drops_some_packets(traced: Traced, receiver: str | None, evidence: str) -> None:
    assert traced.run.play is not None
    traced.run.fault_kind = traced.run.play["fault"]["kind"] = "loss"
    traced.run.change(-20, "ServiceL2Status", "l2-1", "MODIFIED", service="site", node="lab-m02")
    traced.run.lose(1.0, 1.5, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab-m02", pod) if pod else (receiver, "site-a") if receiver else None
    group = only(traced.content())
    assert (group["cause"], group["traced"]) == ("packet_loss", 10)
    assert group["evidence"].startswith(evidence)


def test_once_it_drops_none_it_is_no_reason(traced: Traced) -> None:
    assert traced.run.play is not None
    traced.run.play["fault"]["kind"] = "loss"
    traced.run.marks = [(0.0, "fault_begin"), (0.0, "injected"), (20.0, "returned")]
    traced.run.lose(21.0, 21.5, "connect_timeout", took=3.0)
    traced.way = lambda _due, pod: ("lab", pod or "site-a")
    assert only(traced.content())["cause"] != "packet_loss"
