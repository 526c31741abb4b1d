"""A watchdog that is kept on is relied on: the run starts none, and waits for that one's word."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from failover_lab.run import lifetime
from failover_lab.run.layout import Lab

REPO = Path(__file__).resolve().parents[3]
ALIVE = {"state": "watching", "nodes": {"lab": {"state": "alive"}}, "peers_ready": ["lab"]}


def test_the_one_that_is_kept_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    status = tmp_path / "watchdog.json"
    status.write_text(json.dumps(ALIVE))
    lock = {"pid": os.getpid(), "started": lifetime.started(os.getpid()), "status": str(status)}
    Lab(tmp_path).watchdog_lock.write_text(json.dumps(lock))
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"fault_run_dir": str(run), "fault_state_dir": str(tmp_path)},
        "tasks": [
            {"name": "Watch", "ansible.builtin.include_role": {"name": "failover", "tasks_from": "watchdog"}}
        ],
    }
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([play]), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", str(path)], cwd=REPO, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    marks = [json.loads(line) for line in (run / "marks.jsonl").read_text().splitlines()]
    assert [(mark["event"], mark["process"]) for mark in marks] == [("watchdog_kept_on", str(os.getpid()))]
    assert not (run / "watchdog.json").exists()
