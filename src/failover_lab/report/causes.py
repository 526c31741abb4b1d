"""Why requests failed, as far as the evidence goes."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from failover_lab.report import groups, stats
from failover_lab.report.evidence import WATCH_S, Evidence
from failover_lab.report.rules import REFUSES, Finding, candidates
from failover_lab.run import instants
from failover_lab.run.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from failover_lab.report.by_trace import ByTrace
    from failover_lab.report.cluster import Cluster
    from failover_lab.report.fault import Fault
    from failover_lab.report.groups import Group
    from failover_lab.report.rows import Rows
    from failover_lab.run.records import Record

# Failures beside a stop that a flaky endpoint alone would cause more often than this are put down to it.
_BY_CHANCE = 0.01


def explain(
    records: Rows,
    cluster: Cluster,
    fault: Fault,
    port_rests: Mapping[int, float],
    by_trace: ByTrace,
) -> list[tuple[Group, dict[str, Any]]]:
    """Every failure's group, and how report.json describes it.

    Args:
        records: all, in the order of their due times.
        cluster: as the observer saw it.
        fault: what was done.
        port_rests: as from ``ports.rests``.
        by_trace: what the nodes' kernels say of a request; where they do, nothing is guessed.
    """
    evidence = Evidence(cluster, fault, records, port_rests)

    def situation(record: Record, pod: str) -> Hashable:
        told = by_trace.told(record)
        # Of what is certain, nothing else needs to be so.
        return told, None if told.cause else evidence.situation(record, by_trace.pod(record) or pod)

    certain, guessed = [], []
    for group in map(by_trace.with_pods, groups.find(records, situation)):
        sure = by_trace.finding(group)
        if sure is not None:
            certain.append((group, sure))
        else:
            guessed.append((group, by_trace.guess(group, evidence)))
    found = _joined(certain) + _joined(_by_a_flaky_endpoint(_joined(guessed), evidence))
    refusing = groups.merge([group for group, finding in found if finding.cause == REFUSES])
    described = [
        (group, _describe(group, finding, None, fault))
        for group, finding in found
        if finding.cause != REFUSES
    ]
    for group in refusing:
        share = _share(group, evidence)
        described.append(
            (group, _describe(group, Finding(REFUSES, _refusal(group, share, evidence)), share, fault))
        )
    return sorted(described, key=lambda entry: entry[0].began)


def _joined(found: list[tuple[Group, Finding]]) -> list[tuple[Group, Finding]]:
    """One group again of those that were only parted to be looked at one by one, and have the same cause."""
    result: list[tuple[Group, Finding]] = []
    last: dict[tuple[str, str, bool, str, str | float], int] = {}
    for group, finding in found:
        key = (group.kind, group.first.outcome, group.at_work, finding.cause, finding.thing)
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
        (group.kind, group.first.outcome): group
        for group in groups.merge([group for group, finding in found if finding.cause == REFUSES])
        if len(group.records) > 2
    }
    result = []
    for group, finding in found:
        same = flaky.get((group.kind, group.first.outcome))
        if same is not None and finding.cause in {"shutdown_race", "not_serving_yet"}:
            often = _how_often(same, group, evidence)
            asked = evidence.requests(group.kind, group.began - WATCH_S, group.last_due + WATCH_S)
            if stats.at_least(len(group.records), asked, often) > _BY_CHANCE:
                result.append((group, Finding(REFUSES, "")))
                continue
        result.append((group, finding))
    return result


def _how_often(same: Group, group: Group, evidence: Evidence) -> float:
    """How large a part a flaky endpoint refused from its first refusal to its last, and as far as a group.

    What it refused for a moment, long before or after, it would not have gone on refusing.
    """
    begin, end = min(same.began, group.began), max(same.last_due, group.last_due)
    kind = same.kind
    others = evidence.requests(kind, begin, end) - evidence.requests(kind, group.began, group.last_due)
    return len(same.records) / max(others, len(same.records))


def _share(group: Group, evidence: Evidence) -> dict[str, Any] | None:
    """How often, from the first failure to the last: of one pod's requests if it is known, else of all.

    Nobody knows for how long before and after it would have refused, and a time that begins and ends with a
    failure makes few of them look like many. So the lower bound takes it for flaky all the time, the upper
    for no longer than it was seen to be.
    """
    failed = len(group.records)
    if failed < 2:
        return None
    kind, begin, end = group.kind, group.began, group.last_due
    pod = next(iter(group.pods)) if len(group.pods) == 1 else None
    asked = evidence.requests(kind, begin, end)
    if pod is not None:
        asked = failed + evidence.answers(kind, pod, begin, end)
    always = evidence.requests(kind, -math.inf, math.inf)
    if pod is not None:
        always = failed + evidence.answers(kind, pod, -math.inf, math.inf)
    low, _ = stats.interval_95(failed, max(asked, always))
    _, high = stats.interval_95(failed, asked)
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
        "connection_kind": group.kind,
        "cause": finding.cause,
        "evidence": finding.evidence,
        "pods": group.pods,
        "share": share,
    }
