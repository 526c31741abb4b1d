"""A registry that will not do: one error that names the remedy, before anything is touched."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Runner = Callable[..., Any]
Engine = Callable[[int, dict[str, str]], str]


@pytest.fixture
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


@pytest.fixture
def check(play: Runner, tmp_path: Path) -> Runner:
    """Ask whether a registry would do, with a given engine."""

    def run(host: str) -> Any:
        path = tmp_path / "play.yml"
        settings = {
            "lab_state_dir": str(tmp_path / "state"),
            "registry_url": "registry.example.org",
            "registry_username": "me",
            "registry_password": "secret-word",
        }
        role = {"name": "registry", "tasks_from": "check"}
        tasks = [{"name": "Ask", "ansible.builtin.include_role": role}]
        path.write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": settings, "tasks": tasks}]),
            encoding="utf-8",
        )
        return play(str(path), DOCKER_HOST=host, DOCKER_CONFIG=str(tmp_path))

    return run


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (401, {"message": "unauthorized: incorrect username or password"}),
            ["refused the login of 'me'", "registry_password"],
        ),
        (
            (500, {"message": "denied: requested access to the resource is denied"}),
            ["refused the login of 'me'", "registry_password"],
        ),
        (
            (500, {"message": "dial tcp 192.0.2.1:40123: connect: permission denied"}),
            ["does not answer", "registry_url"],
        ),
        (
            (500, {"message": "dial tcp: no route for secret-word"}),
            ["does not answer", "registry_url", "***"],
        ),
        (
            (500, {"message": "tls: failed to verify certificate: x509: signed by unknown authority"}),
            ["does not trust the certificate", "/etc/docker/certs.d/registry.example.org/ca.crt"],
        ),
    ],
    ids=["wrong password", "no access", "401 in a port", "silent", "of an unknown authority"],
)
def test_refused(
    check: Runner, engine: Engine, tmp_path: Path, answer: tuple[int, dict[str, str]], words: list[str]
) -> None:
    played = check(engine(*answer))
    played.refused("registry.example.org", *words)
    assert "secret-word" not in played.output
    assert not (tmp_path / "state").exists()


def test_taken_and_nothing_kept(check: Runner, engine: Engine, tmp_path: Path) -> None:
    played = check(engine(200, {"Status": "Login Succeeded"}))
    assert played.returncode == 0, played.output
    assert played.changed == 0
    assert not (tmp_path / "state").exists()
