"""A mirror of the official downloads on loopback, and the role toolchain applied alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.pinned import KUBERNETES, METALLB, MINIKUBE

REPO = Path(__file__).resolve().parents[2]
COMMANDS = ("minikube", "kubeadm", "kubelet", "kubectl")
FACTS = (
    "commands_from",
    "images_from",
    "minikube",
    "kubernetes_dir",
    "kubectl",
    "metallb_manifest",
    "node_image",
)


@dataclass
class Mirror:
    """What the server has and what it was asked for; a test may spoil the one and look at the other."""

    url: str
    files: dict[str, Path | bytes] = field(default_factory=dict)
    broken_off: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def path(self, command: str) -> str:
        """Where the official layout has a command."""
        if command == "minikube":
            return f"/minikube/{MINIKUBE}/minikube-linux-amd64"
        return f"/kubernetes/{KUBERNETES}/bin/linux/amd64/{command}"

    def publish(self, command: str, content: Path | bytes) -> None:
        """Offer a command and its checksum: the digest alone, as the official ones are."""
        digest = hashlib.sha256(content if isinstance(content, bytes) else content.read_bytes()).hexdigest()
        self.files[self.path(command)] = content
        self.files[f"{self.path(command)}.sha256"] = digest.encode()

    def settings(self) -> dict[str, Any]:
        """The role's settings that lead here."""
        return {
            "toolchain_minikube_url": f"{self.url}/minikube",
            "toolchain_kubernetes_url": f"{self.url}/kubernetes",
            "toolchain_images_url": f"{self.url}/v2/",
            "toolchain_metallb_url": f"{self.url}/metallb",
        }


def serve(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    """Make the class that answers for a mirror."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.asked.append(self.path)
            content = mirror.files.get(self.path)
            if content is None:
                # A registry's answer to whoever has no login yet.
                self.send_error(401 if self.path == "/v2/" else 404)
                return
            data = content if isinstance(content, bytes) else content.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if self.path in mirror.broken_off else data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            """Say nothing."""

    return Handler


@pytest.fixture
def empty_mirror() -> Iterator[Mirror]:
    """A server on a free port that has nothing yet."""
    mirror = Mirror("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve(mirror))
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield mirror
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mirror(empty_mirror: Mirror) -> Mirror:
    """A mirror with small stand-ins, for tests of what is refused: nothing of them is ever run."""
    for command in COMMANDS:
        empty_mirror.publish(command, f"#!/bin/sh\necho {command}\n".encode() * 100)
    return empty_mirror


def cache_dir() -> Path:
    """Where this user's lab keeps what it has built."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "failover-lab"


def find_built(pattern: str) -> Path:
    """A file or folder of the user's cache; the test is skipped if there is none."""
    found = sorted(cache_dir().glob(pattern))
    if not found:
        pytest.skip(f"{cache_dir()} has no {pattern}: set up a lab with toolchain_source=modules first")
    return found[-1]


@pytest.fixture
def built() -> Callable[[str], Path]:
    """Find something in the user's cache, as ``built("go/mod")``, or skip the test."""
    return find_built


@pytest.fixture
def real_mirror(empty_mirror: Mirror) -> Mirror:
    """A mirror with the real commands, as they were built from modules, and MetalLB's real manifest."""
    empty_mirror.publish("minikube", find_built(f"modules/minikube-{MINIKUBE}-*/minikube"))
    for command in COMMANDS[1:]:
        empty_mirror.publish(command, find_built(f"modules/kubernetes-{KUBERNETES}-*/{command}"))
    manifest = find_built(f"go/mod/go.universe.tf/metallb@{METALLB}/config/manifests/metallb-native.yaml")
    empty_mirror.files[f"/metallb/{METALLB}/config/manifests/metallb-native.yaml"] = manifest
    return empty_mirror


@dataclass
class Played:
    """How a play ended."""

    returncode: int
    changed: int
    message: str
    chosen: str
    facts: dict[str, str]
    output: str

    def went_well(self) -> Played:
        """Assert that it did."""
        assert self.returncode == 0, self.output
        return self

    def refused(self, *words: str) -> None:
        """Assert that it ended in one error with these words."""
        assert self.returncode != 0, self.output
        assert self.output.count("fatal: ") + self.output.count("failed: [") == 1, self.output
        for word in words:
            assert word in self.message, self.message
        assert "Traceback" not in self.output
        assert len(self.message) < 600, "nobody reads so long a message"


def write_play(directory: Path, settings: dict[str, Any], tasks_from: str = "main") -> Path:
    """Write a play that applies the role and shows its facts."""
    role = {"name": "toolchain", "tasks_from": tasks_from}
    shown = {name: f"{{{{ toolchain_{name} | default('') }}}}" for name in FACTS}
    tasks = [
        {"name": "Apply it", "ansible.builtin.include_role": role},
        {"name": "Show the facts", "ansible.builtin.debug": {"msg": {"facts": shown}}},
    ]
    play = {"hosts": "localhost", "gather_facts": False, "vars": settings, "tasks": tasks}
    path = directory / "play.yml"
    path.write_text(json.dumps([play]), encoding="utf-8")
    return path


def messages(output: str, before: str) -> list[Any]:
    """The messages of the tasks' results that follow a pattern."""
    results = [
        json.JSONDecoder().raw_decode(output[found.end() :])[0]
        for found in re.finditer(rf"^{before}: \[localhost\][^=]*=>\s+(?=\{{)", output, re.MULTILINE)
    ]
    return [result["msg"] for result in results if "msg" in result]


def run_play(path: Path, *options: str, timeout_s: float = 110, **environment: str) -> Played:
    """Run ansible-playbook in the repository; nobody's real engine is asked."""
    done = subprocess.run(
        ["ansible-playbook", str(path), *options],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env=os.environ
        | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"}
        | {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
        | environment,
    )
    said = messages(done.stdout, "ok")
    failed = messages(done.stdout, "fatal")
    return Played(
        done.returncode,
        sum(map(int, re.findall(r"changed=(\d+)", done.stdout))),
        failed[0] if failed else "",
        next((text for text in said if isinstance(text, str) and text.startswith("Commands from")), ""),
        next((text["facts"] for text in said if isinstance(text, dict) and "facts" in text), {}),
        done.stdout + done.stderr,
    )


Runner = Callable[..., Played]


@pytest.fixture
def toolchain(tmp_path: Path) -> Runner:
    """Apply the role with a cache of its own, as ``toolchain({"toolchain_source": "auto"}, "--check")``."""

    def run(settings: dict[str, Any], *options: str, tasks_from: str = "main") -> Played:
        cache = {"lab_cache_dir": str(tmp_path / "cache")}
        return run_play(write_play(tmp_path, cache | settings, tasks_from), *options)

    return run


@pytest.fixture
def play_file(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Write a play that applies the role, for a test that runs it in its own way."""
    return lambda settings: write_play(tmp_path, settings)
