"""A fault whose size is known: a node's kernel refuses one connection in fifty to a pod, and counts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .conftest import PROFILE, ROOT, docker

if TYPE_CHECKING:
    from .conftest import Lab


def planted(lab: Lab, folder: Path, source: Path = ROOT / "src") -> tuple[int, dict[str, Any]]:
    """Ask for 20 s meanwhile; gives back how many the kernel refused, and the witness's report.

    Args:
        lab: with the site.
        folder: for the run.
        source: of the package.
    """
    # One that stays: nobody is sent to a pod on its way out.
    pod = lab.get("pod", next(iter(lab.pods())), "--namespace=site")
    node, address = pod["spec"]["nodeName"], pod["status"]["podIP"]
    rule = [
        *("FORWARD", "-d", address, "-p", "tcp", "--dport", "8080", "--syn"),
        *("-m", "statistic", "--mode", "random", "--probability", "0.02"),
        *("-j", "REJECT", "--reject-with", "tcp-reset"),
    ]
    program = [sys.executable, "-m", "failover_lab"]
    environment = lab.environment | {"PYTHONPATH": str(source)}
    docker("exec", node, "iptables", "-I", *rule)
    try:
        observer = subprocess.Popen(
            [*program, "observe", f"--out={folder}", f"--context={PROFILE}", "--max-duration=30"],
            env=environment,
        )
        url = f"{lab.url()}/whoami"
        settings = [f"--url={url}", "--rate=200", "--connections=new", "--duration=20", f"--out={folder}"]
        subprocess.run([*program, "probe", *settings], env=environment, check=True, timeout=60)
        observer.terminate()
        observer.wait(timeout=20)
        rows = docker("exec", node, "iptables", "-nvxL", "FORWARD").splitlines()
    finally:
        docker("exec", node, "iptables", "-D", *rule)
    refused = next(int(row.split()[0]) for row in rows if "statistic" in row and address in row)
    assert refused > 0
    subprocess.run([*program, "report", folder], env=os.environ | environment, check=False, timeout=60)
    return refused, json.loads((folder / "report.json").read_text())


def agrees(refused: int, report: dict[str, Any]) -> None:
    """The witness saw as many failures as the kernel made."""
    seen = report["requests"]["failed"]
    assert seen == refused, f"the node refused {refused} connections, the witness saw {seen}"
