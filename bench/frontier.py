"""How far the damage of a sudden loss can be brought down: ``make frontier`` writes docs/frontier.md.

Breaks the node that announces the address, and another one, with each way of detection and recovery, some
rounds each; then looks whether healthy nodes count as healthy while every core is busy. What was measured is
kept in ``results.json``, so that an interrupted run goes on where it was. Ends with status 1 if a median
misses its limit, unless that is known to be out of reach.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
from bench import frontier_page
from bench.bench import ROOT, Bench, why
from bench.cases import CASES, Case
from bench.goals import goals, lost_percent
from bench.limits import judged
from bench.records import asked_after
from tests.declared import added, declared_dead

from failover_lab.kube import neighbours
from failover_lab.run import instants

PROFILE = "failover-lab-frontier"
RATE = 200
GRACE_S = 5.0  # of `fast`
LOOK_S = 0.1
WINDOW_S = 60.0
TYPED = re.compile(r"^ +(cd .*ansible-playbook recover\.yml .*)$")


class Results:
    """What was measured so far, in a file that is whole at any instant."""

    def __init__(self, path: Path, conditions: dict[str, Any]) -> None:
        """Read what is there.

        Raises:
            SystemExit: it was measured under other conditions.
        """
        self.path = path
        self.content: dict[str, Any] = {"conditions": conditions, "runs": []}
        if path.exists():
            self.content = json.loads(path.read_text(encoding="utf-8"))
            then = {key: self.content["conditions"].get(key) for key in conditions}
            if then != conditions:
                sys.exit(f"{path} was measured with {then}, not {conditions}: give another --folder")

    def keep(self) -> None:
        """Write it down."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
        new.rename(self.path)

    def has(self, case: str, role: str, number: int) -> bool:
        """Whether this run is done."""
        return any(
            (run["case"], run["role"], run["round"]) == (case, role, number) for run in self.content["runs"]
        )


def lost(folder: Path, fault_at: float) -> dict[str, int]:
    """How many of the users' requests in the minute after the fault failed; of none, if it was cut short."""
    seen = asked_after(folder, fault_at)
    if max((record.due for record in seen), default=0.0) < fault_at + WINDOW_S - 1:
        return {"failed": 0, "total": 0}
    within = [record for record in seen if record.due < fault_at + WINDOW_S]
    return {"failed": sum(record.failed for record in within), "total": len(within)}


def failover(bench: Bench, case: Case, role: str, seconds: int) -> dict[str, Any]:
    """One run; its report and what it was reported from.

    Raises:
        SystemExit: there is no report of it.
    """
    before = bench.latest()
    log = bench.home / "failover.log"
    command = bench.command(
        "failover",
        fault_kind=case.kind,
        fault_node=role,
        fault_recovery=case.recovery,
        witness_rate=RATE,
        witness_connections="new",
        witness_duration=seconds,
        witness_max_lost=10**9,
    )
    operators: list[subprocess.Popen[bytes]] = []
    with log.open("w", encoding="utf-8") as written, subprocess.Popen(
        command, cwd=ROOT, env=bench.environment | bench.minikube, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            written.write(line)
            if case.recovery == "manual" and not operators and (asked := TYPED.search(line)):
                operators.append(operator(bench, asked[1]))
    for hand in operators:
        hand.wait(timeout=600)
    if (folder := bench.reported_since(before)) is None:
        sys.exit(f"the run made no report; see {log}:\n{why(log.read_text(encoding='utf-8'))}")
    if case.recovery == "manual" and not operators:
        sys.exit(f"the run never said what the operator has to type; see {log}")
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {"report": report, "folder": folder}


def operator(bench: Bench, line: str) -> subprocess.Popen[bytes]:
    """Type what the lab has asked for, at once."""
    with (bench.home / "operator.log").open("wb") as log:
        return subprocess.Popen(
            ["bash", "-c", line], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )


def measure(bench: Bench, case: str, role: str, number: int, seconds: int) -> dict[str, Any]:
    """One run; the figures that are kept."""
    run = failover(bench, CASES[case], role, seconds)
    report, fault = run["report"], run["report"]["fault"]
    if (fault["node"] == fault["announcer"]) != (role == "announcer"):
        sys.exit(f"{role} was asked for, and {fault['node']} broken while {fault['announcer']} announced")
    return {
        "case": case,
        "role": role,
        "round": number,
        "folder": run["folder"].name,
        "kubernetes": report["lab"]["kubernetes"],
        "nodes": len(report["lab"]["nodes"]),
        "clocks_s": report["clocks_s"],
        "predicted_s": report["predicted_s"],
        "clock_reasons": report["clock_reasons"],
        "operator_s": report["operator_s"],
        "lost": lost(run["folder"], instants.parse(fault["injected_at"])),
        "passed": report["verdict"]["passed"],
        "reasons": report["verdict"]["reasons"],
    }


def line(run: dict[str, Any]) -> str:
    """One run in a line."""
    nothing = frontier_page.NOTHING
    times = {clock: nothing if s is None else f"{s:.1f} s" for clock, s in run["clocks_s"].items()}
    clocks = "  ".join(f"{clock} {time}" for clock, time in times.items())
    percent = lost_percent(run)
    return f"{clocks}  lost {nothing if percent is None else f'{percent:.2f}%'}"


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many cores full, at normal priority."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
        if ended := [loop.pid for loop in loops if loop.poll() is not None]:
            sys.exit(f"busy loops {ended} have ended too early")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def longest_silence_s(bench: Bench, seconds: int) -> float:
    """How long, at the longest, no renewal of some node's lease came in, for whoever watches them."""
    kubernetes.config.load_kube_config(str(bench.home / "kubeconfig"), context=bench.profile)
    api = kubernetes.client.CoordinationV1Api()
    last: dict[str, float] = {}
    longest, end = 0.0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 1:
        stream = kubernetes.watch.Watch().stream(
            api.list_namespaced_lease, "kube-node-lease", timeout_seconds=int(left)
        )
        for event in stream:
            now, name = time.monotonic(), event["object"].metadata.name
            longest = max(longest, now - last.get(name, now))
            last[name] = now
    return max(longest, *(time.monotonic() - at for at in last.values()))


def address_of(bench: Bench) -> str:
    """The site's address."""
    path = "jsonpath={.status.loadBalancer.ingress[0].ip}"
    return bench.kubectl("get", "service", "site", "--namespace=site", f"--output={path}").strip()


@contextlib.contextmanager
def followed(address: str) -> Iterator[list[str]]:
    """Each hardware address that this machine's table of neighbours gives another one after the first."""
    moves: list[str] = []
    over = threading.Event()

    def follow() -> None:
        last = ""
        while not over.wait(LOOK_S):
            neighbours.ask([address])
            now = neighbours.read().get(address, last)
            if last and now != last:
                moves.append(now)
            last = now

    watcher = threading.Thread(target=follow)
    watcher.start()
    try:
        yield moves
    finally:
        over.set()
        watcher.join()


def false_alarms(bench: Bench, seconds: int) -> dict[str, Any]:
    """How healthy nodes fare with `fast` while every core is busy."""
    bench.play("setup", cluster_failure_detection="fast")
    cores = os.cpu_count() or 1
    before = declared_dead(bench.kubectl)
    with busy(cores), followed(address_of(bench)) as moves:
        longest_s = longest_silence_s(bench, seconds)
        after = declared_dead(bench.kubectl)
    return {
        "seconds": seconds,
        "busy": cores,
        "cores": cores,
        "events": sum(added(before, after).values()),
        "silence_s": round(longest_s, 2),
        "grace_s": GRACE_S,
        "moves": len(moves),
    }


def day(run: dict[str, Any]) -> str:
    """The day of a run, as its folder is called."""
    return dt.datetime.strptime(run["folder"][:8], "%Y%m%d").replace(tzinfo=dt.UTC).date().isoformat()


def write(results: dict[str, Any], docs: Path) -> None:
    """Make the page, its chart, and the figures behind both, once there are runs."""
    runs = results["runs"]
    if not runs:
        return
    results["conditions"] |= {
        "kubernetes": runs[-1]["kubernetes"],
        "nodes": runs[-1]["nodes"],
        "measured": " to ".join(sorted({min(map(day, runs)), max(map(day, runs))})),
    }
    (docs / "frontier.svg").write_text(frontier_page.chart(runs), encoding="utf-8")
    (docs / "frontier.md").write_text(frontier_page.page(results, "frontier.svg"), encoding="utf-8")
    (docs / "frontier.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def within_limits(runs: list[dict[str, Any]]) -> bool:
    """Print each median beside its limit; whether all are kept."""
    kept = [
        judged(f"{goal.case}, {goal.role}: {goal.what}", goal.value, goal.limit, goal.unit)
        for goal in goals(frontier_page.groups(runs))
    ]
    return all(kept)


def arguments() -> argparse.Namespace:
    """What is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each (default: %(default)s)")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES), help="default: all")
    parser.add_argument(
        "--seconds", type=int, default=90, help="how long users ask at least (default: %(default)s)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "reports" / "frontier",
        help="where results and reports are kept (default: reports/frontier)",
    )
    parser.add_argument(
        "--false-alarms",
        type=int,
        default=600,
        metavar="S",
        help="how long to look for false alarms, 0: not at all (default: %(default)s)",
    )
    parser.add_argument("--page", action="store_true", help="only write the page again, from what is kept")
    return parser.parse_args()


def main() -> int:
    """Measure what is not measured yet, write the page, and print each median beside its limit.

    Returns:
        1 if a limit is broken, else 0.
    """
    options = arguments()
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    results = Results(
        options.folder / "results.json", {"rate": RATE, "seconds": options.seconds, "cores": os.cpu_count()}
    )
    bench = Bench(options.folder, PROFILE)
    todo = [
        (case, role, number)
        for number in range(1, options.rounds + 1)
        for case in options.cases
        for role in CASES[case].roles
        if not results.has(case, role, number)
    ]
    alarms = options.false_alarms > 0 and "false_alarms" not in results.content
    if not options.page and (todo or alarms):
        try:
            ready_for = None
            for done, (case, role, number) in enumerate(todo):
                print(f"round {number}, {case}, {role} ({done + 1} of {len(todo)}) …", flush=True)
                # A run that ended well has put the lab right itself, and the next one looks first.
                if ready_for != CASES[case].detection:
                    bench.play("setup", cluster_failure_detection=CASES[case].detection)
                run = measure(bench, case, role, number, options.seconds)
                ready_for = CASES[case].detection if run["passed"] else None
                results.content["runs"].append(run)
                results.keep()
                print(f"  {line(run)}", *run["reasons"], sep="\n  ", flush=True)
            if alarms:
                print(f"false alarms, {options.false_alarms / 60:g} minutes …", flush=True)
                results.content["false_alarms"] = false_alarms(bench, options.false_alarms)
                results.keep()
                print(f"  {frontier_page.alarms(results.content['false_alarms'])}")
        finally:
            bench.play("teardown")
    write(results.content, ROOT / "docs")
    return 0 if within_limits(results.content["runs"]) else 1


if __name__ == "__main__":
    sys.exit(main())
