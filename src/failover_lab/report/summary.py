"""The verdict in about five lines, for the terminal."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from failover_lab.faults import kinds
from failover_lab.probe.ports import TRACKED_S
from failover_lab.report import words
from failover_lab.run.counts import commonest
from failover_lab.run.layout import Run

if TYPE_CHECKING:
    from pathlib import Path


_TROUBLES = (("outage_s", "longest"), ("degraded_s", "total"))


def lines(report: dict[str, Any], directory: Path) -> list[str]:
    """The summary; every reason not to pass is among them."""
    requests, latency = report["requests"], report["latency_ms"]
    result = [f"{words.heading(report)}: {words.sentence(report)}"]
    if requests["total"]:
        by_connection = ", ".join(
            f"{kind} {counts['failed']} of {words.number(counts['total'])}"
            for kind, counts in requests["by_connection"].items()
        )
        bound = words.bound(requests["lost_upper_bound_95"])
        less = f"; a request is lost less often than {bound} (95%)" if words.bound_counts(report) else ""
        result.append(f"Lost by connection: {by_connection}{less}")
        median, most, slowest = (words.milliseconds(latency[name]) for name in ("p50", "p99", "max"))
        outage, degraded = (words.seconds(report[key][of]) for key, of in _TROUBLES)
        some = f"; some requests failed for {degraded} in all" if requests["failed"] else ""
        result.append(
            f"Answer times: median {median}, 99% {most}, slowest {slowest}{some}; longest outage {outage}"
        )
        result += filter(None, [words.waited(report)])
    replacements = report["replacements"]
    if replacements:
        answered = [r for r in replacements if r["first_answer_at"] is not None]
        last = max((r["first_answer_s"] for r in answered if r["first_answer_s"] is not None), default=None)
        result.append(
            f"Replacements: {len(answered)} of {len(replacements)} answered"
            + (f", the last one first after {words.seconds(last)}" if last is not None else "")
        )
    clocks = {name: took for name, took in report["clocks_s"].items() if took is not None}
    kind = kinds.of(report["fault"]["kind"])
    if clocks and (kind.takes_node or kind.in_place):
        told = [f"{words.CLOCKS[name]} {words.seconds(took)}" for name, took in clocks.items()]
        if report["operator_s"] is not None:
            told.append(f"of it the operator {words.seconds(report['operator_s'])}")
        result.append(f"After the fault: {', '.join(told)}")
    result += words.control_plane(report)
    result += words.zone(report)
    causes = collections.Counter[str]()
    for group in report["failures"]:
        causes[group["cause"]] += group["count"]
    if causes:
        result.append(f"Causes: {', '.join(f'{words.CAUSES[c]} {n}' for c, n in commonest(causes))}")
    result += filter(None, [words.rule(report)])
    result += [f"Mind: {said}" for said in filter(None, [words.closes(report), words.not_observed(report)])]
    result += words.trace(report)
    rest_s = report["measurement"]["port_rest_s"]
    if rest_s is not None and rest_s < TRACKED_S:
        result.append(
            f"Mind: source ports rested for {words.seconds(rest_s)} at least, and a connection may be "
            f"tracked on the way for {TRACKED_S:.0f} s; at a lower rate they rest longer"
        )
    result += [f"Mind: {trouble}" for trouble in report["measurement"].get("trouble", [])]
    result += [f"Not shown: {said}" for said in report["verdict"].get("unproven", [])]
    result += [f"Why not: {reason}" for reason in report["verdict"]["reasons"]]
    result.append(f"Report: {Run(directory).page}")
    return result
