"""A day of a probe as a run's folder has it, written faster than anything could measure it, and its report.

``python simulated_day.py DIR HOURS`` writes it, reports it, and prints JSON: how many requests it has, how
long the report took, and how much memory was in use at most (resident, in MiB).
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.unit.made_up import AFTER, ZERO, MadeUpRun

from failover_lab.report import command
from failover_lab.run import instants, records

NEW, REUSED = 200, 20
BEGAN_S = -20
# So many seconds differ from each other; then they are like the first.
SECONDS = 50


def second(chance: random.Random) -> str:
    """The rows of one second; ``%(s)s`` stands for the second, ``%(n)s`` for all of a number but its end."""
    rows = []
    for index in range(NEW + REUSED):
        kind = "new" if index % 11 else "reused"
        due = index * 1_000_000 // (NEW + REUSED)
        took = min(990_000 - due, round(chance.lognormvariate(7, 0.4)))
        pod, node = chance.choice(sorted(AFTER.items()))
        lost = kind == "new" and chance.random() < 0.001
        at = [f"%(s)s.{due + part:06d}Z" for part in (0, took // 3, took // 2, took)]
        end = "refused,,,," if lost else f"ok,200,{pod},{node},"
        rows.append(
            f"%(n)s{index:03d},{kind},{at[0]},{at[1] if kind == 'new' else ''},{at[2]},{at[3]},{end}"
            f"{20000 + index % 10 if kind == 'reused' else '%(p)s'},{0 if kind == 'new' else 3},"
            f"{chance.random():.3f},,{'ECONNREFUSED' if lost else ''}\n"
        )
    return "".join(rows)


def write(directory: Path, hours: float) -> int:
    """A run of so many hours; gives back how many requests it has."""
    run = MadeUpRun(directory, rate=float(NEW), reused_rate=float(REUSED))
    run.observed_drain()
    run.write()
    chance = random.Random(1)  # noqa: S311
    rows = [second(chance) for _ in range(SECONDS)]
    length = round(hours * 3600)
    with (directory / "requests.csv.gz").open("wb") as file:
        file.write(gzip.compress(f"{records.HEADER}\n".encode(), 1))
        for number in range(length):
            at = instants.text(ZERO + BEGAN_S + number)[:19]
            known = {"s": at, "n": number + 1, "p": 1024 + number % 60_000}
            file.write(gzip.compress((rows[number % SECONDS] % known).encode(), 1))
    about = json.loads((directory / "probe.json").read_text(encoding="utf-8"))
    about["recorded"] = length * (NEW + REUSED)
    (directory / "probe.json").write_text(json.dumps(about), encoding="utf-8")
    return length * (NEW + REUSED)


def reported(directory: Path, hours: float) -> dict[str, float]:
    """Write and report it in a process of its own; gives back what that printed."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, __file__, directory, str(hours)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, float] = json.loads(done.stdout)
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    assert report["requests"]["total"] == told["requests"]
    assert report["measurement"]["whole_record"] is True
    assert (directory / "report.html").exists()
    # What it kept on the disk meanwhile is gone.
    assert not [path.name for path in directory.iterdir() if path.name.startswith((".", "tmp"))]
    return told


def main() -> None:
    directory, hours = Path(sys.argv[1]), float(sys.argv[2])
    requests = write(directory, hours)
    began = time.monotonic()
    command.write(directory)
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {"requests": requests, "seconds": time.monotonic() - began, "mib": used.ru_maxrss / 1024}
    print(json.dumps(told | {"cpu_s": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    main()
