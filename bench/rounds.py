"""How many requests a drain costs: every node that may be drained, in turn, some rounds: ``make rounds``.

Each round starts from pods spread evenly. The bound says how often a request may be lost at most, with 95%
confidence, after so many without a loss. A round counts if enough was asked in it, and if one of its nodes
announced the address as it was drained.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.bench import PROFILE, Bench

from failover_lab.kube.names import CONTROL_PLANE, EXCLUDE
from failover_lab.report.stats import upper_bound_95

REQUESTS = 24_000
COLUMNS = f"{'node':26}{'announces':>10}{'new':>14}{'reused':>14}{'slowest':>10}{'sent again':>12}"


def workers(bench: Bench) -> list[str]:
    """The nodes that may be drained: all but the only control plane."""
    nodes = bench.kubectl("get", "nodes", f"--selector=!{CONTROL_PLANE}", "--output=name")
    return [line.removeprefix("node/") for line in nodes.split()]


def leave_the_address_to_workers(bench: Bench) -> None:
    """The control plane cannot be drained, so it must not announce; kubeadm marks it so as a rule."""
    bench.kubectl("label", "nodes", f"--selector={CONTROL_PLANE}", "--overwrite", f"{EXCLUDE}=")


def lacking(reports: list[dict[str, Any]]) -> list[str]:
    """Why a round does not count, in words; empty if it does."""
    reasons = []
    total = sum(report["requests"]["total"] for report in reports)
    if total < REQUESTS:
        reasons.append(f"{total} requests are too few, {REQUESTS} are wanted: a longer --duration makes more")
    faults = [report["fault"] for report in reports]
    if not any(fault["node"] == fault["announcer"] for fault in faults):
        others = ", ".join(sorted({str(fault["announcer"] or "nobody known") for fault in faults}))
        reasons.append(f"no node that was drained announced the address: {others} did")
    return reasons


def row(report: dict[str, Any]) -> str:
    """One drain in a line."""
    fault, kinds = report["fault"], report["requests"]["by_connection"]
    counts = [f"{kinds[kind]['failed']} of {kinds[kind]['total']}" for kind in ("new", "reused")]
    again = sum((slow["retransmits"] or 0) > 0 for slow in report["slowest"])
    slowest = f"{report['latency_ms']['max']:.0f} ms"
    announces = "yes" if fault["announcer"] == fault["node"] else "no"
    return f"{fault['node']:26}{announces:>10}{counts[0]:>14}{counts[1]:>14}{slowest:>10}{again:>12}"


def main() -> int:
    """Measure and print; 0 if every round counts, no request was lost and none was slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default %(default)s")
    parser.add_argument(
        "--duration", type=int, default=60, help="of each drain, in seconds (default %(default)s)"
    )
    parser.add_argument(
        "--slowest-ms", type=float, default=500.0, help="the slowest allowed (default %(default)s)"
    )
    options = parser.parse_args()
    well = True
    with tempfile.TemporaryDirectory(prefix="failover-lab-rounds-") as home:
        bench = Bench(Path(home))
        try:
            print(f"a lab of its own, {PROFILE} …", flush=True)
            bench.play("setup")
            leave_the_address_to_workers(bench)
            for number in range(1, options.rounds + 1):
                print(f"\nround {number} of {options.rounds}\n{COLUMNS}", flush=True)
                reports = []
                for node in workers(bench):
                    _, report = bench.failover(
                        f"the drain of {node}", fault_node=node, witness_duration=options.duration
                    )
                    print(row(report), *report["verdict"]["reasons"], sep="\n  ", flush=True)
                    reports.append(report)
                    well &= report["verdict"]["passed"] and report["latency_ms"]["max"] <= options.slowest_ms
                    bench.play("setup")
                total, failed = (
                    sum(report["requests"][key] for report in reports) for key in ("total", "failed")
                )
                bound = upper_bound_95(failed, total) or 1.0
                print(f"{failed} of {total} lost; at most 1 in {1 / bound:,.0f} (95%)", flush=True)
                if reasons := lacking(reports):
                    print("this round does not count:", *reasons, sep="\n  ", flush=True)
                    well = False
        finally:
            bench.play("teardown")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
