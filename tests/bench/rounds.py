"""How many requests a drain costs: every node that may be drained, in turn, some rounds: ``make rounds``.

Each round starts from pods spread evenly. The bound says how often a request may be lost at most, with 95%
confidence, after so many without a loss.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.bench import PROFILE, Bench

from failover_lab.report.stats import upper_bound_95

COLUMNS = f"{'node':26}{'announces':>10}{'new':>14}{'reused':>14}{'slowest':>10}{'sent again':>12}"


def workers(bench: Bench) -> list[str]:
    """The nodes that may be drained: all but the only control plane."""
    nodes = bench.kubectl(
        "get", "nodes", "--selector=!node-role.kubernetes.io/control-plane", "--output=name"
    )
    return [line.removeprefix("node/") for line in nodes.split()]


def drain(bench: Bench, node: str, duration_s: int) -> dict[str, Any]:
    """One drain; gives back its report, whatever the verdict."""
    bench.play("failover", fault_node=node, witness_duration=duration_s, may_fail=True)
    report: dict[str, Any] = json.loads((bench.home / "reports" / "latest" / "report.json").read_text())
    if report["fault"]["node"] != node:
        sys.exit(f"the drain of {node} made no report")
    return report


def row(report: dict[str, Any]) -> str:
    """One drain in a line."""
    fault, kinds = report["fault"], report["requests"]["by_connection"]
    counts = [f"{kinds[kind]['failed']} of {kinds[kind]['total']}" for kind in ("new", "reused")]
    again = sum((slow["retransmits"] or 0) > 0 for slow in report["slowest"])
    slowest = f"{report['latency_ms']['max']:.0f} ms"
    announces = "yes" if fault["announcer"] == fault["node"] else "no"
    return f"{fault['node']:26}{announces:>10}{counts[0]:>14}{counts[1]:>14}{slowest:>10}{again:>12}"


def main() -> int:
    """Measure and print; 0 if no request was lost and none was slow."""
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
            for number in range(1, options.rounds + 1):
                print(f"\nround {number} of {options.rounds}\n{COLUMNS}", flush=True)
                total = failed = 0
                for node in workers(bench):
                    report = drain(bench, node, options.duration)
                    print(row(report), *report["verdict"]["reasons"], sep="\n  ", flush=True)
                    total += report["requests"]["total"]
                    failed += report["requests"]["failed"]
                    well &= report["verdict"]["passed"] and report["latency_ms"]["max"] <= options.slowest_ms
                    bench.play("setup")
                bound = upper_bound_95(failed, total) or 1.0
                print(f"{failed} of {total} lost; at most 1 in {1 / bound:,.0f} (95%)", flush=True)
        finally:
            bench.play("teardown")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
