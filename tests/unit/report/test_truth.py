"""What a report says is so: nothing is well because nobody looked, no figure leaves out who got nothing."""

from __future__ import annotations

import gzip
import json
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.made_up import ZERO

from failover_lab.faults.target import Target
from failover_lab.report import build, causes, charts, command, html, load, series, words
from failover_lab.report.cluster import Cluster
from failover_lab.report.evidence import Evidence
from failover_lab.report.fault import Fault
from failover_lab.report.groups import Group
from failover_lab.report.rows import Rows
from failover_lab.run import instants, records, texts
from failover_lab.run.records import Outcome, Record


def told(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The summary's lines."""
    with monkeypatch.context() as patch:
        patch.setattr(html, "render", lambda _report: "")
        lines, _ = command.write(made_up.write())
    return lines


def page(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page without its drawings, which take longest."""
    monkeypatch.setattr("failover_lab.report.charts.draw", lambda _spec: "")
    command.write(made_up.write())
    return re.sub(r"[ \n]+", " ", (made_up.directory / "report.html").read_text())


def without(made_up: Any, leave_out: Callable[[float, str], bool]) -> dict[str, Any]:
    """The report where requests are missing from the record, and nothing says so."""
    folder = made_up.write()
    kept = []
    for row in made_up.rows:
        fields = row.split(",")
        if not leave_out(instants.parse(fields[2]) - ZERO, fields[1]):
            kept.append(row)
    (folder / "requests.csv.gz").write_bytes(
        gzip.compress((records.HEADER + "\n" + "\n".join(kept) + "\n").encode())
    )
    about = json.loads((folder / "probe.json").read_text()) | {"recorded": len(kept)}
    (folder / "probe.json").write_text(json.dumps(about))
    return build.build(load.load(folder)).content


# Steady


def test_a_record_that_ends_within_the_steady_window(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.end = 26.5
    found = made_up.content()
    assert found["steady"] == {"before": True, "after": False}
    assert not found["verdict"]["measured"]
    assert any(
        reason.startswith("not steady after it: the probe did not cover it: nothing was due from 19:00:26.4")
        for reason in found["verdict"]["reasons"]
    )


@pytest.mark.parametrize("kind", ["new", "reused"])
def test_a_hole_in_the_steady_window(made_up: Any, kind: str) -> None:
    made_up.observed_drain()
    found = without(made_up, lambda due, of: 28 <= due <= 35 and of == kind)
    assert found["steady"] == {"before": True, "after": False}
    assert any("no request was due from 19:00:2" in reason for reason in found["verdict"]["reasons"])


def test_a_hole_before_the_fault_and_one_between(made_up: Any) -> None:
    made_up.observed_drain()
    assert without(made_up, lambda due, _: -8 <= due <= -5)["steady"] == {"before": False, "after": True}
    found = without(made_up, lambda due, _: 10 <= due <= 12)
    assert found["steady"] == {"before": True, "after": True}
    assert not found["verdict"]["measured"]


# Replacements


def stateful(made_up: Any) -> None:
    made_up.play["displaced"] = [{"pod": "site-a", "uid": "uid-a", "node": "lab-m02"}]
    made_up.play["replacements"] = [{"pod": "site-a", "uid": "uid-new", "node": "lab"}]
    made_up.play["spread"]["after"] = {"site-a": "lab", "site-c": "lab-m03"}
    made_up.play["settings"] |= {"expected_replicas": 2, "max_lost": None}
    made_up.play["spread"]["eligible_nodes"] = None


def there(made_up: Any, at: float, uid: str, **more: Any) -> None:
    made_up.change(at, "Pod", "site-a", uid=uid, node="lab-m02", **more)


def answering(made_up: Any, old_until: float, new_from: float) -> None:
    made_up.pods_at = lambda at: ["site-c"] + ["site-a"] * (at < old_until or at >= new_from)


def test_a_replacement_with_the_old_one_s_name_has_to_answer_itself(made_up: Any) -> None:
    stateful(made_up)
    there(made_up, -20, "uid-a", ready=True)
    there(made_up, 0.5, "uid-a", ready=True, deletion="2026")
    made_up.change(6.0, "Pod", "site-a", "DELETED", uid="uid-a")
    there(made_up, 6.5, "uid-new", ready=False)
    answering(made_up, 6.0, 99.0)
    (entry,) = made_up.content()["replacements"]
    assert (entry["first_answer_s"], entry["answers"]) == (None, 0)
    assert "no answer through the address came from site-a" in made_up.content()["verdict"]["reasons"]
    answering(made_up, 6.0, 9.0)
    (entry,) = made_up.content()["replacements"]
    assert entry["first_answer_s"] == pytest.approx(9.0, abs=0.1)


def test_the_same_where_nobody_saw_it(made_up: Any) -> None:
    stateful(made_up)
    # It serves on while it is drained; from the mark on, it is gone.
    answering(made_up, 6.0, 99.0)
    (entry,) = made_up.content()["replacements"]
    assert (entry["first_answer_s"], entry["answers"]) == (None, 0)


def test_both_lives_of_one_name(made_up: Any) -> None:
    stateful(made_up)
    there(made_up, -20, "uid-a", ready=True)
    there(made_up, 0.5, "uid-a", ready=True, deletion="2026")
    # The observer was away: it lists the new one first, and then that another is gone.
    there(made_up, 6.5, "uid-new", ready=True, relisted=True)
    there(made_up, 6.55, "uid-a", ready=False, deletion="2026", relisted=True)
    made_up.change(6.6, "Pod", "site-a", "DELETED", relisted=True)
    report = build.build(load.load(made_up.write()))
    assert [(life.uid, life.gone is None) for life in report.cluster.lives] == [
        ("uid-a", False),
        ("uid-new", True),
    ]
    axis = series.span(report, 100)
    assert [row["state"] for row in series.pod_states(report, axis, ["site-a"])] == [
        "ready",
        "stopping",
        "ready",
    ]
    # What broke as the first was stopped is still known by its stop.
    made_up.lose(1.0, 1.1, "refused")
    assert [group["cause"] for group in made_up.content()["failures"]] == ["shutdown_race"]


# The observer


def cut_off(made_up: Any) -> None:
    made_up.fault_kind = made_up.play["fault"]["kind"] = "kill"
    made_up.end = 60.0
    made_up.play["settings"]["max_lost"] = None
    made_up.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")
    made_up.change(1.0, "Observer", "EndpointSlice", "INTERRUPTED", message="ProtocolError")
    made_up.endpoints(31.0, site_c="ready", site_d="ready", site_x="ready", site_y="ready")


def test_what_changed_while_the_observer_was_away_has_no_instant(made_up: Any) -> None:
    cut_off(made_up)
    made_up.changes[-1]["relisted"] = True
    found = made_up.content()
    assert found["clocks_s"] == dict.fromkeys(("address", "endpoints", "capacity", "stale_flows"))
    assert found["clocks_between_s"] == {
        "address": None,
        "endpoints": [1.0, 31.0],
        "capacity": [1.0, 31.0],
        "stale_flows": None,
    }
    assert found["clock_reasons"]["endpoints"] == (
        "between +1.0\u00a0s and +31.0\u00a0s: the observer was cut off from the cluster meanwhile"
    )
    assert found["measurement"]["not_observed"] == [
        {
            "kind": "EndpointSlice",
            "began": "2026-11-23T19:00:01.000000Z",
            "ended": "2026-11-23T19:00:31.000000Z",
        }
    ]
    assert words.not_observed(found) == (
        "the observer was cut off from the cluster (EndpointSlice from 19:00:01.0 to 19:00:31.0); what "
        "changed meanwhile is known by its end"
    )


@pytest.mark.parametrize(("last", "known"), [(29.0, False), (20.0, True)])
def test_a_watch_that_goes_on_from_where_it_was_tells_late_what_it_missed(
    made_up: Any, last: float, known: bool
) -> None:
    cut_off(made_up)
    made_up.change(last, "Observer", "EndpointSlice", "INTERRUPTED", message="ProtocolError")
    found = made_up.content()
    assert found["clocks_s"]["endpoints"] == (31.0 if known else None)
    assert found["measurement"]["not_observed"][0]["began"] == "2026-11-23T19:00:01.000000Z"


def test_what_comes_at_once_after_a_cut_is_of_its_end_though_nothing_was_listed_anew(made_up: Any) -> None:
    made_up.observed_kill()
    made_up.change(4.0, "Observer", "EndpointSlice", "INTERRUPTED", message="ProtocolError")
    found = made_up.content()
    assert found["clocks_s"]["endpoints"] is None
    assert found["clocks_between_s"]["endpoints"] == [4.0, 6.0]
    assert found["measurement"]["not_observed"][0]["ended"] == "2026-11-23T19:00:06.000000Z"


def test_an_observer_that_never_came_back(made_up: Any) -> None:
    cut_off(made_up)
    made_up.changes.pop()
    assert made_up.content()["measurement"]["not_observed"][0]["ended"] is None
    assert str(words.not_observed(made_up.content())).startswith(
        "the observer was cut off from the cluster (EndpointSlice from 19:00:01.0 on)"
    )


def test_of_another_kind_it_says_nothing_of_this_one(made_up: Any) -> None:
    made_up.observed_kill()
    made_up.change(1.0, "Observer", "Lease", "INTERRUPTED", message="ProtocolError")
    assert made_up.content()["clocks_s"]["endpoints"] == 6.0


def test_the_address_is_known_by_this_machine_s_kernel_all_the_same(made_up: Any) -> None:
    made_up.observed_kill()
    made_up.change(1.0, "Observer", "ServiceL2Status", "INTERRUPTED", message="ProtocolError")
    for at, node, more in ((-20, "lab-m02", {}), (5.0, "lab", {"relisted": True})):
        made_up.change(at, "ServiceL2Status", "l2-1", service="site", node=node, **more)
    assert made_up.content()["clocks_s"]["address"] is None
    assert made_up.content()["clocks_between_s"]["address"] == [1.0, 5.0]
    for at, node in ((-19.0, "lab-m02"), (4.0, "lab")):
        made_up.change(at, "Neighbour", "192.168.49.100", node=node)
    assert made_up.content()["clocks_s"]["address"] == 4.0


# Figures


def test_who_got_no_answer_is_among_the_percentiles(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.play["settings"]["max_lost"] = None
    made_up.lose(-20.0, 40.0, "read_timeout", every=2, took=5.0)
    found = made_up.content()
    assert found["latency_ms"]["p99"] < 10
    assert found["latency_with_lost_ms"] == {
        "p50": pytest.approx(1, abs=1),
        "p90": 5000,
        "p99": 5000,
        "max": 5000,
    }
    assert "99% 5.00\u00a0s, longest 5.00\u00a0s or more" in "\n".join(told(made_up, monkeypatch))
    assert "99% 5.00\u00a0s, longest 5.00\u00a0s or more" in page(made_up, monkeypatch)
    suite = ET.parse(made_up.directory / "junit.xml")  # noqa: S314  our own file
    figures = {entry.get("name"): entry.get("value") for entry in suite.iter("property")}
    assert (figures["with_lost_p99_ms"], figures["answered_p99_ms"]) == (
        "5000.0",
        str(found["latency_ms"]["p99"]),
    )


def test_who_is_refused_at_once_is_not_the_quickest(made_up: Any) -> None:
    made_up.lose(-20.0, 40.0, "refused", every=2, took=0.0001)
    found = made_up.content()
    assert found["latency_with_lost_ms"]["p90"] == found["latency_ms"]["max"]


def test_without_a_loss_both_are_the_same(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made_up.content()
    assert found["latency_with_lost_ms"] == found["latency_ms"]
    assert "With the lost" not in page(made_up, monkeypatch)


def test_a_server_that_keeps_no_connection_open(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.differ = lambda _due, kind, number: (
        {"prior": 0, "port": 20000 + number} if kind == "reused" else {}
    )
    found = made_up.content()
    assert list(found["requests"]["by_connection"]) == ["new"]
    assert found["kept_connections"] == {
        "count": 600,
        "requests_each": 1,
        "lived_s": pytest.approx(0.001, abs=1e-3),
    }
    says = "the server keeps no connection open: each of 600 was closed after its first request"
    assert says in "\n".join(told(made_up, monkeypatch))
    assert says in page(made_up, monkeypatch)


def test_how_long_the_kept_connections_lived(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.rate = 0.001
    seen: dict[int, int] = {}

    def differ(_due: float, kind: str, number: int) -> dict[str, Any]:
        port = 20000 + number % 10
        seen[port] = seen.get(port, -1) + 1
        return {"prior": seen[port] % 4, "port": port} if kind == "reused" else {}

    made_up.differ = differ
    found = made_up.content()
    # Each of ten is used once a second, and closed after the fourth request.
    assert found["kept_connections"] == {
        "count": 150,
        "requests_each": 4,
        "lived_s": pytest.approx(3.0, abs=0.1),
    }
    by_connection = found["requests"]["by_connection"]
    assert (by_connection["new"]["total"], by_connection["reused"]["total"]) == (150, 450)
    seen.clear()
    assert "the middle one lived 3.00\u00a0s and served 4 requests" in page(made_up, monkeypatch)


def test_the_share_of_a_flaky_endpoint_is_within_its_interval() -> None:
    chance, inside, asked = random.Random(7), [], 2000  # noqa: S311  repeatable, not secret
    for _ in range(300):
        ends = (Outcome.REFUSED if chance.random() < 0.0015 else Outcome.OK for _ in range(asked))
        rows = [
            Record(n, "new", n / 100, n, n, n, end, None, "", "", None, 0, 0.0, None, "")
            for n, end in enumerate(ends)
        ]
        failed = [row for row in rows if row.failed]
        if len(failed) > 1:
            evidence = Evidence(Cluster(), Fault(None, Target(), None), Rows.of(rows), {})
            share = causes._share(Group(failed, {}, failed[0].due), evidence)
            assert share is not None
            inside.append(share["low_95"] <= 0.0015 <= share["high_95"])
    assert len(inside) > 200
    assert sum(inside) / len(inside) >= 0.95


# Verdicts and words


def test_what_was_not_asked_is_skipped(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.play, made_up.marks = None, []
    told(made_up, monkeypatch)
    suite = ET.parse(made_up.directory / "junit.xml").getroot()[0]  # noqa: S314  our own file
    skipped = [case.get("name") for case in suite.iter("testcase") if case.find("skipped") is not None]
    assert skipped == [
        "run finished",
        "replacements answered",
        "pods spread",
        "steady before",
        "steady after",
    ]
    assert (suite.get("tests"), suite.get("skipped"), suite.get("failures")) == ("7", "5", "0")
    assert made_up.content()["verdict"]["checks"] == {
        "measured": [],
        "requests answered": [],
        **dict.fromkeys(skipped),
    }


def test_whatever_may_be_lost_is_no_question(made_up: Any) -> None:
    made_up.play["settings"]["max_lost"] = None
    assert made_up.content()["verdict"]["checks"]["requests answered"] is None
    made_up.play["settings"]["max_slowest_ms"] = 500
    assert made_up.content()["verdict"]["checks"]["requests answered"] == []


def test_a_pass_with_losses_says_by_which_rule(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.lose(8.0, 8.1)
    made_up.play["settings"]["max_lost"] = 12
    assert "Passed by its rule: 12 requests may be lost (witness_max_lost)" in told(made_up, monkeypatch)
    made_up.play["settings"]["max_lost"] = None
    says = "Passed by its rule: however many requests are lost to the fault, 10 here, they are counted"
    assert any(line.startswith(says) for line in told(made_up, monkeypatch))
    assert says in (made_up.directory / "junit.xml").read_text(encoding="utf-8")
    assert says in page(made_up, monkeypatch)
    made_up.play["settings"]["max_lost"] = 0
    assert words.rule(made_up.content()) is None


def test_degraded_time_stands_beside_the_outage(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.observed_kill()
    made_up.play["settings"]["max_lost"] = None
    made_up.lose(0.0, 2.5, "connect_timeout", took=3.0)
    made_up.lose(2.5, 20.0, "connect_timeout", every=2, took=3.0)
    lines = told(made_up, monkeypatch)
    assert (
        "; for 20.0\u00a0s in all some failed, and for 2.52\u00a0s at most nothing got through." in lines[0]
    )
    assert lines[2].endswith("; some requests failed for 20.0\u00a0s in all; longest outage 2.52\u00a0s")
    assert "some requests failed for</dt><dd>20.0\u00a0s" in page(made_up, monkeypatch)


def test_a_run_in_which_nothing_was_broken_is_not_begun(
    made_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up.marks = [(-2.0, "steady_before"), (39.0, "aborted")]
    lines = told(made_up, monkeypatch)
    assert lines[0] == (
        "Not begun: Draining lab-m02 was not begun; without any fault, none of 6\u202f600 requests were lost."
    )
    assert "Not begun" in page(made_up, monkeypatch)


@pytest.mark.parametrize(("kind", "says"), [("drain", True), ("kill", False), ("pod", False), (None, True)])
def test_the_bound_says_nothing_of_a_sudden_fault(
    made_up: Any, monkeypatch: pytest.MonkeyPatch, kind: str | None, says: bool
) -> None:
    if kind is None:
        made_up.play, made_up.marks = None, []
    else:
        made_up.play["fault"]["kind"] = kind
    assert any("less often than" in line for line in told(made_up, monkeypatch)) is says
    text = page(made_up, monkeypatch)
    assert ("chance of a loss is below" in text, "Chance of a loss" in text) == (says, says)


def test_the_axis_counts_from_what_there_was(made_up: Any) -> None:
    def axis() -> str:
        return series.span(build.build(load.load(made_up.write())), 100).title

    assert axis() == "seconds after the fault"
    made_up.play, made_up.marks = None, []
    (made_up.directory / "run.json").unlink()
    assert axis() == "seconds after the first request"


def test_only_what_was_asked_is_spoken_of(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no request with a new connection got through" in page(made_up, monkeypatch)
    made_up.rate = 0.0
    monkeypatch.setattr(made_up, "record", lambda: _reused(made_up))
    made_up.differ = lambda *_: {}
    assert "An outage is time in which no request got through" in page(made_up, monkeypatch)


def _reused(made_up: Any) -> tuple[list[str], bytes]:
    rows = [made_up.request(-20 + i / 10, "reused", i + 1) for i in range(600)]
    return rows, gzip.compress(("\n".join([records.HEADER, *rows]) + "\n").encode())


def test_an_instant_of_another_day_has_its_date() -> None:
    assert html._time("2026-11-23", "2026-11-23T23:59:59.123456Z") == "23:59:59.123"
    assert html._time("2026-11-23", "2026-11-24T00:00:01.123456Z") == "11-24 00:00:01.123"


def test_replacements_are_on_the_timeline_however_many_pods_there_are(made_up: Any) -> None:
    made_up.rate = 50.0
    made_up.differ = lambda _due, _kind, n: {"pod": f"site-{n % 60:04}", "node": "lab"} if n % 3 else {}
    report = build.build(load.load(made_up.write()))
    shown = series.pods_in_order(report)
    assert len(shown) == 40
    assert {"site-a", "site-b", "site-x", "site-y"} <= set(shown)
    assert shown[-2:] == ["site-x", "site-y"]
    assert len(series.pods(report)) > 40
    titles = [chart["title"]["text"] for chart in charts.timeline_spec(report, charts.SIZES[0])["vconcat"]]
    left = len(series.pods(report)) - 40
    assert f"Answers by pod, over its state ({left} more pods are not shown)" in titles


# Texts of other programs


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mboom\x1b[0m", "boom"),
        ("\x9b1mboom", "boom"),
        ("\x1b]0;title\x07boom", "boom"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("a\x00b\x85c\x7fd", "a\ufffdb\ufffdc\ufffdd"),
        ("no \ufffe\uffff", "no \ufffd\ufffd"),
        ("Ünïcode \U0001f600", "Ünïcode \U0001f600"),
    ],
)
def test_control_characters_reach_nobody(
    made_up: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, shown: str
) -> None:
    assert texts.plain({"k": [text, 1, None]}) == {"k": [shown, 1, None]}
    made_up.play["errors"] = [f"tool: {text}"]
    made_up.play["lab"]["profile"] = text
    made_up.marks.append((39.0, "aborted", {"reason": text}))
    lines = told(made_up, monkeypatch)
    assert f"Why not: tool: {shown}" in lines
    assert f"Why not: the run was aborted: {shown}" in lines
    junit = ET.parse(made_up.directory / "junit.xml")  # noqa: S314  our own file
    assert f"tool: {shown}" in str(next(junit.iter("failure")).text)
    assert capsys.readouterr().out == ""
