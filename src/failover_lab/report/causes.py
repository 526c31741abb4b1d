"""Why requests failed, as far as the evidence goes."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from failover_lab.report import groups, stats
from failover_lab.report.evidence import WATCH_S, Evidence
from failover_lab.report.rules import REFUSED, REFUSES, candidates
from failover_lab.run import instants
from failover_lab.run.records import Outcome

if TYPE_CHECKING:
    from failover_lab.report.by_trace import ByTrace
    from failover_lab.report.cluster import Cluster
    from failover_lab.report.evidence import Fault
    from failover_lab.report.groups import Group
    from failover_lab.report.rules import Finding
    from failover_lab.run.records import Record

# Failures beside a stop that a flaky endpoint alone would cause more often than this are put down to it.
_BY_CHANCE = 0.01


def explain(
    records: list[Record], cluster: Cluster, fault: Fault, by_trace: ByTrace
) -> list[tuple[Group, dict[str, Any]]]:
    """Every failure's group, and how report.json describes it.

    Args:
        records: all, in the order of their due times.
        cluster: as the observer saw it.
        fault: what was done.
        by_trace: what the nodes' kernels say of a request; where they do, nothing is guessed.
    """
    evidence = Evidence(cluster, fault, records)
    # What a flaky endpoint refuses goes on and on; what came beside a stop is looked at by itself.
    parts = groups.find(
        records,
        lambda record: (
            by_trace.told(record),
            record.outcome in REFUSED and bool(evidence.stops(record.kind, record.due)),
        ),
    )
    parts = [by_trace.with_pods(group) for group in parts]
    certain = [(group, sure) for group in parts if (sure := by_trace.finding(group)) is not None]
    known = {id(group) for group, _ in certain}
    guessed = [(group, by_trace.guess(group, evidence)) for group in parts if id(group) not in known]
    found = certain + _by_a_flaky_endpoint(guessed, evidence)
    found = _joined(found)
    refusing = groups.merge([group for group, (cause, _) in found if cause == REFUSES])
    described = [
        (group, _describe(group, finding, None, fault)) for group, finding in found if finding[0] != REFUSES
    ]
    for group in refusing:
        share = _share(group, evidence)
        described.append((group, _describe(group, (REFUSES, _refusal(group, share, evidence)), share, fault)))
    return sorted(described, key=lambda entry: entry[0].began)


def _joined(found: list[tuple[Group, Finding]]) -> list[tuple[Group, Finding]]:
    """One group again of those that were only parted to be looked at one by one, and have the same cause."""
    result: list[tuple[Group, Finding]] = []
    last: dict[tuple[str, str, bool, str], int] = {}
    for group, finding in found:
        key = (group.first.kind, group.first.outcome, group.at_work, finding[0])
        before = last.get(key)
        if before is not None and group.began - result[before][0].last_due <= groups.GAP_S:
            result[before] = (groups.one([result[before][0], group]), result[before][1])
        else:
            last[key] = len(result)
            result.append((group, finding))
    return result


def _by_a_flaky_endpoint(
    found: list[tuple[Group, Finding]], evidence: Evidence
) -> list[tuple[Group, Finding]]:
    """Put down to a flaky endpoint what it would have caused anyway, while something else was going on."""
    flaky = {
        (group.first.kind, group.first.outcome): group
        for group in groups.merge([group for group, (cause, _) in found if cause == REFUSES])
        if len(group.records) > 2
    }
    result = []
    for group, finding in found:
        same = flaky.get((group.first.kind, group.first.outcome))
        if same is not None and finding[0] in {"shutdown_race", "not_serving_yet"}:
            often = _how_often(same, group, evidence)
            asked = evidence.requests(group.first.kind, group.began - WATCH_S, group.last_due + WATCH_S)
            if stats.at_least(len(group.records), asked, often) > _BY_CHANCE:
                result.append((group, (REFUSES, "")))
                continue
        result.append((group, finding))
    return result


def _how_often(same: Group, group: Group, evidence: Evidence) -> float:
    """How large a part a flaky endpoint refused from its first refusal to its last, and as far as a group.

    What it refused for a moment, long before or after, it would not have gone on refusing.
    """
    begin, end = min(same.began, group.began), max(same.last_due, group.last_due)
    kind = same.first.kind
    others = evidence.requests(kind, begin, end) - evidence.requests(kind, group.began, group.last_due)
    return len(same.records) / max(others, len(same.records))


def _share(group: Group, evidence: Evidence) -> dict[str, Any] | None:
    """How often, from the first failure to the last: of one pod's requests if it is known, else of all."""
    failed = len(group.records)
    if failed < 2:
        return None
    kind, begin, end = group.first.kind, group.began, group.last_due
    pod = next(iter(group.pods)) if len(group.pods) == 1 else None
    asked = evidence.requests(kind, begin, end)
    if pod is not None:
        asked = failed + evidence.answers(kind, pod, begin, end)
    low, high = stats.interval_95(failed, asked)
    return {"pod": pod, "requests": asked, "value": failed / asked, "low_95": low, "high_95": high}


def _refusal(group: Group, share: dict[str, Any] | None, evidence: Evidence) -> str:
    pods = candidates(group, evidence)
    who = pods[0] if len(pods) == 1 else f"one of {', '.join(pods)}"
    did = "refused" if group.first.outcome is Outcome.REFUSED else "hung up"
    often = ""
    if share is not None:
        its = "" if share["pod"] is None else "its "
        often = f" {_percent(share, 1)} of {its}{share['requests']} requests"
        if len(pods) > 1:
            serving = round(statistics.mean(len(evidence.listed(record.due)) for record in group.records))
            often += f", which is {_percent(share, serving)} of its own if all get the same"
    return f"{who} {did}{often}, while counted as ready and not being stopped"


def _percent(share: dict[str, Any], times: int) -> str:
    value, low, high = (min(1.0, times * share[name]) for name in ("value", "low_95", "high_95"))
    return f"{value:.2%} (95%: {low:.2%} to {high:.2%})"


def _describe(group: Group, finding: Finding, share: dict[str, Any] | None, fault: Fault) -> dict[str, Any]:
    return {
        "began": instants.text(group.began),
        "ended": instants.text(group.ended),
        "after_fault_s": None if fault.at is None else round(group.began - fault.at, 3),
        "count": len(group.records),
        "outcome": str(group.first.outcome),
        "connection_kind": group.first.kind,
        "cause": finding[0],
        "evidence": finding[1],
        "pods": group.pods,
        "share": share,
    }
