"""What the probe itself costs and how well it keeps time, beside vegeta: ``python -m bench.probe``.

Both send requests on new connections to one server on this machine, in turns; no cluster is needed. Lateness
is by how much a request began after it was due: the probe records it, vegeta's is reckoned from when an
attack began, taken as late as its own records allow, which flatters it a little. The probe asks to be
scheduled in real time where it may, as it does in the lab; vegeta does not. Ends with status 1 if the probe
misses one of its limits.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.limits import judged

from failover_lab.report.stats import percentile
from failover_lab.run.layout import Probe
from failover_lab.run.records import RecordFile

ROOT = Path(__file__).parents[1]
INSTRUMENT = ROOT / "tests" / "instrument"
# What the probe may cost, and how late 1% of its requests may be.
MOST_CORES = 0.5
MOST_LATE_P99_MS = 5.0


@dataclass
class Measured:
    """One run of one of the two; lateness in ascending milliseconds."""

    cores: float
    failed: int
    late_ms: list[float]

    def late(self, share: float) -> float:
        """The lateness that so large a share of requests stays below."""
        return percentile(self.late_ms, share) or 0.0


def timed(argv: Sequence[str | Path], standard_input: bytes = b"") -> float:
    """Run to the end; processor seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        argv,
        input=standard_input,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def probe(url: str, rate: int, seconds: int, folder: Path) -> Measured:
    """This project's."""
    out = folder / "probe"
    command = [sys.executable, "-m", "failover_lab", "probe", "--url", url, "--connections", "new"]
    used_s = timed([*command, "--rate", str(rate), "--duration", str(seconds), "--out", out])
    records = list(RecordFile(Probe(out).records).records())
    late = sorted(record.late_ms for record in records)
    return Measured(used_s / seconds, sum(record.failed for record in records), late)


def vegeta(program: str, url: str, rate: int, seconds: int, folder: Path) -> Measured:
    """The yardstick."""
    results = folder / "vegeta.bin"
    attack = [program, "attack", f"-rate={rate}", f"-duration={seconds}s", "-keepalive=false", "-http2=false"]
    used_s = timed([*attack, f"-output={results}"], f"GET {url}".encode())
    table = subprocess.run(
        [program, "encode", "-to=csv", results], capture_output=True, text=True, check=True
    )
    rows = [(int(row[0]), row[1], int(row[8])) for row in csv.reader(table.stdout.splitlines())]
    offsets = [at / 1e6 - number * 1000 / rate for at, _, number in rows]
    late = sorted(offset - min(offsets) for offset in offsets)
    return Measured(used_s / seconds, sum(code != "200" for _, code, _ in rows), late)


def seconds_used(pid: int) -> float:
    """Processor seconds of a process that still runs."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(rate: int, seconds: int, rounds: int) -> dict[str, list[Measured]]:
    """In turns, so that what else the machine does meets both."""
    built = subprocess.run(
        [sys.executable, INSTRUMENT.parent / "go_module.py", INSTRUMENT / "vegeta"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    server = subprocess.Popen(
        [sys.executable, INSTRUMENT / "failing_server.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, list[Measured]] = {"probe": [], "vegeta": []}
    with server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/whoami"
        for number in range(1, rounds + 1):
            for name, runs in found.items():
                with tempfile.TemporaryDirectory(prefix="failover-lab-bench-") as folder:
                    server_s = seconds_used(server.pid)
                    if name == "probe":
                        run = probe(url, rate, seconds, Path(folder))
                    else:
                        run = vegeta(built.stdout.strip(), url, rate, seconds, Path(folder))
                    server_cores = (seconds_used(server.pid) - server_s) / seconds
                    runs.append(run)
                print(
                    f"round {number} {name:7} {run.cores:5.2f} cores (server {server_cores:.2f})   "
                    f"late: median {run.late(0.5):6.3f} ms, 99% {run.late(0.99):6.3f} ms, "
                    f"most {run.late(1.0):7.3f} ms   "
                    f"{len(run.late_ms)} requests, {run.failed} failed",
                    flush=True,
                )
                time.sleep(1)
        server.stdin.close()
        server.stdout.read()
    return found


def within_limits(figures: dict[str, float]) -> bool:
    """Print the probe's figures beside their limits; whether it keeps all of them."""
    return all(
        [
            judged("probe, cores", figures["cores"], MOST_CORES),
            judged("probe, 99% late by", figures["late_p99_ms"], MOST_LATE_P99_MS, " ms"),
        ]
    )


def main() -> int:
    """Measure and print; 0 if the probe keeps its limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=2000, help="requests/s (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=10, help="of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of both (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures down as well")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.rate} new connections/s")
    found = measure(options.rate, options.seconds, options.rounds)
    figures = {
        name: {
            "cores": statistics.median(run.cores for run in runs),
            "late_p50_ms": statistics.median(run.late(0.5) for run in runs),
            "late_p99_ms": statistics.median(run.late(0.99) for run in runs),
            "late_max_ms": max(run.late(1.0) for run in runs),
        }
        for name, runs in found.items()
    }
    print("\nmedian of the rounds (the latest: of all)")
    for key in figures["probe"]:
        mine, theirs = figures["probe"][key], figures["vegeta"][key]
        print(f"  {key:12} probe {mine:8.3f}   vegeta {theirs:8.3f}   ratio {mine / max(theirs, 1e-9):.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0 if within_limits(figures["probe"]) else 1


if __name__ == "__main__":
    sys.exit(main())
