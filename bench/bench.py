"""How much longer the lab takes than the bare tools that it is made of: ``make bench``.

Two comparisons, each in one sitting on one machine, because only the ratio means anything elsewhere:

- ``setup.yml`` with warm caches and no cluster, against ``minikube start`` with the same flags;
- ``failover.yml`` with a drain, against ``kubectl drain`` and a loop of requests that makes the same checks.

Ends with status 1 if the lab misses one of its limits.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from bench.limits import judged

ROOT = Path(__file__).parents[1]
PROFILE = "failover-lab-bench"
STEADY_S = 5.0
# Times what the bare tools take, and seconds.
MOST_SETUP = 2.0
MOST_AGAIN_S = 25.0
MOST_DRAIN = 1.5
MOST_DRAIN_MORE_S = 10.0  # than the drain by hand, which has two steady states as well


# How a failure begins, as Ansible says it and as the lab's own screen does; what ends a play's words.
_FAILED = re.compile(r"^\s*(?:\[ERROR\]|\u2715|FAILED:)", re.MULTILINE)
_RECAP = re.compile(r"^(?:PLAYBOOK|TASKS) RECAP", re.MULTILINE)


def why(said: str) -> str:
    """Of what a play has said, what failed, and not the times of the tasks, which come last."""
    words = _RECAP.split(said, maxsplit=1)[0]
    failed = _FAILED.search(words)
    return (words[failed.start() :] if failed else words)[-3000:].strip()


class Bench:
    """A lab of its own, in folders of its own."""

    def __init__(self, home: Path, profile: str = PROFILE) -> None:
        """Nothing is started yet."""
        self.home = home
        self.profile = profile
        self.environment = os.environ | {
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_DATA_HOME": str(home / "data"),
            "KUBECONFIG": str(home / "kubeconfig"),
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks",
            "PROFILE_TASKS_TASK_OUTPUT_LIMIT": "all",
        }
        self.minikube = {
            "MINIKUBE_HOME": str(home / "data" / "failover-lab" / ".minikube"),
            "MINIKUBE_IN_STYLE": "false",
        }

    def run(self, *command: str | Path, may_fail: bool = False) -> tuple[float, str]:
        """Run a command to its end; seconds and output.

        Raises:
            SystemExit: it failed and may not; its last words are printed.
        """
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | self.minikube,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=3600,
            check=False,
        )
        if done.returncode != 0 and not may_fail:
            sys.exit(f"{command[0]} ended with status {done.returncode}:\n{why(done.stdout)}")
        return time.monotonic() - began, done.stdout

    def command(self, playbook: str, **settings: object) -> list[str | Path]:
        """The command line of a play of the lab."""
        settings |= {"lab_profile": self.profile, "lab_reports_dir": str(self.home / "reports")}
        program = Path(sys.executable).with_name("ansible-playbook")
        return [program, f"{playbook}.yml", "-e", json.dumps(settings)]

    def play(self, playbook: str, *, may_fail: bool = False, **settings: object) -> tuple[float, str]:
        """Run a play of the lab with these settings."""
        return self.run(*self.command(playbook, **settings), may_fail=may_fail)

    def latest(self) -> Path | None:
        """The folder of the run that was reported last; None: there is none."""
        folder = (self.home / "reports" / "latest").resolve()
        return folder if (folder / "report.json").exists() else None

    def reported_since(self, before: Path | None) -> Path | None:
        """The folder of the run that was reported last, if that is another than before; None: it is not."""
        folder = self.latest()
        return None if folder == before else folder

    def failover(self, what: str, **settings: object) -> tuple[Path, dict[str, Any]]:
        """One run; its folder and its report, whatever the verdict.

        Args:
            what: it is, for whoever reads that it made no report.
            settings: of failover.yml.

        Raises:
            SystemExit: there is no report of it.
        """
        before = self.latest()
        said = self.play("failover", may_fail=True, **settings)[1]
        if (folder := self.reported_since(before)) is None:
            sys.exit(f"{what} made no report:\n{why(said)}")
        return folder, json.loads((folder / "report.json").read_text(encoding="utf-8"))

    def recorded(self) -> Any:
        """What setup has written down of the cluster."""
        return json.loads((self.home / "state" / "failover-lab" / self.profile / "cluster.json").read_text())

    def kubectl(self, *arguments: str) -> str:
        """What the cluster's own kubectl says."""
        program = self.home / "data" / "failover-lab" / ".minikube" / "cache" / "linux"
        return self.run(next(program.glob("*/*/kubectl")), "--context", self.profile, *arguments)[1]

    def pods(self) -> dict[str, str]:
        """The site's ready pods: name to node."""
        items = json.loads(self.kubectl("get", "pods", "--namespace=site", "--output=json"))["items"]
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in items
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])
            )
        }

    def drain_by_hand(self) -> float:
        """What an operator would type for the same proof; seconds."""
        before = self.pods()
        node = next(node for node, _ in Counter(before.values()).most_common() if node != self.profile)
        service = json.loads(self.kubectl("get", "service", "site", "--namespace=site", "--output=json"))
        url = f"http://{service['status']['loadBalancer']['ingress'][0]['ip']}/whoami"
        began = time.monotonic()
        answers_of(url, set(before), STEADY_S)
        self.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
        self.kubectl("rollout", "status", "deployment/site", "--namespace=site", "--timeout=300s")
        after = self.pods()
        answers_of(url, set(after), 0.0)
        self.kubectl("uncordon", node)
        answers_of(url, set(after), STEADY_S)
        return time.monotonic() - began


def answers_of(url: str, pods: set[str], at_least_s: float) -> None:
    """Ask until every pod has answered and the time is over."""
    seen: set[str] = set()
    began = time.monotonic()
    while not pods <= seen or time.monotonic() - began < at_least_s:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http, to our own cluster
            seen.add(json.load(answer)["pod"])
        time.sleep(0.005)


def where_it_goes(output: str) -> dict[str, float]:
    """Seconds by role, from the tasks' own times, most first."""
    seconds: dict[str, float] = defaultdict(float)
    for role, _, took in re.findall(r"^(\w+) : (.*?) -+ ([0-9.]+)s$", output, re.MULTILINE):
        seconds[role] += float(took)
    return dict(sorted(seconds.items(), key=lambda row: -row[1]))


def changed(output: str) -> int:
    """How many tasks of a play have changed something.

    Raises:
        ValueError: it printed no recap.
    """
    found = re.search(r"\bchanged=(\d+)", output)
    if found is None:
        raise ValueError(f"no recap in: {output[-500:]}")
    return int(found[1])


def within_limits(
    setup: tuple[float, float], again: tuple[float, int], drains: list[tuple[float, float]]
) -> bool:
    """Print the figures beside their limits; whether the lab keeps all of them.

    Args:
        setup: seconds of ``setup.yml``, and of the bare start.
        again: seconds of a second ``setup.yml``, and how much it changed.
        drains: seconds of each ``failover.yml``, and of the drain by hand beside it; their median counts.
    """
    return all(
        [
            judged("setup, times minikube start", setup[0] / setup[1], MOST_SETUP),
            judged("setup again", again[0], MOST_AGAIN_S, " s"),
            judged("setup again, tasks that changed", again[1], 0),
            judged(
                "failover, times the drain by hand",
                statistics.median(lab / hand for lab, hand in drains),
                MOST_DRAIN,
            ),
            judged(
                "failover, longer than by hand by",
                statistics.median(lab - hand for lab, hand in drains),
                MOST_DRAIN_MORE_S,
                " s",
            ),
        ]
    )


def main() -> int:
    """Measure and print; 0 if the lab keeps its limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the drain (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="failover-lab-bench-") as home:
        bench = Bench(Path(home))
        try:
            print("setup.yml, caches warm, no cluster …", flush=True)
            setup_s, output = bench.play("setup")
            start = bench.recorded()["start"]
            drains = []
            for number in range(1, options.rounds + 1):
                print(f"drains, round {number} of {options.rounds} …", flush=True)
                lab_s = bench.play("failover")[0]
                bench.play("setup")
                drains.append((lab_s, bench.drain_by_hand()))
                bench.play("setup")
            again_s, again = bench.play("setup")
            bench.run(start[0], "delete", f"--profile={PROFILE}")
            print("minikube start with the same flags …", flush=True)
            bare_s = bench.run(*start)[0]
        finally:
            bench.play("teardown")
    print("\n                        lab            bare    ratio")
    print(f"setup, minikube start  {setup_s:6.1f} s  {bare_s:6.1f} s    {setup_s / bare_s:.2f}")
    for role, seconds in where_it_goes(output).items():
        print(f"  of it {role:14} {seconds:6.1f} s")
    print(f"setup again            {again_s:6.1f} s")
    for lab_s, hand_s in drains:
        print(f"failover, kubectl drain{lab_s:6.1f} s  {hand_s:6.1f} s    {lab_s / hand_s:.2f}")
    print()
    return 0 if within_limits((setup_s, bare_s), (again_s, changed(again)), drains) else 1


if __name__ == "__main__":
    sys.exit(main())
