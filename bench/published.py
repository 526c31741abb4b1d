"""The tables that others have published, measured here: ``make published`` writes docs/published.md.

Three of them, each run by run into ``results.json`` and at the end into docs/published.json, so that an
interrupted measurement goes on where it was: what an application of one replica suffers as its process, its
sandbox or its node is lost (Vayghan et al.); how many requests a rolling update costs (Kubernetes' own test);
what a traffic policy costs in a drain and in a kill, by who gives the node's work away. What was not measured
is not on the page.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.bench import ROOT, Bench
from bench.records import silences_s

from failover_lab.kube.names import MANAGED_BY, PRIMARY
from failover_lab.report.stats import upper_bound_95

PROFILE = "failover-lab-published"
KEPT = "published.json"
NOTHING = "\u2013"
PARTS = ("reaction", "repair", "recovery", "outage")
# arXiv 1901.04946, one replica, Kubernetes' own settings, in seconds. Their node's process is killed with it.
THEIRS: dict[str, tuple[float, float, float, float]] = {
    "process": (0.716, 0.472, 1.050, 1.766),
    "sandbox": (0.496, 32.570, 31.523, 32.019),
    "kill": (38.19, 262.5, 262.7, 300.9),
}
WORDS = {"process": "application's process", "sandbox": "pod's sandbox process", "kill": "node"}
ROLLOUT_THEIRS = {"failed": 28, "total": 388}
# At 220 requests a second, more than 24,000 in each run.
ROLLOUT_S = 120
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


@dataclass(frozen=True)
class Cell:
    """One cell of a table: how the lab is set, what is done, and how often.

    Attributes:
        table: which one.
        name: of the cell in it.
        setup: settings of setup.yml.
        fault: settings of failover.yml.
        runs: of it.
        replicas: of the site; of a single one, the lab itself would not set it up.
        anew: whether the pods are made anew before each run, and so spread anew; one whose container has
            ended before would wait.
    """

    table: str
    name: str
    setup: dict[str, Any]
    fault: dict[str, Any]
    runs: int
    replicas: int = 4
    anew: bool = False


def vayghan(runs: int) -> Iterator[Cell]:
    """One replica with Kubernetes' own settings, then with ``fast``, then four replicas."""
    ways = {
        "default": ("default", 1),
        "fast": ("fast", 1),
        "four": ("fast", 4),
    }
    for way, (detection, replicas) in ways.items():
        setup = {"cluster_failure_detection": detection}
        for kind in THEIRS:
            fault = {"fault_kind": kind}
            yield Cell("vayghan", f"{way} {kind}", setup, fault, runs, replicas, anew=kind != "kill")


def rollouts(runs: int) -> Iterator[Cell]:
    """As many requests as it takes for a bound that says something."""
    fault = {"fault_kind": "rollout", "witness_duration": ROLLOUT_S}
    yield Cell("rollout", "rollout", {}, fault, runs)


def policies(runs: int) -> Iterator[Cell]:
    """Each traffic policy and way to write rules, as the node that announces the address is lost."""
    ways: tuple[tuple[str, str, str], ...] = (
        ("Cluster", "default", "iptables"),
        ("Cluster", "fast", "iptables"),
        ("Cluster", "fast", "nftables"),
        ("Local", "default", "iptables"),
        ("Local", "fast", "iptables"),
    )
    for policy, detection, mode in ways:
        settings = {
            "site_external_traffic_policy": policy,
            "cluster_failure_detection": detection,
            "cluster_kube_proxy_mode": mode,
        }
        # Nobody has to find out that a node is being drained, nor has the watchdog to wait for Kubernetes.
        losses = [("drain", "automatic", detection), ("kill", "automatic", detection)]
        if detection == "default":
            losses.append(("kill", "watchdog", "watchdog"))
        for kind, recovery, way in losses:
            fault = {"fault_kind": kind, "fault_node": "announcer", "fault_recovery": recovery}
            # Of a node that was drained the pods stay away, and the next run could not take it.
            yield Cell("policy", f"{policy} {mode} {kind} {way}", settings, fault, runs, anew=True)


def cells(ten: int, three: int) -> list[Cell]:
    """All of them, those of one setting one after the other."""
    return [*vayghan(ten), *rollouts(three), *policies(three)]


def parts(report: dict[str, Any], silences: list[tuple[float, float]]) -> dict[str, float | None]:
    """A run in the words of that table.

    Reaction: until the cluster knows, which is when the list of endpoints is clean. Repair: from then until
    all pods are ready. Recovery: from then until users are answered again. Outage: as long as nobody was; it
    need not begin with the fault.
    """
    reaction, whole = report["clocks_s"]["endpoints"], report["clocks_s"]["capacity"]
    again = max((end for _, end in silences), default=0.0)
    return {
        "reaction": reaction,
        "repair": None if reaction is None or whole is None else round(whole - reaction, 3),
        "recovery": None if reaction is None else round(max(0.0, again - reaction), 3),
        "outage": round(sum(end - begin for begin, end in silences), 3),
    }


def kept(
    cell: Cell, number: int, report: dict[str, Any], silences: list[tuple[float, float]]
) -> dict[str, Any]:
    """What is kept of a run."""
    return {
        "table": cell.table,
        "cell": cell.name,
        "run": number,
        "kubernetes": report["lab"]["kubernetes"],
        "parts": parts(report, silences),
        "silences_s": silences,
        "clocks_s": report["clocks_s"],
        "predicted_s": report["predicted_s"],
        "requests": {key: report["requests"][key] for key in ("failed", "total")},
        "passed": report["verdict"]["passed"],
        "reasons": report["verdict"]["reasons"],
    }


def median(values: Iterable[float | None]) -> float | None:
    """Of those that are there."""
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def _s(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g} s"


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
        mine = {cell: rows for cell, rows in found.items() if cell.endswith(f" {kind}")}
        if not mine:
            continue
        lines.append(f"| {WORDS[kind]} | theirs | 10 | {' | '.join(f'{value:g} s' for value in theirs)} |")
        for cell, rows in mine.items():
            values = (_s(median(row["parts"][part] for row in rows)) for part in PARTS)
            lines.append(f"| {WORDS[kind]} | here, {cell.split()[0]} | {len(rows)} | {' | '.join(values)} |")
    return [*lines, ""] if len(lines) > 4 else []


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
        "| policy | rules | fault | recovery | runs | lost | address | endpoints | capacity |",
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for cell, rows in found.items():
        share = [100 * row["requests"]["failed"] / max(1, row["requests"]["total"]) for row in rows]
        clocks = (
            _s(median(row["clocks_s"][name] for row in rows)) for name in ("address", "endpoints", "capacity")
        )
        words = " | ".join(cell.split())
        lines.append(f"| {words} | {len(rows)} | {statistics.median(share):.2g}% | {' | '.join(clocks)} |")
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


def made_anew(bench: Bench, replicas: int) -> None:
    """So many pods, none of whose containers has ended before.

    The lab refuses to take the only pod of its own site, and takes the only one of an application as it is:
    without its label the site is one. Such a pod has its place on a worker, of which each run takes one. What
    is changed here setup.yml undoes.
    """
    alone = {
        "metadata": {"labels": {MANAGED_BY: None}},
        "spec": {"template": {"spec": {"nodeSelector": {PRIMARY: "false"}}}},
    }
    if replicas == 1:
        bench.kubectl("patch", "deployment/site", "--namespace=site", f"--patch={json.dumps(alone)}")
    bench.kubectl("scale", f"--replicas={replicas}", "deployment/site", "--namespace=site")
    bench.kubectl("rollout", "restart", "deployment/site", "--namespace=site")
    bench.kubectl("rollout", "status", "deployment/site", "--namespace=site", "--timeout=300s")


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "reports" / "published", help="default: %(default)s"
    )
    parser.add_argument("--ten", type=int, default=10, help="runs of a cell of the first table (%(default)s)")
    parser.add_argument("--three", type=int, default=3, help="runs of a cell of the others (%(default)s)")
    parser.add_argument("--tables", nargs="*", choices=["vayghan", "rollout", "policy"], help="default: all")
    parser.add_argument("--page", action="store_true", help="only write the page again, from what is kept")
    return parser.parse_args()


def main() -> int:
    """Measure what is not there yet, and write the page; 0 if each run was measured."""
    options = arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    results = options.folder / "results.json"
    # What was measured on another machine counts as well.
    known = next((path for path in (results, ROOT / "docs" / KEPT) if path.exists()), None)
    runs: list[dict[str, Any]] = [] if known is None else json.loads(known.read_text("utf-8"))
    every = cells(options.ten, options.three)
    wanted = [cell for cell in every if not options.tables or cell.table in options.tables]
    last: tuple[dict[str, Any], int]
    bench, last = Bench(options.folder, PROFILE), ({}, 0)
    try:
        for cell in [] if options.page else wanted:
            done = sum((run["table"], run["cell"]) == (cell.table, cell.name) for run in runs)
            for number in range(done + 1, cell.runs + 1):
                if last != (cell.setup, cell.replicas):
                    bench.play("setup", **cell.setup)
                    last = (cell.setup, cell.replicas)
                    made_anew(bench, cell.replicas)
                elif cell.anew:
                    made_anew(bench, cell.replicas)
                folder, report = bench.failover(cell.name, witness_connections="new", **cell.fault)
                run = kept(cell, number, report, silences_s(folder, report))
                runs.append(run)
                results.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
                told = ", ".join(f"{name} {_s(value)}" for name, value in run["parts"].items())
                print(f"{cell.name} {number}: {told}; {run['requests']['failed']} lost", flush=True)
    finally:
        if not options.page:
            bench.play("teardown", may_fail=True)
    if runs:
        (ROOT / "docs" / "published.md").write_text(page(runs), encoding="utf-8")
        (ROOT / "docs" / KEPT).write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
