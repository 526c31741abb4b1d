"""How to repeat a run, what to try next, and of what its clocks were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.faults import kinds
from failover_lab.report import words
from failover_lab.run import marks

if TYPE_CHECKING:
    from failover_lab.report.build import Report

_DETECTION = "cluster_failure_detection"
_TOLERATION = "site_toleration_s"


@dataclass(frozen=True)
class Part:
    """A part of the time that a recovery took.

    Attributes:
        seconds: how long it took.
        what: happened meanwhile.
        setting: that would change it; empty: none.
    """

    seconds: float
    what: str
    setting: str = ""


def recovery(report: Report) -> str:
    """Who gave the lost node's work away, by what was marked."""
    events = {mark.event for mark in report.data.marks}
    if marks.OPERATOR_CALLED in events:
        return "manual"
    return "watchdog" if any(event.startswith("watchdog_") for event in events) else "automatic"


def command(report: Report) -> str:
    """What is typed to have the same again."""
    lab, fault = report.content["lab"], report.content["fault"]
    who = recovery(report)
    given = {
        "lab_profile": lab["profile"] if lab["profile"] not in {None, "failover-lab"} else None,
        "fault_kind": fault["kind"],
        "fault_node": fault["node"],
        "fault_recovery": who if who != "automatic" else None,
    }
    return " ".join(
        ["ansible-playbook failover.yml", *(f"-e {name}={value}" for name, value in given.items() if value)]
    )


def suggestions(report: Report) -> list[tuple[str, str]]:
    """What to try next, each with what it shows."""
    kind, who = kinds.of(report.content["fault"]["kind"]), recovery(report)
    if not kind.name:
        return []
    base = "ansible-playbook failover.yml"
    if kind.evicts:
        return [
            (
                f"{base} -e fault_kind={kinds.first(lambda other: other.loses_node)}",
                "the same node, without a word",
            ),
            (
                f"{base} -e fault_kind={kind.name} -e fault_node=announcer",
                "the node that announces the address",
            ),
        ]
    result = []
    if who != "watchdog" and "watchdog" in kind.recoveries:
        words_of_it = "the lab's watchdog gives the node's work away within seconds"
        result.append((f"{base} -e fault_kind={kind.name} -e fault_recovery=watchdog", words_of_it))
    if kind.loses_node:
        fast = f"ansible-playbook setup.yml -e {_DETECTION}=fast"
        result.append((fast, "a dead node is noticed after some 5 seconds; then this run again"))
    polite = kinds.first(lambda other: other.evicts)
    result.append((f"{base} -e fault_kind={polite}", "the polite way, which should lose nothing"))
    return result


def parts(report: Report) -> list[Part]:
    """Of what the time until all replicas were ready again was made, in that order; empty: nobody knows."""
    fault, seen, data = report.fault, report.cluster, report.data
    took = report.content["clocks_s"]["capacity"]
    if fault.at is None or took is None:
        return []
    whole = fault.at + took
    names = {entry["pod"] for entry in (data.play or {}).get("replacements") or []}
    made = [life.seen for life in seen.lives if life.name in names and fault.at <= life.seen <= whole]
    found_dead = [seen.lost(node, fault.at) for node in fault.target.nodes]
    lost = max((at for at in found_dead if at is not None and at <= whole), default=None)
    if not made:
        return []
    last = max(made)
    steps: list[tuple[float, str, str]] = []
    if lost is not None and lost <= min(made) and recovery(report) == "automatic":
        steps.append((lost, "until the node was found dead", _DETECTION))
        steps.append(
            (
                last,
                "until its pods were given away",
                f"{_TOLERATION}; fault_recovery=watchdog does it at once",
            )
        )
    else:
        steps.append((last, "until the last replacement was made", ""))
    steps.append((whole, "until it was ready", ""))
    found, before = [], fault.at
    for at, what, setting in steps:
        found.append(Part(round(at - before, 3), what, setting))
        before = at
    return found


def composed(report: Report) -> str:
    """The same as a sum; empty: nobody knows."""
    found = parts(report)
    if not found:
        return ""
    told = (
        f"{words.seconds(part.seconds)} {part.what}" + (f" ({part.setting})" if part.setting else "")
        for part in found
    )
    return " + ".join(told)


def share(count: int, content: dict[str, Any]) -> str:
    """How large a part of all lost requests this is."""
    whole = content["requests"]["failed"]
    part = count / whole if whole else 0.0
    return "under 1%" if part < 0.01 else f"{part:.0%}"
