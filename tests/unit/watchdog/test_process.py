"""The watchdog as a process, with servers that speak as an engine, an API server and kubelets do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import queue
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.watchdog.conftest import SimNode
from tests.unit.watchdog.fakes import ApiServer, FakeEngine, KubeletServer, make_certificate, serving

from failover_lab import cli
from failover_lab.kube.names import EXCLUDE, OUT_OF_SERVICE_BY
from failover_lab.run import lifetime

NODES = ("lab", "lab-m02", "lab-m03")
NODE = "lab-m02"
PODS = "/api/v1/namespaces/site/pods"


class Lab:
    """Three nodes on the loopback."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.engine = FakeEngine(directory / "engine.sock")
        self.engine.live = queue.Queue()
        self.api = ApiServer()
        self.kubeconfig = self.api.kubeconfig(directory / "kubeconfig")
        self.kubelets = {name: KubeletServer() for name in NODES}
        self.ports: dict[str, int] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True).start()
        assert self._up.wait(10)
        for name in NODES:
            self.set_state(name, "running")
        self.fill_api()

    async def _serve(self) -> None:
        certificate = make_certificate(self.directory / "kubelet.pem")
        await asyncio.gather(*(self._kubelet(name, certificate) for name in NODES))

    async def _kubelet(self, name: str, certificate: Path) -> None:
        self._ends[name] = asyncio.Event()
        async with serving(self.kubelets[name].handle, certificate) as self.ports[name]:
            if len(self.ports) == len(NODES):
                self._up.set()
            await self._ends[name].wait()
        for writer in self.kubelets[name].writers:
            writer.transport.abort()

    def set_state(self, name: str, state: str) -> None:
        self.engine.states[name] = {"Running": state == "running", "StartedAt": "2026-11-23T19:00:00Z"}
        self.engine.containers = [
            {"Names": [f"/{n}"], "State": "running" if s["Running"] else "exited"}
            for n, s in self.engine.states.items()
        ]

    def fill_api(self) -> None:
        nodes = []
        for number, name in enumerate(NODES):
            node = SimNode(name, "127.0.0.1", control_plane=number == 0).as_object()
            node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] = self.ports[name]
            nodes.append(node)
            self.api.answers[f"GET /api/v1/nodes/{name}"] = (200, node)
        pods = [
            {
                "metadata": {"name": f"site-{n}", "uid": f"uid-{n}"},
                "status": {"podIPs": [{"ip": f"10.0.0.{n}"}]},
            }
            for n in range(2)
        ]
        self.api.answers |= {
            "GET /version": (200, {}),
            "GET /api/v1/nodes": (200, {"items": nodes}),
            "GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases": (200, {"items": []}),
            f"GET {PODS}?fieldSelector=spec.nodeName%3D{NODE}": (200, {"items": pods}),
            f"PATCH /api/v1/nodes/{NODE}": (200, {}),
            f"DELETE {PODS}/site-0": (200, {}),
            f"DELETE {PODS}/site-1": (200, {}),
        }

    def mark(self, name: str) -> None:
        """As the patch has left it."""
        node = self.api.answers[f"GET /api/v1/nodes/{name}"][1]
        node["metadata"]["annotations"][OUT_OF_SERVICE_BY] = '{"changed": ["cordon"]}'

    def kill(self, name: str) -> None:
        self._loop.call_soon_threadsafe(self._ends[name].set)
        time.sleep(0.05)
        self.set_state(name, "exited")
        assert self.engine.live is not None
        self.engine.live.put({"Actor": {"Attributes": {"name": name}}})

    def arguments(self) -> list[str]:
        place = self.directory
        return [
            "watchdog", "--profile=lab", f"--kubeconfig={self.kubeconfig}", f"--state-dir={place}",
            f"--parent-pid={os.getpid()}", "--max-duration=60",
        ]  # fmt: skip

    @contextlib.contextmanager
    def watchdog(self, output: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
        source = str(Path(lifetime.__file__).parents[2])
        with subprocess.Popen(
            [sys.executable, "-m", "failover_lab", *self.arguments()],
            env={**os.environ, "PYTHONPATH": source},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def status(self) -> dict[str, Any]:
        path = self.directory / "watchdog.json"
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return content

    def changes(self) -> list[tuple[float, str, str, Any]]:
        """What the API server was told to change, with the instants."""
        rows = zip(self.api.times, self.api.asked, strict=True)
        asks = {"GET", "POST"}
        return [(at, method, path, body) for at, (method, path, _, body) in rows if method not in asks]


def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    made = Lab(tmp_path)
    yield made
    for server in (made.engine.server, made.api.server):
        server.shutdown()
        server.server_close()


def test_from_the_death_of_a_node_to_a_crash_of_the_watchdog(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    with lab.watchdog() as first:
        until(lambda: lab.status().get("ready"))
        assert cli.main(lab.arguments()) == 2
        assert f"is running already: process {first.pid}, since 20" in capsys.readouterr().err
        lock = json.loads((lab.directory / "watchdog.lock").read_text())
        assert (lock["namespace"], lock["status"]) == ("site", str(lab.directory / "watchdog.json"))
        began = time.monotonic()
        lab.kill(NODE)
        until(lambda: lab.status()["given_away"] == [NODE])
        (marked_at, *marked), *deleted = lab.changes()
        assert marked[:2] == ["PATCH", f"/api/v1/nodes/{NODE}"]
        assert marked[2]["spec"]["unschedulable"] is True
        assert [t["key"] for t in marked[2]["spec"]["taints"]] == ["node.kubernetes.io/out-of-service"]
        assert set(marked[2]["metadata"]["labels"]) == {EXCLUDE}
        assert set(marked[2]["metadata"]["annotations"]) == {OUT_OF_SERVICE_BY}
        assert sorted(path for _, method, path, _ in deleted if method == "DELETE") == [
            f"{PODS}/site-0",
            f"{PODS}/site-1",
        ]
        print(f"marked after {marked_at - began:.3f} s, pods deleted after {deleted[-1][0] - began:.3f} s")
        # It ended before it had been fenced, and so was not killed.
        assert not any("kill" in asked for asked in lab.engine.asked)
        first.send_signal(signal.SIGKILL)
        first.wait()
    (lab.directory / "watchdog.json").unlink()
    lab.mark(NODE)
    with lab.watchdog() as second:
        # It did not see it alive, and yet knows that it is out, and why it stays so.
        until(lambda: lab.status().get("out") == {NODE: "its container is stopped"})
        second.send_signal(signal.SIGTERM)
        output, _ = second.communicate(timeout=20)
        assert second.returncode == 0
        assert output.splitlines()[-1].endswith("nodes given away: none; stopped: SIGTERM")


def test_in_a_terminal_that_was_stopped_it_acts_and_ends(lab: Lab) -> None:
    main, side = pty.openpty()
    try:
        # What Ctrl-S does; nobody presses Ctrl-Q.
        termios.tcflow(side, termios.TCOOFF)
        with lab.watchdog(side) as process:
            until(lambda: lab.status().get("ready"))
            lab.kill(NODE)
            until(lambda: lab.status()["given_away"] == [NODE])
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
    finally:
        os.close(side)
        os.close(main)
