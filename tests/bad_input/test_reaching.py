"""A cluster that does not answer as it should: a play ends soon, in one sentence with a remedy that fits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import api_server as api
from tests.plays import by_night

Runner = Callable[..., Any]

NOBODY = "tcp://127.0.0.1:1"
NAME = "office"
EXISTING = ("cluster_provider=existing", "site_image=registry.example/site@sha256:" + "0" * 64)


@pytest.fixture
def run(play: Runner, tmp_path: Path) -> Runner:
    """Run a playbook on a context of this name."""
    places = [f"lab_profile={NAME}", f"lab_state_dir={tmp_path / 'state'}", f"lab_reports_dir={tmp_path}"]

    def start(playbook: str, kubeconfig: str, *settings: str) -> Any:
        options = [part for setting in (*places, *settings) for part in ("-e", setting)]
        return play(f"{playbook}.yml", *options, KUBECONFIG=kubeconfig, DOCKER_HOST=NOBODY)

    return start


@pytest.mark.nightly
def test_recovering_where_the_api_server_never_answers(run: Runner, tmp_path: Path) -> None:
    with api.api_server(tmp_path / "tls", "mute") as server:
        played = run("recover", api.kubeconfig(tmp_path / "config", NAME, server.url, server.ca))
    played.refused(
        "takes the connection and says nothing", f"`ansible-playbook setup.yml -e lab_profile={NAME}`"
    )


@pytest.mark.parametrize(
    "playbook", by_night(("setup", "status", "teardown", "failover"), ("status", "teardown", "failover"))
)
def test_somebody_elses_cluster_that_refuses(run: Runner, tmp_path: Path, playbook: str) -> None:
    """Whoever asks is unknown: the remedy is never to make a cluster of that name."""
    with api.api_server(tmp_path / "tls", "refuses") as server:
        server.status = 401
        path = api.kubeconfig(tmp_path / "config", NAME, server.url, server.ca)
        # An empty file and one that is missing before it, as kubectl takes them.
        (tmp_path / "empty").touch()
        played = run(playbook, f":{tmp_path / 'empty'}:{tmp_path / 'gone'}:{path}", *EXISTING)
    played.refused(
        f"The cluster {NAME} does not know who asks (401 Unauthorized", "get --raw /version` must work"
    )
    assert "setup.yml" not in played.message


def test_requests_come_to_an_end(play: Runner, tmp_path: Path) -> None:
    """Of a cluster that answers, and then no more, nothing of ours is left waiting."""
    with api.api_server(tmp_path / "tls", "stuck") as server:
        path = api.kubeconfig(tmp_path / "config", NAME, server.url, server.ca)
        arguments = {"context": NAME, "kubeconfig": path, "kind": "Node", "requests_s": 4}
        tasks = [{"name": "Ask", "failover_lab.lab.k8s_info": arguments}]
        file = tmp_path / "play.yml"
        file.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        played = play(str(file))
        assert server.asked, "it came as far as that"
        assert server.waited_for() == 0
    played.refused(f"The cluster {NAME} was busy for 4 s", "run this again")
