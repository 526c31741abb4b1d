"""report.json, from a run's records, marks and events alone."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import functools
import heapq
import itertools
import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab import __version__
from failover_lab.report import (
    causes,
    clock_reasons,
    clocks,
    cluster,
    control_plane,
    groups,
    kept,
    ports,
    stats,
    traced,
    verdict,
    zone,
)
from failover_lab.report import fault as what
from failover_lab.report.by_trace import ByTrace
from failover_lab.report.rows import Rows, only
from failover_lab.run import instants, marks
from failover_lab.run.counts import commonest
from failover_lab.run.records import NEW, NOT_SEEN_BY_USERS, REUSED, Outcome, counted_as

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from failover_lab.report.fault import Fault
    from failover_lab.report.load import RunData
    from failover_lab.run.records import Record

_SLOWEST = 8
# By then what was to leave has ended.
_DRAINED = "drained"
#: How finely it is counted when requests were lost: by parts of a second.
PARTS = 4


@dataclass(frozen=True)
class Report:
    """The report and what it was made from, for the pictures.

    Attributes:
        lost: how many of the requests were lost that were due within a part of a second since 1970.
    """

    content: dict[str, Any]
    data: RunData
    cluster: cluster.Cluster
    fault: Fault
    trace: traced.Trace
    lost: collections.Counter[int]

    @property
    def zero(self) -> float:
        """What instants are counted from: the fault or, without any, the first request, which has to be."""
        return self.data.records[0].due if self.fault.at is None else self.fault.at


def _text(at: float | None) -> str | None:
    return None if at is None else instants.text(at)


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def _counts(records: Rows, kinds: Collection[str] = (NEW, REUSED)) -> dict[str, Any]:
    total = records.count(lambda r: groups.connection(r) in kinds and counted_as(r.outcome) is not None)
    failed = records.count(lambda r: groups.connection(r) in kinds and r.failed)
    return {"total": total, "failed": failed, "lost_upper_bound_95": stats.upper_bound_95(failed, total)}


def _requests(records: Rows) -> dict[str, Any]:
    errors = collections.Counter(
        {str(outcome): records.count(lambda r, o=outcome: r.outcome is o) for outcome in Outcome}  # type: ignore[misc]
    )
    # Whatever it was meant to be: who opened a connection for its request had none to use again.
    kinds = [kind for kind in (NEW, REUSED) if any(groups.connection(r) == kind for r in records.said)]
    return {
        **_counts(records),
        "errors": {name: n for name, n in commonest(errors) if n and name != Outcome.OK},
        "by_connection": {kind: _counts(records, [kind]) for kind in kinds},
        "began": _text(records[0].due if records else None),
        "ended": _text(records.ended),
    }


def _took_ms(records: Rows, wanted: list[bool]) -> Iterator[Iterable[float]]:
    for sorts, dues, dones in records.columns("said", "due", "done"):
        yield map((1000.0).__mul__, only(map(operator.sub, dones, dues), sorts, wanted))


def _latencies(records: Rows) -> dict[str, dict[str, float | None]]:
    """Of the answered; and of all that users saw the end of: who got no answer waited until he was given up.

    No lost request counts as quicker than an answer, such as one that was refused at once.
    """
    good = [record.outcome is Outcome.OK for record in records.said]
    failed = [record.failed for record in records.said]
    answered = stats.Ranked(lambda: _took_ms(records, good))
    lost = stats.Ranked(lambda: _took_ms(records, failed))
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    count = len(answered)
    of_answered = {name: stats.place(share, count) for name, share in shares.items()}
    of_all = {name: stats.place(share, count + len(lost)) for name, share in shares.items()}
    values = answered.at({*of_answered.values(), *of_all.values(), count - 1})
    slowest = values.get(count - 1, 0.0)
    beyond = lost.at({place - count for place in of_all.values()})
    values |= {count + place: max(value, slowest) for place, value in beyond.items()}
    return {
        "latency_ms": {
            name: _rounded(values[place]) if count else None for name, place in of_answered.items()
        },
        "latency_with_lost_ms": {name: _rounded(values.get(place)) for name, place in of_all.items()},
    }


def _spans(spans: list[tuple[float, float]], *, measured: bool) -> dict[str, float | None]:
    if not measured:
        return {"longest": None, "total": None}
    lengths = [end - begin for begin, end in spans]
    return {"longest": round(max(lengths, default=0.0), 3), "total": round(sum(lengths), 3)}


def _turning(records: Rows, kind: str) -> Iterator[tuple[float, bool]]:
    """When requests of a kind were due, and whether they failed: those that did, and the first after them.

    Of the others some: in a row of good ones those between the first and the last change nothing.
    """
    mine = [record.kind == kind and record.outcome not in NOT_SEEN_BY_USERS for record in records.said]
    lost = [record.failed for record in records.said]
    for sorts, dues in records.columns("said", "due"):
        failed = list(only(map(lost.__getitem__, sorts), sorts, mine))
        asked = list(zip(only(dues, sorts, mine), failed, strict=True))
        yield from itertools.compress(asked, map(operator.or_, failed, [True, *failed]))
        yield from asked[-1:]


def _troubles(data: RunData) -> dict[str, Any]:
    """Outage and degradation: of the new connections where there are any, they come at the finer interval."""
    kind = NEW if data.about.get("new_rate") else REUSED
    rate = data.about.get("new_rate") or data.about.get("reused_rate") or 1.0
    outages = stats.outages(_turning(data.records, kind), 1.0 / rate)
    lost = data.records.where(lambda r: r.failed)
    degraded = stats.merge((r.due, r.due + 1.0 / rate) for r in lost)
    measured = data.records.count(lambda r: r.outcome not in NOT_SEEN_BY_USERS) > 0
    return {
        "outage_s": _spans(outages, measured=measured),
        "degraded_s": _spans(degraded, measured=measured),
    }


def _since(entry: dict[str, Any], data: RunData, seen: cluster.Cluster) -> float:
    """From when on an answer under its name is a replacement's own: a StatefulSet's has the old one's."""
    fault_at = data.mark(marks.FAULT_BEGIN) or -math.inf
    lives = [life for life in seen.lives if life.name == entry["pod"]]
    mine = next((life for life in lives if life.uid == entry["uid"]), None)
    if mine is not None and len(lives) > 1:
        return mine.seen
    others = [life.gone for life in lives if life is not mine and life.gone is not None]
    displaced = {old["pod"] for old in (data.play or {}).get("displaced") or []}
    if entry["pod"] in displaced and mine is None:
        # Nobody saw it come: as soon as the old one was gone for certain.
        return max([fault_at, *others, data.mark(_DRAINED) or fault_at])
    return fault_at


def _answers(records: Rows, since: dict[str, float]) -> tuple[dict[str, float], collections.Counter[str]]:
    """Of the requests that were due since an instant of each pod: its first answer, and how many it gave."""
    firsts: dict[str, float] = {}
    answered: collections.Counter[str] = collections.Counter()
    good = [record.outcome is Outcome.OK for record in records.said]
    mine = {
        pod: [ok and record.pod == pod for ok, record in zip(good, records.said, strict=True)]
        for pod in since
    }
    for sorts, dues, dones in records.columns("said", "due", "done") if since else ():
        earliest, counts = min(dones), collections.Counter(sorts)
        for pod, begin in since.items():
            at = bisect.bisect_left(dues, begin)
            there = collections.Counter(sorts[at:]) if at else counts
            if count := sum(n for sort, n in there.items() if mine[pod][sort]):
                answered[pod] += count
                first = firsts.get(pod, math.inf)
                if earliest < first:
                    firsts[pod] = min(first, *only(dones[at:], sorts[at:], mine[pod]))
    return firsts, answered


def _replacements(data: RunData, fault: Fault, seen: cluster.Cluster) -> list[dict[str, Any]]:
    result = []
    replacements = (data.play or {}).get("replacements") or []
    since = {entry["pod"]: _since(entry, data, seen) for entry in replacements}
    firsts, answered = _answers(data.records, since)
    for entry in replacements:
        first = firsts.get(entry["pod"])
        result.append(
            {
                "pod": entry["pod"],
                "uid": entry["uid"],
                "node": entry.get("node"),
                "first_answer_s": None if first is None or fault.at is None else round(first - fault.at, 3),
                "first_answer_at": _text(first),
                "answers": answered[entry["pod"]],
            }
        )
    return result


def _placement(pods: dict[str, str] | None, nodes: list[str]) -> dict[str, Any]:
    if pods is None:
        return {"pods": {}, "nodes": {}}
    counts = collections.Counter(pods.values())
    names = [*nodes, *sorted(set(counts) - set(nodes))]
    return {"pods": dict(sorted(pods.items())), "nodes": {name: counts[name] for name in names}}


def _slowest(records: Rows) -> list[Record]:
    """The slowest good answers, the slowest first."""
    good = [record.outcome is Outcome.OK for record in records.said]
    found: list[tuple[float, int]] = []
    before = 0
    for sorts, dues, dones in records.columns("said", "due", "done"):
        took = list(map(operator.sub, dones, dues))
        if len(found) < _SLOWEST or max(only(took, sorts, good), default=-math.inf) > found[-1][0]:
            these = only(zip(took, itertools.count(before), strict=False), sorts, good)
            found = heapq.nlargest(_SLOWEST, [*found, *these], key=operator.itemgetter(0))
        before += len(took)
    return [records[index] for _, index in found]


def _told(slowest: list[Record], port_rests: dict[int, float]) -> list[dict[str, Any]]:
    return [
        {
            "due": instants.text(r.due),
            "latency_ms": round(r.latency_ms, 3),
            "late_ms": r.late_ms,
            "connect_ms": None
            if r.connected is None
            else round((r.connected - r.due) * 1000.0 - r.late_ms, 3),
            "connection_kind": r.kind,
            "pod": r.pod,
            "node": r.node,
            "local_port": r.local_port,
            "port_rest_s": _rounded(port_rests.get(r.number)),
            "retransmits": r.retransmits,
        }
        for r in slowest
    ]


def _struck(play: dict[str, Any]) -> dict[str, Any]:
    """The pods whose containers had to start again, where there are any."""
    found = [{"node": None, **entry} for entry in play.get("struck") or []]
    return {"struck": found} if found else {}


def build(data: RunData) -> Report:
    """Put the report together."""
    play = data.play or {}
    lab = play.get("lab") or {}
    told = play.get("fault") or {}
    nodes: list[str] = lab.get("nodes") or []
    fault = what.of(data)
    seen = cluster.read(data.changes)
    again = clocks.served_again(data, seen, fault)
    if fault.what.in_place:
        pods = frozenset(entry["pod"] for entry in play.get("struck") or [])
        fault = dataclasses.replace(fault, struck=pods, again=again)
    if fault.what.comes_back and again is not None:
        # The mark comes later: the run looks only once everything else is well.
        fault = dataclasses.replace(fault, back=again)
    trace, records = traced.follow(
        data.directory,
        data.records,
        seen,
        nodes or sorted(seen.node_states),
        functools.partial(Rows.of, directory=data.directory),
    )
    data = dataclasses.replace(
        data, probes=[dataclasses.replace(data.probes[0], records=records), *data.probes[1:]]
    )
    slowest = _slowest(data.records)
    lost, when = set(), collections.Counter[int]()
    for record in data.records.where(lambda record: record.failed):
        lost.add(record.number)
        when[math.floor(record.due * PARTS)] += 1
    least_rest_s, port_rests = ports.rests(data.records, lost | {record.number for record in slowest})
    by_trace = ByTrace(trace, seen, fault)
    explained = [
        (group, description | by_trace.described(group.records))
        for group, description in causes.explain(data.records, seen, fault, port_rests, by_trace)
    ]
    replacements = _replacements(data, fault, seen)
    spread = play.get("spread") or {}
    failures = [(group, description["cause"]) for group, description in explained]
    judged = verdict.judge(data, replacements, seen, failures)
    between_s = clocks.between(data, seen, fault)
    measured_s = clocks.known(clocks.measured(data, seen, fault, failures), between_s)
    predicted_s = dict.fromkeys(clocks.CLOCKS) | (play.get("predicted_s") or {})
    content = {
        "schema_version": 1,
        "version": __version__,
        "address": play.get("address") or data.about.get("url"),
        "lab": {
            "profile": lab.get("profile"),
            "nodes": nodes,
            "kubernetes": lab.get("kubernetes"),
            "minikube": lab.get("minikube"),
        },
        "fault": {
            "kind": fault.kind,
            "node": fault.target.name or None,
            "nodes": list(fault.target.nodes),
            "announcer": told.get("announcer"),
            "injected_at": _text(fault.at),
            "healed_at": _text(data.mark(marks.HEALED)),
        },
        "requests": _requests(data.records),
        **_latencies(data.records),
        "kept_connections": kept.connections(data.records),
        **_troubles(data),
        "clocks_s": measured_s,
        "clocks_between_s": between_s,
        "predicted_s": predicted_s,
        "clock_reasons": clock_reasons.reasons(
            clock_reasons.Run(measured_s, predicted_s, data, seen, fault, failures, between_s)
        ),
        "control_plane": control_plane.described(data, fault),
        "zone": zone.described(data, seen, fault),
        "operator_s": clocks.operator_s(data),
        "displaced": [{"node": None, **entry} for entry in play.get("displaced") or []],
        **_struck(play),
        "replacements": replacements,
        "spread": {
            **_placement(spread.get("after"), nodes),
            "before": _placement(spread.get("before"), nodes),
        },
        "failures": [description for _, description in explained],
        "slowest": _told(slowest, port_rests),
        "measurement": {
            "ok": not judged.checks["measured"],
            "late_ms": verdict.lateness(data.records),
            "scheduling": data.about.get("scheduling"),
            "new_rate": data.about.get("new_rate") or None,
            "reused_rate": data.about.get("reused_rate") or None,
            "port_rest_s": _rounded(least_rest_s),
            "whole_record": data.whole,
            **({"trouble": data.trouble} if data.trouble else {}),
            "cluster_observed": bool(data.changes),
            "not_observed": [
                {"kind": gap.kind, "began": _text(gap.begin), "ended": _text(gap.end)} for gap in seen.gaps
            ],
        },
        "trace": traced.described(
            trace, *by_trace.account(record for group, _ in explained for record in group.records)
        ),
        "steady": {"before": judged.steady_before, "after": judged.steady_after},
        "verdict": {
            "passed": judged.passed,
            "measured": not judged.checks["measured"],
            "aborted": judged.aborted,
            "max_lost": data.settings["max_lost"],
            "reasons": judged.reasons,
            "unproven": list(judged.unproven),
            "checks": judged.checks,
        },
    }
    return Report(content, data, seen, fault, trace, when)
