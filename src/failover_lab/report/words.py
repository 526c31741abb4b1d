"""The report's sentences, the same in the terminal and on the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from failover_lab.faults import kinds, target
from failover_lab.run.records import REUSED

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTCOMES = {
    "ok": "answered",
    "refused": "refused",
    "unreachable": "unreachable",
    "reset": "reset",
    "connect_timeout": "no connection in time",
    "tls": "no agreement on TLS",
    "read_timeout": "no answer in time",
    "closed_early": "closed before the answer",
    "wrong_status": "wrong status",
    "wrong_body": "wrong content",
    "unfinished": "unfinished",
    "probe_error": "the probe's own error",
}
CAUSES = {
    "address_moved": "the address moved",
    "bad_answer": "a bad answer",
    "endpoint_dead": "a dead endpoint",
    "endpoint_refuses": "a flaky endpoint",
    "killed_in_place": "a pod that was killed and started again",
    "no_endpoint": "no endpoint",
    "not_received": "an address that led nowhere",
    "not_serving_yet": "a pod not serving yet",
    "packet_loss": "packets that were dropped",
    "shutdown_race": "a shutdown race",
    "slow_node": "a slow node",
    "stale_flow": "a stale tracked connection",
    "stale_reused_connection": "a stale reused connection",
    "ungraceful_stop": "a stop that was not graceful",
    "unexplained": "unexplained",
}
MARKS = {
    "steady_before": "steady",
    "fault_begin": "the fault begins",
    "injected": "it strikes",
    "returned": "the node is back",
    "healed": "put right",
    "steady_after": "steady again",
    "operator_called": "the operator is called",
    "operator_done": "the operator is done",
}
CLOCKS = {
    "address": "address moved",
    "endpoints": "endpoints clean",
    "capacity": "all replicas ready",
    "stale_flows": "last stale flow",
}


def number(value: float) -> str:
    """A whole number with narrow spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them: ``a``, ``a and b``, ``a, b and c``."""
    *some, last = [*names] or [""]
    return f"{', '.join(some)} and {last}" if some else last


# As a Deployment calls its pods: its own name, that of a version of it, and of each one.
_OF_DEPLOYMENT = re.compile(r".+-[a-z0-9]{8,10}-([a-z0-9]{5})")


def short(pod: str) -> str:
    """A pod's name as people tell it from others of its Deployment; any other name as it is."""
    found = _OF_DEPLOYMENT.fullmatch(pod)
    return found[1] if found else pod


def short_node(node: str, profile: str | None) -> str:
    """A node's name without the lab's, which all of them have; the first one has no other."""
    return node.removeprefix(f"{profile}-") if profile else node


def many(count: int, what: str) -> str:
    """How many: ``1 pod``, ``2 pods``."""
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def mark(event: str) -> str:
    """What the play did, in plain words."""
    return MARKS.get(event, event.replace("_", " "))


def untraced(report: dict[str, Any]) -> str:
    """Why nothing is known by the trace; empty: something is."""
    found = report.get("trace")
    if found is None:
        return "the run was not traced"
    return "" if found["by"] else found["trouble"] or "no node was heard"


def trace(report: dict[str, Any]) -> list[str]:
    """What the trace is worth, in sentences without an end."""
    found = report.get("trace")
    if found is None:
        return []
    result = []
    lost, answers = found["lost"], found["answers"]
    whole = lost["evidence"] + lost["guess"]
    if whole:
        why = "; ".join(f"{reason}: {number(count)}" for reason, count in found["guessed_because"].items())
        guessed = f"; the causes of {number(lost['guess'])} are guessed ({why})" if lost["guess"] else ""
        known = f"{number(lost['evidence'])} of {number(whole)} lost requests"
        result.append(f"The nodes' kernels say where {known} went{guessed}")
    if answers["disagreements"]:
        first = answers["examples"][0]
        result.append(
            f"Mind: {number(answers['disagreements'])} of {number(answers['compared'])} answers name another "
            f"pod than the one to which the nodes' kernels sent the request; the first says {first['said']}, "
            f"and was sent to {first['sent_to']}"
        )
    if found["losses"]:
        nodes = listed(dict.fromkeys(loss["node"] for loss in found["losses"]))
        result.append(f"Mind: not all that the kernel of {nodes} said could be read in time")
    return result


def milliseconds(value: float | None) -> str:
    """A time of requests: ``1.2 ms``, ``340 ms``, ``1.01 s``."""
    if value is None:
        return "\u2013"
    if value >= 1000:
        return f"{value / 1000:.2f}\u00a0s"
    return f"{value:.0f}\u00a0ms" if value >= 10 else f"{value:.1f}\u00a0ms"


def seconds(value: float | None) -> str:
    """A span: ``0.7 ms``, ``0.02 s``, ``12.3 s``."""
    if value is None:
        return "\u2013"
    if value == 0:
        return "0\u00a0s"
    if value < 0.01:
        return milliseconds(value * 1000)
    return f"{value:.1f}\u00a0s" if value >= 10 else f"{value:.2f}\u00a0s"


def signed(value: float) -> str:
    """Seconds before or after: ``+3.5 s``, ``+86 395 s``."""
    size = abs(value)
    sign = "\u2212" if value < 0 else "+"
    return f"{sign}{number(size) if size >= 100 else f'{size:.1f}'}\u00a0s"


def bound(value: float | None) -> str:
    """A small probability as ``1 in 8 013``."""
    if value is None:
        return "\u2013"
    return f"1 in {number(1 / value)}" if value < 0.1 else f"{value:.0%}"


def zero(report: dict[str, Any]) -> str:
    """What the instants of the timeline are counted from."""
    return "the fault" if report["fault"]["injected_at"] else "the first request"


def is_begun(report: dict[str, Any]) -> bool:
    """Whether what was to be done to the cluster was done; so it is where nothing was to be done."""
    fault = report.get("fault") or {}
    return not fault.get("kind") or bool(fault.get("injected_at"))


def bound_counts(report: dict[str, Any]) -> bool:
    """Whether the bound on the chance of a loss says anything: of a sudden fault, how long it was."""
    kind = kinds.of(report["fault"]["kind"])
    return not kind.name or kind.polite or not is_begun(report)


def rule(report: dict[str, Any]) -> str | None:
    """By which rule a run in which requests were lost is a pass all the same; None: it needs none."""
    verdict, failed = report["verdict"], report["requests"]["failed"]
    if not (verdict["passed"] and failed):
        return None
    if verdict["max_lost"] is None:
        return (
            f"Passed by its rule: however many requests are lost to the fault, {number(failed)} here, they "
            "are counted and not forbidden (witness_max_lost sets a limit)"
        )
    return f"Passed by its rule: {number(verdict['max_lost'])} requests may be lost (witness_max_lost)"


def waited(report: dict[str, Any]) -> str | None:
    """The answer times with the lost among them; None: there are none."""
    if not report["requests"]["failed"]:
        return None
    latency = report["latency_with_lost_ms"]
    median, most, longest = (milliseconds(latency[name]) for name in ("p50", "p99", "max"))
    return (
        "With the lost among them, each counted until it was given up, and as no quicker than an answer: "
        f"median {median}, 99% {most}, longest {longest} or more"
    )


def closes(report: dict[str, Any]) -> str | None:
    """That connections which were to be kept open were not; None: they were, or there were none."""
    kept = report["kept_connections"]
    if kept is None or REUSED in report["requests"]["by_connection"]:
        return None
    return (
        f"the server keeps no connection open: each of {number(kept['count'])} was closed after its first "
        "request, so what becomes of reused connections was not measured"
    )


def not_observed(report: dict[str, Any]) -> str | None:
    """That the observer was cut off; None: it was not."""
    gaps = report["measurement"]["not_observed"]
    if not gaps:
        return None
    ends = ("on" if gap["ended"] is None else f"to {gap['ended'][11:21]}" for gap in gaps)
    told = ", ".join(f"{g['kind']} from {g['began'][11:21]} {end}" for g, end in zip(gaps, ends, strict=True))
    return f"the observer was cut off from the cluster ({told}); what changed meanwhile is known by its end"


def control_plane(report: dict[str, Any]) -> list[str]:
    """What became of the API and of those who lead; nothing where it was not looked at."""
    told = report.get("control_plane")
    if not told:
        return []
    lines = []
    asked = {"read": told["reads"], "written": told["writes"]}
    if all(asked.values()):
        ways = ", ".join(f"{done} {_again(of)}" for done, of in asked.items())
        lost = ", ".join(f"{number(of['failed'])} of {number(of['total'])}" for of in asked.values())
        lines.append(f"The cluster's API: {ways} (lost {lost})")
    if told["trouble"]:
        lines.append(f"The cluster's API was not measured to the end: {told['trouble']}")
    moved = [one for one in told["leaders"] if one["after"]]
    lines += [
        f"{one['program']}: {one['after']} leads since {seconds(one['taken_s'])} after the fault, before it "
        f"{one['before'] or 'nobody known'}"
        for one in moved
    ]
    return lines


def zone(report: dict[str, Any]) -> list[str]:
    """What became of a lost zone's pods; nothing where none was lost."""
    told = report.get("zone")
    if not told or not told["carried"]:
        return []
    line = f"{told['name']}: {many(len(told['carried']), 'pod')} had to fit on other nodes"
    if told["now_on"]:
        line += f", and what came in their place is on {listed(told['now_on'])}"
    times = {node: at for node, at in told["evicted_s"].items() if at is not None}
    if len(times) > 1:
        apart_s = max(times.values()) - min(times.values())
        line += f"; its nodes' pods were told to stop {seconds(apart_s)} apart"
        if told["eviction_wait_s"]:
            line += f" (Kubernetes by itself takes {seconds(told['eviction_wait_s'])} for so many nodes)"
    return [line]


def _again(asked: dict[str, Any]) -> str:
    back_s = asked["back_s"]
    if back_s is None:
        return "not again"
    return f"again after {seconds(back_s)}" if back_s else "all the time"


def heading(report: dict[str, Any]) -> str:
    """One or two words of verdict."""
    verdict = report["verdict"]
    # Where not even the requests had begun, the sentence says so.
    if not is_begun(report) and report["requests"]["total"]:
        return "Not begun"
    if verdict["aborted"]:
        return "Aborted"
    if not verdict["measured"]:
        return "Not measured"
    return "Passed" if verdict["passed"] else "Not passed"


def sentence(report: dict[str, Any]) -> str:
    """What happened to the users, in a sentence."""
    fault, requests = report["fault"], report["requests"]
    total, failed = requests["total"], requests["failed"]
    if not total:
        return "No request was recorded."
    kind = kinds.of(fault["kind"])
    deed = kind.says.format(node=str(target.of(fault)) or "a node")
    if not is_begun(report):
        lost = f"{number(failed)} of {number(total)}" if failed else f"none of {number(total)}"
        return f"{deed} was not begun; without any fault, {lost} requests were lost."
    if kind.evicts and fault["announcer"] in target.of(fault):
        deed += ", which announced the address,"
    lost = (
        f"lost none of {number(total)} requests"
        if not failed
        else f"lost {number(failed)} of {number(total)} requests"
    )
    tail = f"; the slowest answer took {milliseconds(report['latency_ms']['max'])}"
    outage, degraded = report["outage_s"]["longest"], report["degraded_s"]["total"]
    if failed and outage:
        tail = f"; for {seconds(outage)} at most nothing got through"
        if degraded > outage:
            tail = f"; for {seconds(degraded)} in all some failed, and{tail[1:]}"
    return f"{deed} {lost}{tail}."
