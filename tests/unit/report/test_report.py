"""From records, marks and events to a verdict."""

from __future__ import annotations

import errno
import json
import math
import re
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from failover_lab import cli
from failover_lab.errors import UserError
from failover_lab.report import charts, command, html, load, series, stats, summary, words
from failover_lab.report.build import build
from failover_lab.run import files


def content(made_up: Any) -> dict[str, Any]:
    found: dict[str, Any] = made_up.content()
    return found


def lose(made_up: Any, begin: float, end: float, outcome: str = "refused", **more: Any) -> None:
    made_up.lose(begin, end, outcome, **more)


# The arithmetic


@pytest.mark.parametrize(
    ("failed", "total", "expected"),
    [
        (0, 24_000, 0.000124814),
        (0, 59, 0.0495024),
        (1, 100, 0.0465598),
        (5, 100, 0.102253),
        (10, 10, 1.0),
        (151, 8_000, 0.021599),
        (6_800, 20_000, 0.345563),
        (9, 10, 0.994884),
    ],
)
def test_the_upper_bound_is_the_exact_one(failed: int, total: int, expected: float) -> None:
    bound = stats.upper_bound_95(failed, total)
    assert bound == pytest.approx(expected, rel=2e-3)
    if failed < total <= 100 and bound is not None:
        # By its definition: under this probability, so few failures come one time in twenty.
        chance = sum(math.comb(total, k) * bound**k * (1 - bound) ** (total - k) for k in range(failed + 1))
        assert chance == pytest.approx(0.05, rel=1e-6)


def tail(least: int, most: int, total: int, chance: float) -> float:
    """By its definition: so many failures, or as few as that."""
    return sum(math.comb(total, k) * chance**k * (1 - chance) ** (total - k) for k in range(least, most + 1))


@pytest.mark.parametrize(("failed", "total"), [(1, 2), (3, 50), (20, 200), (49, 50), (100, 100)])
def test_the_interval_is_the_exact_one(failed: int, total: int) -> None:
    low, high = stats.interval_95(failed, total)
    assert low < failed / total <= high
    assert tail(failed, total, total, low) == pytest.approx(0.025, rel=1e-6)
    if failed == total:
        assert high == 1.0
    else:
        assert tail(0, failed, total, high) == pytest.approx(0.025, rel=1e-6)


def test_the_interval_of_many() -> None:
    low, high = stats.interval_95(0, 100)
    assert low == 0.0
    assert high == pytest.approx(0.0362167, rel=1e-5)
    # One in fifty of 10,000, as any table of the exact interval has it.
    low, high = stats.interval_95(200, 10_000)
    assert low == pytest.approx(0.017346, rel=1e-3)
    assert high == pytest.approx(0.022938, rel=1e-3)


@pytest.mark.parametrize(("failed", "total", "chance"), [(0, 5, 0.1), (1, 5, 0.1), (5, 5, 0.1), (3, 40, 0.2)])
def test_the_chance_of_so_many(failed: int, total: int, chance: float) -> None:
    assert stats.at_least(failed, total, chance) == pytest.approx(
        tail(failed, total, total, chance), rel=1e-9
    )


def test_the_chance_of_what_cannot_be() -> None:
    assert stats.at_least(6, 5, 0.5) == 0.0
    assert stats.at_least(1, 5, 0.0) == 0.0
    assert stats.at_least(1, 5, 1.0) == 1.0


def test_no_requests_have_no_bound_and_no_percentile() -> None:
    assert stats.upper_bound_95(0, 0) is None
    assert stats.percentile([], 0.5) is None
    assert stats.percentile([1.0, 2.0, 3.0], 0.5) == 2.0
    assert stats.percentile([1.0, 2.0, 3.0], 0.0) == 1.0


def test_outages_and_merging() -> None:
    rows = [(0.0, False), (1.0, True), (2.0, True), (3.0, False), (4.0, True)]
    assert stats.outages(rows, 1.0) == [(1.0, 3.0), (4.0, 5.0)]
    assert stats.merge([(0.0, 1.0), (1.5, 2.0), (5.0, 6.0)]) == [(0.0, 2.0), (5.0, 6.0)]


# Verdicts


@pytest.mark.parametrize("name", ["run", "report"])
def test_what_a_report_is_checked_against_is_a_schema(name: str) -> None:
    load.validator(name).check_schema(load.schema(name))


def test_a_good_drain_passes(made_up: Any) -> None:
    made_up.observed_drain()
    found = content(made_up)
    assert found["verdict"] == {
        "passed": True,
        "measured": True,
        "aborted": False,
        "max_lost": 0,
        "reasons": [],
        "unproven": [],
        "checks": found["verdict"]["checks"],
    }
    assert found["requests"]["total"] == 6600
    assert found["requests"]["failed"] == 0
    assert found["requests"]["errors"] == {}
    assert found["requests"]["lost_upper_bound_95"] == pytest.approx(3 / 6600, rel=0.01)
    assert found["outage_s"] == {"longest": 0.0, "total": 0.0}
    assert [(r["pod"], r["first_answer_s"]) for r in found["replacements"]] == [
        ("site-x", pytest.approx(6.0, abs=0.2)),
        ("site-y", pytest.approx(14.0, abs=0.2)),
    ]
    assert found["spread"]["nodes"] == {"lab": 2, "lab-m02": 0, "lab-m03": 2}
    assert found["spread"]["before"]["nodes"] == {"lab": 1, "lab-m02": 2, "lab-m03": 1}
    assert found["clocks_s"] == {"address": None, "endpoints": 7.0, "capacity": 13.0, "stale_flows": None}
    assert found["predicted_s"] == dict.fromkeys(("address", "endpoints", "capacity", "stale_flows"))
    assert found["steady"] == {"before": True, "after": True}


def test_a_cordon_of_somebody_else_s_on_another_node_is_no_fault_of_the_drain(made_up: Any) -> None:
    made_up.observed_drain()
    # site-c was there before, on a node that takes no pods, and has stayed.
    made_up.play["spread"] |= {
        "eligible_nodes": ["lab"],
        "after": {**made_up.play["spread"]["after"], "site-y": "lab"},
    }
    made_up.play["replacements"][1]["node"] = "lab"
    assert content(made_up)["verdict"]["reasons"] == []
    # One that was put there since is one too many.
    made_up.play["spread"]["after"]["site-y"] = "lab-m03"
    assert "pods run on lab-m03, where they should not" in reasons(made_up)


def test_a_spread_that_was_uneven_before_is_no_fault_of_the_drain(made_up: Any) -> None:
    made_up.observed_drain()
    spread = made_up.play["spread"]
    after = {**spread["after"], "site-c": "lab-m03", "site-d": "lab-m03", "site-x": "lab-m03"}
    even = dict(spread["before"])
    uneven = {**even, "site-c": "lab-m03", "site-d": "lab-m03"}
    made_up.play["spread"] = spread | {"before": even, "after": after}
    assert "the pods are spread unevenly afterwards: lab 0, lab-m03 4" in reasons(made_up)
    made_up.play["spread"] = spread | {"before": uneven, "after": after}
    assert content(made_up)["verdict"]["reasons"] == []


def test_a_cause_is_told_once_and_not_what_follows_from_it(made_up: Any) -> None:
    made_up.observed_drain()
    why = "Drain | Nobody is: lab-m02 is not empty: site/site-a: the budget needs 4 healthy pods and has 4"
    made_up.play |= {"errors": [why], "replacements": [], "left_on_node": ["site-a", "site-b"]}
    made_up.play["spread"] = {"before": made_up.play["spread"]["before"]}
    made_up.marks = [mark for mark in made_up.marks if mark[1] not in {"steady_after", "drained"}]
    found = content(made_up)
    assert found["verdict"]["reasons"] == [why]
    # What was asked and has no answer is still no pass.
    assert not found["verdict"]["passed"]
    assert found["verdict"]["checks"]["replacements answered"]
    # What stands by itself is told beside it.
    lose(made_up, 3.0, 3.1)
    assert content(made_up)["verdict"]["reasons"] == [why, "10 requests were lost, 0 are allowed"]


def reasons(made_up: Any) -> str:
    found = content(made_up)
    assert not found["verdict"]["passed"]
    assert found["verdict"]["reasons"]
    return "; ".join(found["verdict"]["reasons"])


def test_each_thing_that_speaks_against_a_pass(made_up: Any, tmp_path: Path) -> None:
    make = type(made_up)

    def changed(name: str, **changes: Any) -> Any:
        run = make(tmp_path / name, rate=20.0, reused_rate=5.0)
        for key, value in changes.items():
            if key == "play":
                run.play.update(value)
            else:
                setattr(run, key, value)
        return run

    play = made_up.play
    spread = play["spread"]
    marks = made_up.marks
    for name, changes, says in (
        ("aborted", {"marks": [*marks, (39.0, "aborted")]}, "the run was aborted"),
        ("error", {"play": {"errors": ["the node did not come back"]}}, "the node did not come back"),
        ("no_fault", {"marks": []}, "no fault was marked"),
        ("no_play", {"play": {}}, None),
        ("left", {"play": {"left_on_node": ["site-a"]}}, "site-a stayed on lab-m02"),
        ("few", {"play": {"replacements": []}}, "2 pods were displaced and only 0 replacements are known"),
        (
            "silent",
            {"play": {"replacements": [{"pod": "site-q", "uid": "q"}, {"pod": "site-y", "uid": "uid-y"}]}},
            "no answer through the address came from site-q",
        ),
        (
            "same",
            {
                "play": {
                    "replacements": [{"pod": "site-a", "uid": "uid-a"}, {"pod": "site-y", "uid": "uid-y"}]
                }
            },
            "site-a is no new pod: its UID was there before",
        ),
        (
            "skewed",
            {"play": {"spread": {**spread, "after": {**spread["after"], "site-y": "lab", "site-c": "lab"}}}},
            "spread unevenly afterwards: lab 4, lab-m03 0",
        ),
        (
            "elsewhere",
            {"play": {"spread": {**spread, "after": {**spread["after"], "site-y": "lab-m02"}}}},
            "pods run on lab-m02, where they should not",
        ),
        (
            "too_few",
            {"play": {"spread": {**spread, "after": {"site-c": "lab-m03", "site-d": "lab"}}}},
            "2 pods serve afterwards, and 4 should",
        ),
        ("unknown", {"play": {"spread": {}}}, "where the pods are afterwards is unknown"),
        (
            "eligible",
            {"play": {"spread": {"after": {**spread["after"], "site-y": "lab-m02"}}}},
            "pods run on lab-m02",
        ),
        ("before", {"marks": marks[1:]}, "no steady state before the fault was reached"),
        ("after", {"marks": marks[:-1]}, "no steady state after it was reached"),
        (
            "looked_back",
            {"marks": [*marks[:-1], (31.9, "steady_after")]},
            "not steady after it: it was watched for 9.9 s after the healing, not 10",
        ),
        ("uncovered", {"begin": -5.0}, "not steady before the fault: the probe did not cover it"),
        ("absent", {"begin": 5.0}, "not measured: the probe was not running at the fault"),
        ("cut", {"whole": False}, "not measured: the record was cut off"),
        ("late", {"differ": lambda *_: {"late": 30.0}}, "could not keep its schedule"),
        (
            "late_though",
            {"differ": lambda *_: {"late": 30.0}, "scheduling": "normal"},
            "(allowed 20 and 250); as root, or allowed an rtprio of 2 (limits.conf), it is scheduled",
        ),
        ("stall", {"differ": lambda _d, _k, n: {"late": 300.0 if n == 5 else 0.1}}, "the latest 300 ms"),
        (
            "own",
            {"differ": lambda _d, _k, n: {"outcome": "probe_error", "detail": "EMFILE"} if n == 9 else {}},
            "not measured: 1 requests failed in the probe itself (EMFILE): it may open no more files",
        ),
        (
            "hurried",
            {"differ": lambda due, _k, _n: {"outcome": "unfinished", "took": 0.5} if due > 39 else {}},
            "not measured: 23 requests were still open when the probe was hurried to its end; stop it once",
        ),
        (
            "slow",
            {
                "play": {"settings": {**play["settings"], "max_slowest_ms": 500}},
                "differ": lambda _d, _k, n: {"took": 1.013, "retransmits": 0} if n == 700 else {},
            },
            "the slowest answer took 1013 ms, 500 are allowed: due at 19:00:07.950 on a new connection",
        ),
        (
            "silent_before",
            {"play": {"spread": {**spread, "before": {**spread["before"], "site-z": "lab"}}}},
            "not steady before the fault: no answer of site-z",
        ),
    ):
        if says is not None:
            assert says in reasons(changed(name, **changes)), name


@pytest.mark.parametrize("kind", ["new", "reused"])
def test_few_requests_cover_a_steady_state_as_well(made_up: Any, kind: str) -> None:
    # Of each window's twenty seconds the first two and a half are over when the first request is due.
    made_up.rate, made_up.reused_rate = (0.25, 0.0) if kind == "new" else (0.0, 0.25)
    made_up.begin, made_up.end = -35.0, 65.0
    made_up.play["settings"] |= {"steady_window_s": 20}
    made_up.marks = [(-1.5, "steady_before"), (0.0, "fault_begin"), (22.0, "healed"), (62.5, "steady_after")]
    assert content(made_up)["steady"] == {"before": True, "after": True}
    made_up.begin = -12.0
    assert "not steady before the fault: the probe did not cover it" in reasons(made_up)


def test_a_uid_that_the_cluster_does_not_know(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.play["replacements"][0]["uid"] = "made-up"
    assert "site-x has UID made-up in run.json, and the cluster reported another" in reasons(made_up)


def test_a_replacement_that_only_answers_wrongly_has_not_answered(made_up: Any) -> None:
    before = made_up.pods_at
    made_up.pods_at = lambda at: ["site-x" if pod == "site-y" else pod for pod in before(at)]

    def differ(due: float, _kind: str, number: int) -> dict[str, Any]:
        if due > 14 and number % 4 == 1:
            return {"outcome": "wrong_status", "status": 503, "pod": "site-y", "node": "lab-m03"}
        return {}

    made_up.differ = differ
    made_up.play["settings"]["max_lost"] = None
    found = content(made_up)
    assert [(r["pod"], r["answers"] > 0) for r in found["replacements"]] == [
        ("site-x", True),
        ("site-y", False),
    ]
    assert "no answer through the address came from site-y" in found["verdict"]["reasons"]


def test_losses_are_counted_against_what_is_allowed(made_up: Any, tmp_path: Path) -> None:
    lose(made_up, 8.0, 8.1, every=3)
    found = content(made_up)
    lost = found["requests"]["failed"]
    assert 2 <= lost <= 5
    assert found["verdict"]["reasons"] == [f"{lost} requests were lost, 0 are allowed"]
    made_up.play["settings"]["max_lost"] = lost
    assert content(made_up)["verdict"]["passed"]
    made_up.play["settings"]["max_lost"] = None
    assert content(made_up)["verdict"]["passed"]


def test_where_nobody_says_who_answers_that_is_said_and_not_passed(made_up: Any) -> None:
    made_up.differ = lambda *_: {"pod": "", "node": ""}
    made_up.play["unproven"] = ["edge-1 belongs to a DaemonSet"]
    found = content(made_up)
    assert found["verdict"]["passed"]
    assert found["steady"] == {"before": True, "after": True}
    assert found["verdict"]["checks"]["replacements answered"] is None
    known, unsaid = found["verdict"]["unproven"]
    assert known == "edge-1 belongs to a DaemonSet"
    assert unsaid.startswith("no answer says which pod gave it, and no node's kernel was heard")
    told = summary.lines(found, made_up.directory)
    assert [line for line in told if line.startswith("Not shown: ")] == [
        f"Not shown: {s}" for s in (known, unsaid)
    ]
    # What is known of the others is held against them all the same.
    made_up.play["replacements"][1]["uid"] = "uid-a"
    assert "is no new pod" in reasons(made_up)


def test_pods_to_which_the_address_does_not_lead_need_not_answer(made_up: Any) -> None:
    made_up.play["replacements"].append({"pod": "api-0", "uid": "uid-new", "node": "lab"})
    made_up.play["displaced"].append({"pod": "api-0", "uid": "uid-old", "node": "lab-m02"})
    for when in ("before", "after"):
        made_up.play["spread"][when] = made_up.play["spread"][when] | {"api-0": "lab"}
    made_up.play["settings"]["expected_replicas"] = 5
    said = reasons(made_up)
    assert "no answer through the address came from api-0" in said
    assert "not steady after it: no answer of api-0" in said
    made_up.play["unasked"] = ["api-0"]
    assert content(made_up)["verdict"]["passed"]


def test_pods_that_do_not_ask_for_an_even_spread_need_none(made_up: Any) -> None:
    made_up.play["spread"]["after"] = dict.fromkeys(("site-c", "site-d", "site-x", "site-y"), "lab-m03")
    assert "spread unevenly afterwards" in reasons(made_up)
    made_up.play["settings"]["max_skew"] = None
    assert content(made_up)["verdict"]["passed"]


def test_failures_in_a_steady_state(made_up: Any) -> None:
    made_up.play["settings"]["max_lost"] = None
    lose(made_up, 30.0, 30.1)
    lose(made_up, -5.0, -4.9)
    said = reasons(made_up)
    assert re.search(r"not steady before the fault: \d+ of \d+ requests failed", said)
    assert re.search(r"not steady after it: \d+ of \d+ requests failed", said)


def returned(made_up: Any) -> None:
    """A node that was killed is back at 14 s; from then until it is healed, at 22 s, the pods are spread."""
    made_up.observed_kill()
    made_up.play["settings"]["max_lost"] = None
    made_up.marks.append((14.0, "returned"))


def test_a_spread_that_loses_requests_is_no_pass(made_up: Any) -> None:
    returned(made_up)
    # What the fault cost, and what is lost on connections that were kept open, is not asked.
    lose(made_up, 0.5, 5.0, "connect_timeout", every=2, took=3.0)
    lose(made_up, 16.0, 17.0, "reset", kind="reused")
    assert content(made_up)["verdict"]["passed"]
    lose(made_up, 13.9, 14.1)
    lose(made_up, 21.9, 22.1)
    assert content(made_up)["verdict"]["checks"]["pods spread"] == [
        "20 of 800 requests on new connections were lost while the pods were spread again"
    ]
    # A folder from before that mark says what it always said; and a spread that never ended is asked as well.
    marks = made_up.marks
    made_up.marks = [mark for mark in marks if mark[1] != "returned"]
    assert content(made_up)["verdict"]["passed"]
    made_up.marks = [mark for mark in marks if mark[1] != "healed"]
    assert "30 of 2600 requests on new connections were lost while" in reasons(made_up)


def test_what_moves_back_with_the_node_is_not_the_spread_s_doing(made_up: Any) -> None:
    returned(made_up)
    for at, node in ((-20, "lab-m02"), (5.0, "lab"), (16.0, "lab-m02")):
        made_up.change(at, "ServiceL2Status", "l2-1", service="site", node=node)
    lose(made_up, 15.9, 16.2, "reset")
    found = content(made_up)
    assert [group["cause"] for group in found["failures"]] == ["address_moved"]
    assert found["verdict"]["passed"]
    # What goes on for long after the move began with it, and is something else.
    lose(made_up, 15.9, 19.0, "reset", every=2)
    found = content(made_up)
    assert [group["cause"] for group in found["failures"]] == ["address_moved", "endpoint_refuses"]
    (said,) = found["verdict"]["reasons"]
    assert said == "50 of 800 requests on new connections were lost while the pods were spread again"


def test_a_tail_that_was_predicted_is_not_the_spread_s_doing(made_up: Any) -> None:
    returned(made_up)
    lose(made_up, 16.0, 17.0, "connect_timeout", took=3.0, port=30010)
    assert content(made_up)["verdict"]["checks"]["pods spread"]
    made_up.play["predicted_s"] = {"stale_flows": 60.0}
    found = content(made_up)
    assert found["verdict"]["passed"]
    assert [group["cause"] for group in found["failures"]] == ["stale_flow"]
    assert found["failures"][0]["evidence"].startswith("lab-m02 was back without the pods that it had had: ")


def test_pods_that_came_with_the_node_are_not_dead(made_up: Any) -> None:
    returned(made_up)
    made_up.endpoints(15.0, site_a="ready", site_c="ready")
    lose(made_up, 16.0, 16.1)
    found = content(made_up)
    assert [group["cause"] for group in found["failures"]] == ["endpoint_refuses"]
    assert found["clocks_s"]["stale_flows"] is None


def test_a_probe_alone_needs_no_play(made_up: Any) -> None:
    made_up.play, made_up.marks = None, []
    found = content(made_up)
    assert found["verdict"]["passed"]
    nothing = dict.fromkeys(("kind", "node", "announcer", "injected_at", "healed_at"))
    assert found["fault"] == nothing | {"nodes": []}
    made_up.marks = [(0.0, "fault_begin")]
    (made_up.directory / "run.json").unlink(missing_ok=True)
    assert "run.json is missing" in reasons(made_up)


def test_no_request_at_all_is_null_and_not_nought(made_up: Any) -> None:
    made_up.end = made_up.begin
    found = content(made_up)
    assert found["requests"]["total"] == 0
    assert found["requests"]["lost_upper_bound_95"] is None
    assert found["latency_ms"] == {"p50": None, "p90": None, "p99": None, "max": None}
    assert found["outage_s"] == {"longest": None, "total": None}
    assert "not measured: no request was recorded" in found["verdict"]["reasons"]
    lines, passed = command.write(made_up.directory)
    assert not passed
    assert lines[0] == "Not measured: No request was recorded."


@pytest.mark.parametrize("outcome", ["unfinished", "probe_error"])
def test_requests_of_which_no_user_saw_the_end_are_no_pass(made_up: Any, outcome: str) -> None:
    made_up.play, made_up.marks, made_up.rate = None, [], 20.0
    lose(made_up, made_up.begin, made_up.end, outcome)
    lose(made_up, made_up.begin, made_up.end, outcome, kind="reused")
    assert "not measured: no request was recorded of which a user saw the end" in reasons(made_up)
    lines, passed = command.write(made_up.directory)
    assert not passed
    assert lines[0] == "Not measured: No request was recorded."


def test_a_site_that_hangs_is_no_pass_however_soon_the_probe_is_stopped(made_up: Any) -> None:
    made_up.play, made_up.marks = None, []
    lose(made_up, 38.0, made_up.end, "unfinished", took=2.0)
    assert reasons(made_up).startswith("not measured: 200 requests were still open")


def test_an_outage_and_a_degradation(made_up: Any) -> None:
    # Nothing on a new connection for 0.35 s; and for two seconds, by itself, every tenth.
    def differ(due: float, kind: str, _number: int) -> dict[str, Any]:
        hundredth = round(due * 100)
        lost = 800 <= hundredth < 835 or (1200 <= hundredth < 1400 and hundredth % 10 == 0)
        return {"outcome": "refused"} if kind == "new" and lost else {}

    made_up.differ = differ
    found = content(made_up)
    # Each of the twenty is an outage of its own, to the next request.
    assert found["outage_s"] == {
        "longest": pytest.approx(0.35, abs=0.02),
        "total": pytest.approx(0.35 + 20 * 0.01, abs=0.02),
    }
    # From the first of them to the last, 1.9 s later.
    assert found["degraded_s"] == {
        "longest": pytest.approx(1.91, abs=0.02),
        "total": pytest.approx(0.35 + 1.91, abs=0.02),
    }
    assert words.sentence(found) == (
        "Draining lab-m02, which announced the address, lost 55 of 6\u202f600 requests; "
        "for 2.26\u00a0s in all some failed, and for 0.35\u00a0s at most nothing got through."
    )
    lines, _ = command.write(made_up.directory)
    assert lines[2].endswith("; longest outage 0.35\u00a0s")
    assert (
        "here 0.55\u00a0s in all. Time in which some failed: 2.26\u00a0s."
        in (made_up.directory / "report.html").read_text()
    )
    suite = ET.parse(made_up.directory / "junit.xml")  # noqa: S314  our own file
    figures = {entry.get("name"): entry.get("value") for entry in suite.iter("property")}
    assert float(figures["outage_longest_s"] or "nan") == found["outage_s"]["longest"]


@pytest.mark.usefixtures("no_page")
def test_how_long_source_ports_rested(made_up: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = content(made_up)
    assert found["measurement"]["port_rest_s"] is None
    assert {row["port_rest_s"] for row in found["slowest"]} == {None}

    def differ(_due: float, kind: str, number: int) -> dict[str, Any]:
        return (
            {"port": 2000 + number % 1100, "took": 0.5 if number == 1503 else 0.001} if kind == "new" else {}
        )

    made_up.differ = differ
    found = content(made_up)
    # 110 requests/s: each port comes again after ten seconds, the slow request's a little sooner.
    assert found["measurement"]["port_rest_s"] == pytest.approx(9.5, abs=0.02)
    assert found["slowest"][0]["port_rest_s"] == pytest.approx(10.0, abs=0.02)
    assert cli.main(["report", str(made_up.directory)]) == 0
    assert "Mind: source ports rested for 9.50\u00a0s at least" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "facts", "says"),
    [
        ("new", {}, "whether anything was sent again is unknown"),
        ("new", {"retransmits": 0}, "nothing was sent again"),
        ("new", {"retransmits": 2}, "its data were sent again"),
        (
            "new",
            {"retransmits": 1, "connecting": 1.01},
            "its SYN was sent again, and 1.01 s passed until it was connected",
        ),
        # Its connection had been there before: nothing had to be made, and what was counted may be older.
        ("reused", {"retransmits": 1}, "its data were sent again"),
        ("reused", {"retransmits": 1}, "at any time since that was opened, its data were sent again"),
        (
            "new",
            {"retransmits": 1, "connecting": 1.01, "port": 30007},
            "until it was connected; its source port had been used 24 s before",
        ),
    ],
)
def test_an_answer_that_took_too_long(made_up: Any, kind: str, facts: dict[str, Any], says: str) -> None:
    made_up.play["settings"]["max_slowest_ms"] = 500
    made_up.rate = 50.0
    seen: list[float] = []

    def differ(due: float, of: str, _number: int) -> dict[str, Any]:
        if due >= 4 and of == kind and len(seen) < 2:
            seen.append(due)
            # The second is the slower one.
            return {"took": 1.3, **facts} if len(seen) == 2 else {"took": 1.1}
        return {}

    made_up.differ = differ
    said = reasons(made_up)
    at = f"19:00:04.{(seen[1] - 4) * 1000:03.0f}"
    assert f"took 1300 ms, 500 are allowed (2 took longer): due at {at} on a {kind} connection" in said
    assert said.endswith(says)
    made_up.play["settings"]["max_slowest_ms"] = 1299.9
    seen.clear()
    assert "took 1300 ms, 1299.9 are allowed: due" in reasons(made_up)
    for allowed in (1300.1, None):
        made_up.play["settings"]["max_slowest_ms"] = allowed
        seen.clear()
        assert content(made_up)["verdict"]["passed"]


# What is written


def test_everything_is_written_and_made_again(made_up: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.observed_drain()
    lose(made_up, 7.5, 7.6, "refused")
    lose(made_up, 40.0 - 0.05, 40.0, "read_timeout", took=5.0)
    directory = made_up.write()
    assert cli.main(["report", str(directory)]) == 1
    output = capsys.readouterr().out
    assert output.startswith("Not passed: Draining lab-m02, which announced the address, lost")
    assert "Causes: a shutdown race 10" in output
    assert "Why not: " in output
    names = ("report.json", "junit.xml", "report.html")
    first = {name: (directory / name).read_bytes() for name in names}
    assert cli.main(["report", str(directory)]) == 1
    assert {name: (directory / name).read_bytes() for name in names} == first
    suite = ET.fromstring(first["junit.xml"]).find("testsuite")  # noqa: S314  our own file
    assert suite is not None
    assert suite.get("tests") == "7"
    assert suite.get("failures") == "1"
    assert suite.find("testcase/failure") is not None


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longest, and says nothing of the rest."""
    monkeypatch.setattr(html, "render", lambda _report: "")


@pytest.mark.usefixtures("no_page")
def test_facts_and_the_link_to_the_latest(made_up: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.rate = 20.0
    directory = made_up.write()
    (directory / "run.json").unlink()
    latest = directory.with_name("latest")
    latest.symlink_to("an-older-run")
    assert cli.main(["report", str(directory)]) == 1
    assert "run.json is missing" in capsys.readouterr().out
    assert latest.readlink() == Path("an-older-run")
    assert cli.main(["report", str(directory), "--latest", "--facts", json.dumps(made_up.play)]) == 0
    assert latest.readlink() == Path("run")
    assert json.loads((directory / "run.json").read_text()) == made_up.play
    assert (latest / "summary.txt").read_text() == capsys.readouterr().out
    # By that link, too; and again.
    assert cli.main(["report", str(latest), "--latest"]) == 0
    assert latest.readlink() == Path("run")
    latest.unlink()
    latest.mkdir()
    # The verdict stands, whatever is in the way of the link to it.
    assert cli.main(["report", str(directory), "--latest"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("Passed")
    assert told[-1].startswith("Mind: ")
    assert "latest is no link; move it away" in told[-1]
    assert sorted(path.name for path in directory.parent.iterdir()) == ["latest", "run"]


@pytest.mark.parametrize(
    ("present", "then"),
    [
        ("20260101T000001Z-kill", "new"),
        ("20260101T000002Z-drain", "new"),
        ("20260101T000003Z-drain", "present"),
        ("later", "new"),
        ("20260101T000009Z-gone", "new"),
    ],
)
def test_the_link_does_not_go_back_to_an_older_run(tmp_path: Path, present: str, then: str) -> None:
    directory = tmp_path / "20260101T000002Z-kill"
    directory.mkdir()
    if not present.endswith("-gone"):
        (tmp_path / present).mkdir()
    (tmp_path / "latest").symlink_to(present)
    command.point_to(directory)
    assert (tmp_path / "latest").readlink() == Path(directory.name if then == "new" else present)


def test_a_link_that_cannot_be_made(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = made_up.write()

    def fail(*_args: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "symlink_to", fail)
    with pytest.raises(UserError, match=r"cannot make the link .*latest: Read-only file system"):
        command.point_to(directory)
    monkeypatch.setattr(files, "write_json", fail)
    with pytest.raises(UserError, match=r"run\.json: Read-only file system"):
        command._keep(directory, {})


@pytest.mark.usefixtures("no_page")
def test_the_summary_of_a_pass_is_five_lines(made_up: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(made_up.write())]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_the_page_needs_nothing_else(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.play["displaced"][0]["pod"] = "<script>alert(1)</script>"
    lose(made_up, 7.5, 7.6, "refused")
    command.write(made_up.write())
    page = (made_up.directory / "report.html").read_text()
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]+"', page)
    assert not re.findall(r"""url\((?!#|"data:)""", page)
    assert page.count("<svg") == 2
    # No placeholder colour is left: each follows the page's light or dark.
    assert not [colour for colour in charts.COLOURS if colour in page]
    for name in ("site-x", "uid-y", "a shutdown race", "prefers-color-scheme: dark", "@media print"):
        assert name in page


def test_a_site_that_answers_nobody_is_drawn_as_well(made_up: Any) -> None:
    made_up.play, made_up.marks, made_up.rate = None, [], 20.0
    for kind in ("new", "reused"):
        lose(made_up, made_up.begin, made_up.end, kind=kind)
    lines, passed = command.write(made_up.write())
    assert not passed
    assert lines[0].startswith("Not passed: The run lost 1\u202f800 of 1\u202f800 requests")
    assert (made_up.directory / "report.html").read_text().count("<svg") == 2


@pytest.mark.no_cover  # it would be counted line by line, and the time with it
def test_100_000_requests_in_5_s_and_2_mib(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.rate, made_up.reused_rate = 1520.0, 152.0
    lose(made_up, 7.5, 20.0, "refused", every=50)
    directory = made_up.write()
    assert len(made_up.rows) > 100_000
    assert sys.gettrace() is None, "it is counted line by line"
    began = time.process_time()
    command.write(directory)
    assert time.process_time() - began < 5.0
    assert (directory / "report.html").stat().st_size < 2 << 20


def test_a_missing_drawing_package_costs_the_page_alone(
    made_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    directory = made_up.write()
    with pytest.raises(UserError, match="needs the package vl-convert-python"):
        command.write(directory)
    assert json.loads((directory / "report.json").read_text())["verdict"]["passed"]


def test_states_on_the_timeline(made_up: Any) -> None:
    made_up.observed_kill()
    made_up.change(3.0, "Pod", "site-c", "LISTED", uid="c", node="lab-m03", ready=True)
    made_up.change(4.0, "Pod", "site-c", uid="c", node="lab-m03", ready=False)
    made_up.change(5.0, "Pod", "nobody", "DELETED", uid="n")
    report = build(load.load(made_up.write()))
    axis = series.span(report, 100)
    assert (axis.begin, axis.end, axis.bin_s) == (-20, 40, 1)
    assert [(row["state"], row["t"], row["u"]) for row in series.node_states(report, axis)] == [
        ("ready", -20, 5.0),
        ("not ready", 5.0, 15.0),
        ("gone", 15.0, 40),
    ]
    assert [row["state"] for row in series.pod_states(report, axis, ["site-c"])] == ["ready", "not ready"]


def test_words() -> None:
    assert words.milliseconds(None) == words.seconds(None) == words.bound(None) == "\u2013"
    assert words.milliseconds(1010) == "1.01\u00a0s"
    assert words.milliseconds(340) == "340\u00a0ms"
    assert words.milliseconds(1.25) == "1.2\u00a0ms"
    assert (words.seconds(0), words.seconds(0.02), words.seconds(12.34)) == (
        "0\u00a0s",
        "0.02\u00a0s",
        "12.3\u00a0s",
    )
    assert words.seconds(0.00066) == "0.7\u00a0ms"
    assert words.bound(0.000125) == "1 in 8\u202f000"
    assert words.bound(0.35) == "35%"
    verdict = {"aborted": True, "measured": True, "passed": False}
    assert words.heading({"verdict": verdict}) == "Aborted"
    assert words.heading({"verdict": verdict | {"aborted": False, "measured": False}}) == "Not measured"


def test_what_is_known_before_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "reports" / "20260101T000000Z-kill"
    known = {"schema_version": 1, "address": "http://192.0.2.1"}
    assert cli.main(["facts", str(folder), json.dumps(known)]) == 0
    assert cli.main(["facts", str(folder), json.dumps({"schema_version": 1})]) == 2
    assert f"{folder} is another run's; run this again" in capsys.readouterr().err
    assert json.loads((folder / "run.json").read_text(encoding="utf-8")) == known
    assert cli.main(["facts", "/proc/none/x", "{}"]) == 2
    assert "cannot make /proc/none/x" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["facts", str(folder), "[]"])
