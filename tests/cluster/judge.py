"""Whoever judges the lab and its runs: what molecule's scenarios verify with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .conftest import ROOT

if TYPE_CHECKING:
    from .conftest import Lab


def judged(lab: Lab, scenario: str, folder: Path, reports: Path | None = None) -> str:
    """What the scenario's judge says: the name of the task that failed; empty if all is well.

    Args:
        lab: that is judged.
        scenario: whose judge it is.
        folder: for the evidence.
        reports: where the run that is judged is `latest`; the lab's own, if none.
    """
    given = {"lab_profile": lab.profile, "reports": str(reports or lab.reports), "evidence": str(folder)}
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            f"molecule/{scenario}/verify.yml",
            "-e",
            json.dumps(given),
        ],
        cwd=ROOT,
        env=lab.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode == 0:
        return ""
    assert "pods" in {path.stem for path in folder.iterdir()}, f"no evidence was kept: {done.stdout[-3000:]}"
    name, _, why = (folder / "failed.txt").read_text().partition("\n")
    print(f"{name}: {why}")
    return name
