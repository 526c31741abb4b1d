"""A registry that will not do: one error that names the remedy, before anything is touched."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.plays import Played, including, run_side_by_side

Engine = Callable[[int, dict[str, str]], str]

# What the engine answers to a login, and the words of the refusal.
REFUSED: dict[str, tuple[tuple[int, dict[str, str]], list[str]]] = {
    "wrong password": (
        (401, {"message": "unauthorized: incorrect username or password"}),
        ["refused the login of 'me'", "registry_password"],
    ),
    "no access": (
        (500, {"message": "denied: requested access to the resource is denied"}),
        ["refused the login of 'me'", "registry_password"],
    ),
    "401 in a port": (
        (500, {"message": "dial tcp 192.0.2.1:40123: connect: permission denied"}),
        ["does not answer", "registry_url"],
    ),
    "silent": (
        (500, {"message": "dial tcp: no route for secret-word"}),
        ["does not answer", "registry_url", "***"],
    ),
    "of an unknown authority": (
        (500, {"message": "tls: failed to verify certificate: x509: signed by unknown authority"}),
        ["does not trust the certificate", "/etc/docker/certs.d/registry.example.org/ca.crt"],
    ),
}
TAKEN = (200, {"Status": "Login Succeeded"})


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Make an engine that gives one answer to every login; returns what DOCKER_HOST has to be."""
    servers = []

    def make(status: int, answer: dict[str, str]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def say(self, status: int, content: dict[str, str]) -> None:
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                self.say(200, {"ApiVersion": "1.45", "Version": "27.5.1"})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.say(status, answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"tcp://127.0.0.1:{server.server_address[1]}"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def asked(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Played, Path]]:
    """How the question ends whether a registry would do, for each answer, and the state's folder."""
    root = tmp_path_factory.mktemp("asked")
    answers = {name: answer for name, (answer, _) in REFUSED.items()} | {"taken": TAKEN}
    hosts = {
        f"case-{number}": {"lab_state_dir": str(root / f"state-{number}"), "the_engine": engine(*answer)}
        for number, answer in enumerate(answers.values())
    }
    play = {
        "vars": {
            "registry_url": "registry.example.org",
            "registry_username": "me",
            "registry_password": "secret-word",
        },
        "environment": {"DOCKER_HOST": "{{ the_engine }}"},
        "tasks": [including("registry", tasks_from="check")],
    }
    played = run_side_by_side(root, play, hosts, DOCKER_CONFIG=str(root))
    return {
        name: (played[host], Path(variables["lab_state_dir"]))
        for name, (host, variables) in zip(answers, hosts.items(), strict=True)
    }


@pytest.mark.parametrize("answer", REFUSED)
def test_refused(asked: dict[str, tuple[Played, Path]], answer: str) -> None:
    played, state = asked[answer]
    played.refused("registry.example.org", *REFUSED[answer][1])
    assert "secret-word" not in played.output
    assert not state.exists()


def test_taken_and_nothing_kept(asked: dict[str, tuple[Played, Path]]) -> None:
    played, state = asked["taken"]
    assert played.returncode == 0, played.output
    assert played.changed == 0
    assert not state.exists()
