"""Commands that would wait for ever are ended, and it is said what waited."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Runner = Callable[..., Any]


def test_a_minikube_that_asks_its_cluster_for_ever(play: Runner, tmp_path: Path) -> None:
    minikube = tmp_path / "minikube"
    minikube.write_text("#!/bin/sh\nexec sleep 60\n")
    minikube.chmod(0o755)
    variables = {
        "cluster_profile": "mute",
        "cluster_minikube": str(minikube),
        "__cluster_marker_found": {"stat": {"exists": True}},
        "__cluster_status_timeout_s": 1,
    }
    task = {"name": "Ask", "ansible.builtin.include_role": {"name": "cluster", "tasks_from": "status"}}
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    # As -e, which is stronger than the role's own.
    played = play(str(path), "-e", json.dumps(variables))
    played.refused("The cluster mute takes connections and says nothing: after 1 s", "`docker restart mute`")
