"""report.json, from a run's records, marks and events alone."""

from __future__ import annotations

import collections
import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab import __version__
from failover_lab.report import (
    causes,
    clock_reasons,
    clocks,
    cluster,
    groups,
    kept,
    ports,
    stats,
    traced,
    verdict,
)
from failover_lab.report.by_trace import ByTrace
from failover_lab.report.fault import Fault
from failover_lab.run import instants, marks
from failover_lab.run.records import NEW, NOT_SEEN_BY_USERS, REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.report.load import RunData
    from failover_lab.run.records import Record

_SLOWEST = 8
# By then what was to leave has ended.
_DRAINED = "drained"


@dataclass(frozen=True)
class Report:
    """The report and what it was made from, for the pictures."""

    content: dict[str, Any]
    data: RunData
    cluster: cluster.Cluster
    fault: Fault


def _text(at: float | None) -> str | None:
    return None if at is None else instants.text(at)


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def _counts(records: list[Record]) -> dict[str, Any]:
    seen = [record for record in records if record.outcome not in NOT_SEEN_BY_USERS]
    failed = sum(record.failed for record in seen)
    return {
        "total": len(seen),
        "failed": failed,
        "lost_upper_bound_95": stats.upper_bound_95(failed, len(seen)),
    }


def _requests(records: list[Record]) -> dict[str, Any]:
    errors = collections.Counter(str(r.outcome) for r in records if r.outcome is not Outcome.OK)
    # Whatever it was meant to be: who opened a connection for its request had none to use again.
    by_kind = {kind: [r for r in records if groups.connection(r) == kind] for kind in (NEW, REUSED)}
    return {
        **_counts(records),
        "errors": dict(errors.most_common()),
        "by_connection": {kind: _counts(members) for kind, members in by_kind.items() if members},
        "began": _text(records[0].due if records else None),
        "ended": _text(max((r.done for r in records), default=None)),
    }


def _latency(records: list[Record]) -> dict[str, float | None]:
    ordered = sorted(r.latency_ms for r in records if r.outcome is Outcome.OK)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: _rounded(stats.percentile(ordered, share)) for name, share in shares.items()}


def _latency_with_lost(records: list[Record]) -> dict[str, float | None]:
    """The same of all that users saw the end of: whoever got no answer waited at least until he was given up.

    No lost request counts as quicker than an answer, such as one that was refused at once.
    """
    seen = [r for r in records if r.outcome not in NOT_SEEN_BY_USERS]
    slowest = max((r.latency_ms for r in seen if not r.failed), default=0.0)
    ordered = sorted(max(r.latency_ms, slowest) if r.failed else r.latency_ms for r in seen)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: _rounded(stats.percentile(ordered, share)) for name, share in shares.items()}


def _spans(spans: list[tuple[float, float]], *, measured: bool) -> dict[str, float | None]:
    if not measured:
        return {"longest": None, "total": None}
    lengths = [end - begin for begin, end in spans]
    return {"longest": round(max(lengths, default=0.0), 3), "total": round(sum(lengths), 3)}


def _troubles(data: RunData) -> dict[str, Any]:
    """Outage and degradation: of the new connections where there are any, they come at the finer interval."""
    kind = NEW if data.about.get("new_rate") else REUSED
    rate = data.about.get("new_rate") or data.about.get("reused_rate") or 1.0
    seen = [r for r in data.records if r.outcome not in NOT_SEEN_BY_USERS]
    outages = stats.outages([(r.due, r.failed) for r in seen if r.kind == kind], 1.0 / rate)
    degraded = stats.merge((r.due, r.due + 1.0 / rate) for r in seen if r.failed)
    return {
        "outage_s": _spans(outages, measured=bool(seen)),
        "degraded_s": _spans(degraded, measured=bool(seen)),
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


def _replacements(data: RunData, fault: Fault, seen: cluster.Cluster) -> list[dict[str, Any]]:
    result = []
    for entry in (data.play or {}).get("replacements") or []:
        since = _since(entry, data, seen)
        answers = [
            r.done
            for r in data.records
            if r.outcome is Outcome.OK and r.pod == entry["pod"] and r.due >= since
        ]
        first = min(answers, default=None)
        result.append(
            {
                "pod": entry["pod"],
                "uid": entry["uid"],
                "node": entry.get("node"),
                "first_answer_s": None if first is None or fault.at is None else round(first - fault.at, 3),
                "first_answer_at": _text(first),
                "answers": len(answers),
            }
        )
    return result


def _placement(pods: dict[str, str] | None, nodes: list[str]) -> dict[str, Any]:
    if pods is None:
        return {"pods": {}, "nodes": {}}
    counts = collections.Counter(pods.values())
    names = [*nodes, *sorted(set(counts) - set(nodes))]
    return {"pods": dict(sorted(pods.items())), "nodes": {name: counts[name] for name in names}}


def _slowest(records: list[Record], port_rests: dict[int, float]) -> list[dict[str, Any]]:
    answered = [r for r in records if r.outcome is Outcome.OK]
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
        for r in sorted(answered, key=lambda r: -r.latency_ms)[:_SLOWEST]
    ]


def build(data: RunData) -> Report:
    """Put the report together."""
    play = data.play or {}
    lab = play.get("lab") or {}
    told = play.get("fault") or {}
    nodes: list[str] = lab.get("nodes") or []
    # The instant at which it struck; where nobody could tell that, when it was begun.
    struck = data.mark(marks.INJECTED) or data.mark(marks.FAULT_BEGIN)
    fault = Fault(told.get("kind"), told.get("node"), struck, data.mark(marks.RETURNED))
    seen = cluster.read(data.changes)
    trace, records = traced.follow(data.directory, data.records, seen, nodes or sorted(seen.node_states))
    data = dataclasses.replace(
        data, probes=[dataclasses.replace(data.probes[0], records=records), *data.probes[1:]]
    )
    by_trace = ByTrace(trace, seen, fault)
    port_rests = ports.rests(data.records)
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
            "node": fault.node,
            "announcer": told.get("announcer"),
            "injected_at": _text(fault.at),
            "healed_at": _text(data.mark(marks.HEALED)),
        },
        "requests": _requests(data.records),
        "latency_ms": _latency(data.records),
        "latency_with_lost_ms": _latency_with_lost(data.records),
        "kept_connections": kept.connections(data.records),
        **_troubles(data),
        "clocks_s": measured_s,
        "clocks_between_s": between_s,
        "predicted_s": predicted_s,
        "clock_reasons": clock_reasons.reasons(
            clock_reasons.Run(measured_s, predicted_s, data, seen, fault, failures, between_s)
        ),
        "operator_s": clocks.operator_s(data),
        "displaced": [{"node": None, **entry} for entry in play.get("displaced") or []],
        "replacements": replacements,
        "spread": {
            **_placement(spread.get("after"), nodes),
            "before": _placement(spread.get("before"), nodes),
        },
        "failures": [description for _, description in explained],
        "slowest": _slowest(data.records, port_rests),
        "measurement": {
            "ok": not judged.checks["measured"],
            "late_ms": verdict.lateness(data.records),
            "scheduling": data.about.get("scheduling"),
            "new_rate": data.about.get("new_rate") or None,
            "reused_rate": data.about.get("reused_rate") or None,
            "port_rest_s": _rounded(min(port_rests.values(), default=None)),
            "whole_record": data.whole,
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
            "checks": judged.checks,
        },
    }
    return Report(content, data, seen, fault)
