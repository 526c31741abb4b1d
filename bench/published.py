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
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.bench import ROOT, Bench
from bench.published_page import THEIRS, WAYS, page, told
from bench.records import silences_s

from failover_lab.kube.names import MANAGED_BY, PRIMARY

PROFILE = "failover-lab-published"
KEPT = "published.json"
# At 220 requests a second, more than 24,000 in each run.
ROLLOUT_S = 120


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
    """Four replicas with ``fast``, one with it, and one without, which takes longest."""
    for name, way in reversed(WAYS.items()):
        setup = {"cluster_failure_detection": way.detection}
        for kind in THEIRS:
            fault = {"fault_kind": kind}
            yield Cell("vayghan", f"{name} {kind}", setup, fault, runs, way.replicas, anew=kind != "kill")


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
                print(f"{cell.name} {number}: {told(run)}", flush=True)
    finally:
        if not options.page:
            bench.play("teardown", may_fail=True)
    if runs:
        (ROOT / "docs" / "published.md").write_text(page(runs), encoding="utf-8")
        (ROOT / "docs" / KEPT).write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
