"""A small world for the watchdog: nodes that die in several ways, an engine and an API server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import datetime as dt
import queue
import threading
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import OUT_OF_SERVICE_BY
from failover_lab.nodes.docker import EngineError
from failover_lab.nodes.driver import Inspected, NodeState
from failover_lab.nodes.pace import Pace
from failover_lab.watchdog import command, giveback, looking
from failover_lab.watchdog.act import GiveAway
from failover_lab.watchdog.cluster import Api
from failover_lab.watchdog.journal import Journal
from failover_lab.watchdog.loop import Settings, Watchdog
from failover_lab.watchdog.recorder import Recorder
from failover_lab.watchdog.sights import Reach

Object = dict[str, Any]

# Proportions as in earnest, a twentieth of the time. The tests' machine may be busy, so lateness is let pass.
FAST = Pace(
    interval_s=0.01, ask_s=0.02, fact_s=0.005, pause_s=0.05, silence_s=0.05, late_s=5.0, poll_s=0.01,
    old_s=5.0, return_s=0.02, warm_s=0.5,
)  # fmt: skip


class CrashError(Exception):
    """The watchdog's process ends here."""


@dataclass
class SimNode:
    """One node."""

    name: str
    address: str
    control_plane: bool = False
    container: NodeState = NodeState.RUNNING
    network: bool = True
    kubelet: bool = True
    kubelet_started: float = 0.0
    started: float = field(default_factory=time.time)
    renewed: float = field(default_factory=time.time)
    # By which the engine tells it from others; empty: this engine has none.
    id: str = ""
    # Its container goes by this name now.
    renamed: str = ""
    listed: bool = True
    version: int = 1
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    spec: Object = field(default_factory=dict)
    ready: str = "True"
    # When its condition was written; None: with each renewal.
    heartbeat: float | None = None

    @property
    def lives(self) -> bool:
        return self.container is NodeState.RUNNING and self.kubelet

    def reach(self) -> Reach:
        """How far a question gets."""
        if self.container.is_down or not self.network:
            return Reach.SILENT
        if self.container is NodeState.PAUSED:
            return Reach.MUTE
        return Reach.ANSWERS if self.kubelet else Reach.REFUSED

    def as_object(self) -> Object:
        labels = {"kubernetes.io/hostname": self.name, **self.labels}
        if self.control_plane:
            labels["node-role.kubernetes.io/control-plane"] = ""
        beat = text(self.heartbeat or self.renewed).split(".")[0] + "Z"
        return {
            "metadata": {
                "name": self.name,
                "resourceVersion": str(self.version),
                "labels": labels,
                "annotations": dict(self.annotations),
            },
            "spec": copy.deepcopy(self.spec),
            "status": {
                "addresses": [
                    {"type": "Hostname", "address": self.name},
                    {"type": "InternalIP", "address": self.address},
                ],
                "conditions": [{"type": "Ready", "status": self.ready, "lastHeartbeatTime": beat}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            },
        }


def text(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def merge(target: Any, patch: Any) -> Any:
    """A merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class SimShell:
    """The program in a node, as far as its peers matter."""

    def __init__(self, world: World, node: SimNode) -> None:
        self._world = world
        self._node = node
        self._lines: queue.Queue[str | None] = queue.Queue()

    def write(self, line: str) -> None:
        number, limit, *targets = line.split()
        # It lives on where the kubelet alone is down.
        if self._node.container is not NodeState.RUNNING:
            return
        said = [f"{t}={self._world.errno(self._node, t)}" for t in targets]
        slow = any(word.endswith("=silent") for word in said)
        delay = float(limit) if slow else 0.0
        threading.Timer(delay, self._lines.put, (" ".join([number, *said]),)).start()

    def lines(self) -> Iterator[str]:
        while (line := self._lines.get()) is not None:
            yield line

    def close(self) -> None:
        self._lines.put(None)


class World:
    """Nodes, an engine, an API server."""

    name = "docker"
    fences = True

    def __init__(self, count: int = 3) -> None:
        self.nodes: dict[str, SimNode] = {}
        for number in range(1, count + 1):
            name = "lab" if number == 1 else f"lab-m{number:02}"
            self.nodes[name] = SimNode(name, f"10.0.0.{number}", control_plane=number == 1)
        self.pods: dict[str, Object] = {}
        # Containers that are no nodes.
        self.strangers: list[SimNode] = []
        # Whether packets of connections that nobody has seen before get through.
        self.new_connections = True
        # What the API server would refuse, as in "patch nodes".
        self.refused: set[str] = set()
        self.api_up = True
        self.engine_up = True
        self.unkillable = False
        # What changes something, in order: "kill lab-m02", "patch lab-m02", "delete site-a", "clear lab".
        self.done: list[str] = []
        # Called before and after each of those.
        self.before: Callable[[str], None] = lambda _step: None
        self.after: Callable[[str], None] = lambda _step: None
        self.asked: list[str] = []
        self._news: list[queue.Queue[str]] = []
        self.api = Api(self.send)
        for number, node in enumerate(["lab-m02", "lab-m02", "lab-m03"]):
            self.add_pod(f"site-{number}", node)

    # The nodes' fates

    def stop(self, name: str) -> None:
        self.nodes[name].container = NodeState.STOPPED
        self.tell(name)

    def pause(self, name: str) -> None:
        self.nodes[name].container = NodeState.PAUSED
        self.tell(name)

    def start(self, name: str) -> None:
        node = self.nodes[name]
        node.container, node.network, node.kubelet = NodeState.RUNNING, True, True
        node.started = time.time()
        self.tell(name)

    def tell(self, name: str) -> None:
        for news in self._news:
            news.put(name)

    def add_pod(self, name: str, node: str, owner: str = "ReplicaSet") -> None:
        number = len(self.pods) + 1
        self.pods[name] = {
            "metadata": {
                "name": name,
                "uid": f"uid-{name}",
                "ownerReferences": [{"kind": owner, "controller": True}],
            },
            "spec": {"nodeName": node},
            "status": {"podIPs": [{"ip": f"10.244.0.{number}"}]},
        }

    def errno(self, asker: SimNode, target: str) -> str:
        node = next(n for n in self.nodes.values() if n.address == target.partition(":")[0])
        if not asker.network or not self.new_connections:
            return "silent"
        return {"silent": "silent", "refused": "111"}.get(node.reach(), "0")

    def mark_of(self, name: str) -> str | None:
        return self.nodes[name].annotations.get(OUT_OF_SERVICE_BY)

    def taints(self, name: str) -> list[str]:
        return [t["key"] for t in self.nodes[name].spec.get("taints", [])]

    @staticmethod
    def peek(running: Running) -> Object:
        """What the watchdog would write as its state."""
        return running.watchdog._status(ended=False)

    def pods_on(self, name: str) -> list[str]:
        return sorted(p for p, pod in self.pods.items() if pod["spec"]["nodeName"] == name)

    # The engine

    def _engine(self) -> None:
        if not self.engine_up:
            raise EngineError("the engine is gone")

    def containers(self) -> dict[str, NodeState]:
        self._engine()
        return {
            n.renamed or n.name: n.container
            for n in [*self.nodes.values(), *self.strangers]
            if n.container is not NodeState.ABSENT
        }

    def _container(self, name: str) -> SimNode | None:
        """By its name, or by its id."""
        everybody = [*self.nodes.values(), *self.strangers]
        return next((n for n in everybody if name in (n.renamed or n.name, n.id or None)), None)

    def inspect(self, name: str) -> Inspected:
        self._engine()
        node = self._container(name)
        if node is None:
            return Inspected(NodeState.ABSENT)
        return Inspected(node.container, text(node.started), node.id)

    def kill(self, name: str) -> None:
        self._engine()
        node = self._container(name)
        assert node is not None
        with self._step(f"kill {node.name}"):
            if not self.unkillable:
                self.stop(node.name)

    def run(self, name: str, argv: list[str]) -> str:
        self._engine()
        with self._step(f"clear {name}"):
            return f"conntrack v1.4.7 (conntrack-tools): {len(argv)} flow entries have been deleted.\n"

    def events(self) -> Iterator[str]:
        self._engine()
        mine: queue.Queue[str] = queue.Queue()
        self._news.append(mine)
        while name := mine.get():
            yield name

    def stop_events(self) -> None:
        for listener in self._news:
            listener.put("")

    def shell(self, name: str, _argv: list[str]) -> Any:
        self._engine()
        if not self.nodes[name].lives:
            raise EngineError(f"{name} does not run")
        return SimShell(self, self.nodes[name])

    # The API server

    def send(self, method: str, path: str, body: Object | None) -> Object:
        if not self.api_up:
            raise RefusedError(0, "no answer")
        for node in self.nodes.values():
            if node.lives and node.network:
                node.renewed = time.time()
        url = urllib.parse.urlsplit(path)
        self.asked.append(f"{method} {url.path}")
        parts = url.path.split("/")
        if url.path == "/version" or method == "post":
            return self._review(url.path, body or {}) if method == "post" else {}
        if url.path == "/api/v1/nodes":
            return {"items": [n.as_object() for n in self.nodes.values() if n.listed]}
        if url.path.endswith("/leases"):
            return {
                "items": [
                    {"metadata": {"name": n.name}, "spec": {"renewTime": text(n.renewed)}}
                    for n in self.nodes.values()
                ]
            }
        if parts[3] == "nodes":
            node = self.nodes[parts[4]]
            if not node.listed:
                raise RefusedError(404, "Not Found")
            if method == "patch":
                assert body is not None
                self._patch(node, body)
            return node.as_object()
        return self._pods(method, parts, urllib.parse.parse_qs(url.query), body)

    def _review(self, path: str, body: Object) -> Object:
        assert path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        asked = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": f"{asked['verb']} {asked['resource']}" not in self.refused}}

    def _patch(self, node: SimNode, body: Object) -> None:
        if body["metadata"]["resourceVersion"] != str(node.version):
            raise RefusedError(409, "Conflict")
        with self._step(f"patch {node.name}"):
            changed = merge(node.as_object(), body)
            own = {"kubernetes.io/hostname", "node-role.kubernetes.io/control-plane"}
            node.labels = {k: v for k, v in changed["metadata"]["labels"].items() if k not in own}
            node.annotations = changed["metadata"]["annotations"]
            node.spec = changed["spec"]
            node.version += 1

    def _pods(
        self, method: str, parts: list[str], query: dict[str, list[str]], body: Object | None
    ) -> Object:
        assert parts[4] == "site"
        if method == "get":
            node = query["fieldSelector"][0].removeprefix("spec.nodeName=")
            return {"items": [copy.deepcopy(self.pods[p]) for p in self.pods_on(node)]}
        assert body is not None
        assert body["gracePeriodSeconds"] == 0
        pod = self.pods.get(parts[6])
        if pod is None:
            raise RefusedError(404, "Not Found")
        if pod["metadata"]["uid"] != body["preconditions"]["uid"]:
            raise RefusedError(409, "Conflict")
        with self._step(f"delete {parts[6]}"):
            self.pods.pop(parts[6])
        return {}

    def _step(self, step: str) -> Step:
        return Step(self, step)


class Step:
    """Something that changes the world; the watchdog may end just before or just after it."""

    def __init__(self, world: World, step: str) -> None:
        self._world = world
        self._step = step

    def __enter__(self) -> None:
        self._world.before(self._step)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._world.done.append(self._step)
            self._world.after(self._step)


class Stop:
    """Stops when told to."""

    def __init__(self) -> None:
        self.why: str | None = None

    def reason(self) -> str | None:
        return self.why


@dataclass
class Running:
    """A watchdog that runs."""

    watchdog: Watchdog
    recorder: Recorder
    journal: Journal
    stop: Stop
    status: Path

    def events(self) -> list[str]:
        return [action["event"] for action in self.recorder.actions]

    def details(self, event: str) -> Object:
        return next(action for action in self.recorder.actions if action["event"] == event)


@asynccontextmanager
async def watching(
    world: World, directory: Path, *, pace: Pace = FAST, clear_flows: bool = False, out: Path | None = None
) -> AsyncIterator[Running]:
    """A watchdog of this world, until the end of the block."""
    recorder = Recorder(out)
    journal = Journal(directory / "journal.jsonl")
    stop = Stop()
    settings = Settings(
        profile="lab", namespace="site", clear_flows=clear_flows, status=directory / "watchdog.json"
    )
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        watchdog = Watchdog(
            settings, pace=pace, api=world.api, engine=world,  # type: ignore[arg-type]
            recorder=recorder, journal=journal, stop=stop, executor=executor,  # type: ignore[arg-type]
        )  # fmt: skip
        task = asyncio.create_task(watchdog.run())
        try:
            yield Running(watchdog, recorder, journal, stop, settings.status)
        finally:
            stop.why = "the end of the test"
            try:
                await task
            finally:
                journal.close()


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.005)


def giving(world: World, journal: Journal, *, clear_flows: bool = True) -> tuple[GiveAway, Recorder]:
    """What gives a node away in this world; its threads end with the process."""
    recorder = Recorder(None)
    return (
        GiveAway(
            api=world.api, engine=world, recorder=recorder, journal=journal,
            executor=concurrent.futures.ThreadPoolExecutor(8), namespace="site", clear_flows=clear_flows,
        ),
        recorder,
    )  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Three nodes, the first the only control plane; two pods of the site on the second, one on the third."""
    return make_world(monkeypatch)


def make_world(monkeypatch: pytest.MonkeyPatch, count: int = 3) -> World:
    """The same with more or fewer nodes."""
    made = World(count)

    class SimKubelet:
        def __init__(self, host: str, port: int) -> None:
            self.address = (host, port)
            self._node = next(n for n in made.nodes.values() if n.address == host)
            # The connection that is kept, by when the kubelet was started.
            self._kept: float | None = None

        async def ask(self, limit_s: float) -> Reach:
            reach = self._node.reach()
            if not made.new_connections and self._kept != self._node.kubelet_started:
                reach = Reach.SILENT
            if reach is Reach.ANSWERS:
                self._kept = self._node.kubelet_started
            if reach in {Reach.SILENT, Reach.MUTE}:
                await asyncio.sleep(limit_s)
            return self._node.reach() if reach is Reach.ANSWERS else reach

        def close(self) -> None: ...

    monkeypatch.setattr(looking, "Kubelet", SimKubelet)
    monkeypatch.setattr(giveback, "Kubelet", SimKubelet)
    return made


@pytest.fixture(autouse=True)
def _not_in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run within the tests' own process, and must not leave it in a hurry."""
    monkeypatch.setattr(command, "hasten", lambda _level: None)
