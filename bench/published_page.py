"""docs/published.md: what others have published, beside the same measured here; what was not is not on it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from failover_lab.report.stats import upper_bound_95

NOTHING = "\u2013"
PARTS = ("reaction", "repair", "recovery", "outage")
# arXiv 1901.04946, one replica, Kubernetes' own settings, in seconds. Their node's process is killed with it.
THEIRS: dict[str, tuple[float, float, float, float]] = {
    "process": (0.716, 0.472, 1.050, 1.766),
    "sandbox": (0.496, 32.570, 31.523, 32.019),
    "kill": (38.19, 262.5, 262.7, 300.9),
}
WORDS = {"process": "application's process", "sandbox": "pod's sandbox process", "kill": "node"}


@dataclass(frozen=True)
class Way:
    """How the lab is set for that table: what it is called there, `cluster_failure_detection`, replicas."""

    words: str
    detection: str
    replicas: int


WAYS = {
    "default": Way("Kubernetes' own settings", "default", 1),
    "fast": Way("`fast`", "fast", 1),
    "four": Way("`fast`, four replicas", "fast", 4),
}
# What the words mean, and why the figures here are what they are.
NOTES = (
    "Reaction: until no endpoint leads to what was lost. Repair: from then until all replicas are ready.",
    "Recovery: from then until users are answered again. Outage: as long as no answer came, which need",
    "not begin with the loss; an answer that came late ends it, and does not shorten it.",
    "",
    "- The process: the kubelet looks each second, takes the pod out of the list, and starts the",
    "  container again; the pod is in the list once more as soon as a probe, each second, finds it",
    "  started. Connections that were begun meanwhile are tried again by the client's kernel, a second",
    "  later.",
    "- The sandbox: the kubelet stops the pod's containers, which serve on for the 5 s of",
    "  `site_prestop_s`: the outage begins as the reaction ends.",
    "- The node, with Kubernetes' own settings: it is held for lost after 50 s, which were 40 s then; the",
    "  300 s until its pods are replaced count from there, and then counted from the node's last sign of",
    "  life. [The clocks](explanation/clocks.md) tell more.",
)
ROLLOUT_THEIRS = {"failed": 28, "total": 388}
# By others' own account, in seconds; each stands beside the clock that it is to be compared with.
FIGURES = (
    ("a remediation operator (medik8s), until a node is unhealthy", "300", "endpoints"),
    ("the same, until its reboot is taken for granted", "180", "endpoints"),
    ("kube-vip, until the address has moved", "about 3", "address"),
    ("Cilium, until the address has moved", "10 to 20", "address"),
)
# By the heading of what goes by them.
SOURCES = {
    "## One replica, and four": (
        "Vayghan et al., *Kubernetes as an Availability Manager* (2018), arXiv 1901.04946",
    ),
    "## A rolling update": (
        "Kubernetes, issue 132161: a rolling update under load, of which 95% have to be answered",
    ),
    "## Figures that are cited": (
        "medik8s, the defaults of NodeHealthCheck and of SelfNodeRemediation",
        "kube-vip and Cilium, their documentation of a lost leader's lease",
    ),
}


def median(values: Iterable[float | None]) -> float | None:
    """Of those that are there."""
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def _s(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g} s"


def told(run: dict[str, Any]) -> str:
    """A run in a line."""
    parts = ", ".join(f"{name} {_s(value)}" for name, value in run["parts"].items())
    return f"{parts}; {run['requests']['failed']} lost"


def _of(runs: list[dict[str, Any]], table: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run["table"] == table:
            found.setdefault(run["cell"], []).append(run)
    return found


def _vayghan_page(runs: list[dict[str, Any]]) -> list[str]:
    lines = ["## One replica, and four", "", f"| what is lost | whose | runs | {' | '.join(PARTS)} |"]
    lines += ["|---|---|---|---|---|---|---|"]
    found = _of(runs, "vayghan")
    for kind, theirs in THEIRS.items():
        mine = {way.words: rows for name, way in WAYS.items() if (rows := found.get(f"{name} {kind}"))}
        if not mine:
            continue
        lines.append(f"| {WORDS[kind]} | theirs | 10 | {' | '.join(f'{value:g} s' for value in theirs)} |")
        for words, rows in mine.items():
            values = (_s(median(row["parts"][part] for row in rows)) for part in PARTS)
            lines.append(f"| {WORDS[kind]} | here, {words} | {len(rows)} | {' | '.join(values)} |")
    return [*lines, "", *NOTES, ""] if len(lines) > 4 else []


def _rollout_page(runs: list[dict[str, Any]]) -> list[str]:
    rows = _of(runs, "rollout").get("rollout", [])
    if not rows:
        return []
    failed, total = (sum(row["requests"][key] for row in rows) for key in ("failed", "total"))
    bound = upper_bound_95(failed, total) or 1.0
    theirs = ROLLOUT_THEIRS
    return [
        "## A rolling update",
        "",
        "| whose | runs | lost | at most (95%) |",
        "|---|---|---|---|",
        f"| theirs | 1 | {theirs['failed']} of {theirs['total']} | {NOTHING} |",
        f"| here | {len(rows)} | {failed} of {total} | 1 in {1 / bound:,.0f} |",
        "",
    ]


def _policy_page(runs: list[dict[str, Any]]) -> list[str]:
    found = _of(runs, "policy")
    if not found:
        return []
    lines = [
        "## Traffic policies",
        "",
        "The node that announces the address is lost, at 200 requests a second.",
        "",
        "| policy | rules | fault | recovery | runs | lost | outage | address | endpoints | capacity |",
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for cell, rows in found.items():
        lost = statistics.median(row["requests"]["failed"] for row in rows)
        outage = _s(median(row["parts"]["outage"] for row in rows))
        clocks = (
            _s(median(row["clocks_s"][name] for row in rows)) for name in ("address", "endpoints", "capacity")
        )
        words = " | ".join(cell.split())
        lines.append(f"| {words} | {len(rows)} | {lost:g} | {outage} | {' | '.join(clocks)} |")
    return [*lines, ""]


def _figures_page(runs: list[dict[str, Any]]) -> list[str]:
    kills = _of(runs, "policy").get("Cluster iptables kill fast", [])
    if not kills:
        return []
    lines = ["## Figures that are cited", "", "| whose | theirs | here, with `fast` |", "|---|---|---|"]
    for whose, theirs, clock in FIGURES:
        here = _s(median(run["clocks_s"][clock] for run in kills))
        lines.append(f"| {whose} | {theirs} s | {clock}: {here} |")
    return [*lines, ""]


def page(runs: list[dict[str, Any]]) -> str:
    """The whole page; a table of which nothing was measured is not on it."""
    versions = ", ".join(sorted({run["kubernetes"] for run in runs}))
    tables = [*_vayghan_page(runs), *_rollout_page(runs), *_policy_page(runs), *_figures_page(runs)]
    sources = [source for heading, named in SOURCES.items() if heading in tables for source in named]
    lines = [
        "# Others' tables, and the same measured here",
        "",
        f"Made by `make published`, {len(runs)} runs on Kubernetes {versions}; medians. Each run is kept in",
        "[published.json](published.json), from which an interrupted measurement goes on.",
        "",
        *tables,
        *(["## Sources", "", *(f"- {source}" for source in sources)] if sources else []),
    ]
    return "\n".join(lines) + "\n"
