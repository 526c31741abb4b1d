"""The container engine: what it says of the nodes' containers, and what it does to them."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from failover_lab.errors import UserError
from failover_lab.nodes import proof
from failover_lab.nodes.driver import DriverError, Inspected, Listed, NodeState, unanswered
from failover_lab.nodes.minikube import MARK, node_name, of_profile
from failover_lab.run.lifetime import is_in_group

# Longer than the engine itself waits for a container that it kills (10 s, and 2 s more).
_TIMEOUT_S = 15
_STATES = {
    "running": NodeState.RUNNING,
    "paused": NodeState.PAUSED,
    "exited": NodeState.STOPPED,
    "dead": NodeState.STOPPED,
    "created": NodeState.STOPPED,
    "removing": NodeState.STOPPED,
}
# `kill` comes before the container has ended; it is only a hint to look.
_NEWS = ["die", "kill", "pause", "unpause", "start"]
_STDOUT = 1

T = TypeVar("T")


class EngineError(DriverError):
    """The engine does not answer, or has refused."""

    who = "the container engine"
    remedy = "`docker info` must work"


def networks_of(item: Mapping[str, Any]) -> list[str]:
    """The networks that a container is on, as the engine lists or inspects it."""
    return list((item.get("NetworkSettings") or {}).get("Networks") or {})


class Shell:
    """A program in a node, with its input and output; lives as long as this side does."""

    def __init__(self, sock: socket.socket, response: object) -> None:
        """Take over the connection on which the program was started."""
        self._sock = sock
        # A connection that was idle is no broken one.
        sock.settimeout(None)
        # What holds the connection open must live as long.
        self._response = response

    def write(self, line: str) -> None:
        """Send one line.

        Raises:
            OSError: the program or the engine is gone.
        """
        self._sock.sendall(line.encode() + b"\n")

    def lines(self) -> Iterator[str]:
        """Each line that the program writes, until it ends."""
        from docker.utils.socket import SocketError, frames_iter  # noqa: PLC0415

        rest = b""
        try:
            for stream, data in frames_iter(self._sock, tty=False):
                if stream == _STDOUT:
                    *whole, rest = (rest + data).split(b"\n")
                    yield from (line.decode(errors="replace") for line in whole)
        except (OSError, SocketError, ValueError):
            return

    def close(self) -> None:
        """End the program: its input ends with the connection."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def _address() -> dict[str, Any]:
    """Which engine, as the docker command chooses it: $DOCKER_HOST, the chosen context, the usual socket."""
    from docker.context import ContextAPI  # noqa: PLC0415
    from docker.utils import kwargs_from_env  # noqa: PLC0415

    found: dict[str, Any] = kwargs_from_env()
    if not os.environ.get("DOCKER_HOST"):
        # docker-py knows the file in which a context is chosen, and not the variable.
        chosen = os.environ.get("DOCKER_CONTEXT", "")
        context = ContextAPI.get_context(chosen or None)
        if context is None and chosen:
            raise UserError(
                f"DOCKER_CONTEXT={chosen} is not among `docker context ls`: unset it, or name one"
            )
        if context is not None and context.name != "default":
            found = {"base_url": context.Host, "tls": context.TLSConfig or False}
    return found


class Engine:
    """The containers of one minikube profile, which are named like the nodes; or those of any cluster.

    Attributes:
        forgets_names: whether a node that the engine starts has to be told where the control plane is.
    """

    name = "docker"
    who = EngineError.who
    machine = "container"
    # A container that has ended has no process left. No policy starts one again that somebody has killed.
    fences = True

    def __init__(self, profile: str, *, nodes: Callable[[], list[proof.Member]] | None = None) -> None:
        """Connect.

        Args:
            profile: of minikube.
            nodes: asks the cluster for its nodes; then a container is only taken if it is proven to be one of
                them, whoever has made it.

        Raises:
            UserError: no engine answers.
        """
        import docker  # noqa: PLC0415
        from docker import errors  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415

        self._errors = (
            errors.DockerException, errors.StreamParseError, RequestException, OSError, ValueError
        )  # fmt: skip
        self._absent: type[Exception] = errors.NotFound
        self.profile = profile
        self.forgets_names = nodes is None
        self._nodes = nodes
        self._proven: dict[str, str] = {}
        self._name = node_name(profile)
        self._events: Any = None
        try:
            self._client = docker.APIClient(version="auto", timeout=_TIMEOUT_S, **_address())
        except self._errors as error:
            raise unanswered(EngineError(_line(error))) from error

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except self._absent:
            raise
        except self._errors as error:
            raise EngineError(_line(error)) from error

    def _of_one(self, call: Callable[[], T]) -> T:
        """Ask for something of a container that has to be there."""
        try:
            return self._ask(call)
        except self._absent as error:
            raise EngineError(_line(error)) from error

    def listed(self) -> list[Listed]:
        """The nodes' containers, in whatever state.

        Raises:
            EngineError: the engine does not answer.
        """
        if self._nodes is not None:
            return self._found(self._nodes())
        return [
            one
            for one in self.marked()
            if self._name.fullmatch(one.name) and of_profile(self.profile, one.networks) is not False
        ]

    def _found(self, nodes: list[proof.Member]) -> list[Listed]:
        """The containers that are proven to be these nodes, by the nodes' names."""
        every = self._ask(lambda: self._client.containers(all=True))
        by_id = {str(item.get("Id", "")): item for item in every}
        candidates = [self._candidate(id_, item) for id_, item in by_id.items()]
        boot_id = proof.own_boot_id()
        found: dict[str, str] = {}
        for node in nodes:
            # What was proven once stays so, by its id: started anew, it may have another address.
            id_ = self._proven.get(node.name, "")
            if id_ not in by_id:
                one = proof.proven(
                    node, candidates, hostname=self._hostname, machine_id=self._machine_id, boot_id=boot_id
                )
                id_ = one.id if one else ""
            if id_:
                found[node.name] = id_
        self._proven |= found
        self.forgets_names = any((by_id[id_].get("Labels") or {}).get(MARK) for id_ in found.values())
        return [
            Listed(name, id_, str(by_id[id_].get("State", "")), tuple(networks_of(by_id[id_])))
            for name, id_ in found.items()
        ]

    def _candidate(self, id_: str, item: Mapping[str, Any]) -> proof.Candidate:
        networks = ((item.get("NetworkSettings") or {}).get("Networks") or {}).values()
        addresses = {
            str(one.get(key) or "") for one in networks for key in ("IPAddress", "GlobalIPv6Address")
        }
        names = [str(name).removeprefix("/") for name in item.get("Names") or [""]]
        runs = item.get("State") in ("running", "paused")
        return proof.Candidate(
            id_, names[0], frozenset(addresses - {""}), here=runs and self.process(id_) is not None
        )

    def _hostname(self, id_: str) -> str:
        found = self._of_one(lambda: self._client.inspect_container(id_))
        return str((found.get("Config") or {}).get("Hostname", ""))

    def _machine_id(self, id_: str) -> str:
        """What a kubelet in a container would tell as its machine's id; the container need not run."""
        try:
            stream, _ = self._ask(lambda: self._client.get_archive(id_, proof.MACHINE_ID))
            packed = self._ask(lambda: b"".join(stream))
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                file = archive.extractfile(archive.getmembers()[0])
                return "" if file is None else file.read().decode(errors="replace").strip()
        except (self._absent, tarfile.TarError, IndexError, KeyError):
            return ""

    def _of(self, name: str) -> str:
        """How the engine is asked for a node.

        Raises:
            EngineError: no container is proven to be it.
        """
        if self._nodes is None:
            return name
        if name not in self._proven and name not in self._proven.values():
            self.listed()
        if name in self._proven.values():
            return name
        if name not in self._proven:
            raise EngineError(f"no container here is proven to be the node {name}")
        return self._proven[name]

    def marked(self) -> list[Listed]:
        """All containers that minikube has made here, of whatever profile.

        Raises:
            EngineError: the engine does not answer.
        """
        marked = {"label": f"{MARK}=true"}
        return [
            Listed(name, str(item.get("Id", "")), str(item.get("State", "")), tuple(networks_of(item)))
            for item in self._ask(lambda: self._client.containers(all=True, filters=marked))
            for name in (str(n).removeprefix("/") for n in item.get("Names") or [])
        ]

    def labels(self, kind: str, name: str) -> dict[str, str] | None:
        """What a container, a volume or a network of exactly this name has for labels; None if there is none.

        Args:
            kind: ``container``, ``volume`` or ``network``.
            name: of it.

        Raises:
            EngineError: the engine does not answer.
        """
        inspect = getattr(self._client, f"inspect_{kind}")
        try:
            found = self._ask(lambda: inspect(name))
        except self._absent:
            return None
        # The engine takes the beginning of an id for a name as well.
        if str(found.get("Name", "")).removeprefix("/") != name:
            return None
        return dict((found.get("Config") or found).get("Labels") or {})

    def containers(self) -> dict[str, NodeState]:
        """The state of each of the nodes' containers.

        Raises:
            EngineError: the engine does not answer.
        """
        return {one.name: _STATES.get(one.state, NodeState.UNKNOWN) for one in self.listed()}

    def inspect(self, name: str) -> Inspected:
        """One container, asked by itself.

        Raises:
            EngineError: the engine does not answer.
        """
        container_id = self._of(name)
        try:
            container = self._ask(lambda: self._client.inspect_container(container_id))
        except self._absent:
            return Inspected(NodeState.ABSENT)
        state = container["State"]
        # To the engine a paused one is running as well, and one that it is about to start again may seem to
        # have ended.
        if state.get("Paused"):
            found = NodeState.PAUSED
        elif state.get("Restarting"):
            found = NodeState.UNKNOWN
        else:
            found = NodeState.RUNNING if state.get("Running") else NodeState.STOPPED
        return Inspected(found, str(state.get("StartedAt", "")), str(container.get("Id", "")))

    def process(self, name: str) -> int | None:
        """The number on this machine of a container's first process; None: it has none, or none here.

        Raises:
            EngineError: the engine does not answer.
        """
        # Candidates are asked as well, and they are asked for by their ids.
        container = name if self._nodes is not None and name not in self._proven else self._of(name)
        try:
            found = self._ask(lambda: self._client.inspect_container(container))
        except self._absent:
            return None
        pid = int(found["State"].get("Pid") or 0)
        # An engine may be in a machine of its own, whose numbers mean something else here.
        return pid if pid > 1 and is_in_group(pid, str(found.get("Id", ""))) else None

    def has(self, name: str, path: str) -> bool:
        """Whether there is such a file in a container, which need not run. Without that container: no.

        Raises:
            EngineError: the engine does not answer.
        """
        container = self._of(name)
        try:
            self._ask(lambda: self._client.get_archive(container, path))
        except self._absent:
            return False
        return True

    def kill(self, name: str) -> None:
        """SIGKILL to everything in a container; it may be paused, have ended, or be absent.

        Raises:
            EngineError: the engine does not answer, or has refused.
        """
        container = self._of(name)
        try:
            self._ask(lambda: self._client.kill(container, "SIGKILL"))
        except self._absent:
            return
        except EngineError:
            # So it answers where nothing is left to be killed, too.
            if not self.inspect(name).state.is_down:
                raise

    def start(self, name: str) -> None:
        """Start a container that has ended; one that runs stays as it is.

        Raises:
            EngineError: the engine does not answer, or has refused, or there is no such container.
        """
        container = self._of(name)
        self._of_one(lambda: self._client.start(container))

    def pause(self, name: str) -> None:
        """Stop every process of a container, while its kernel goes on; one that is paused stays so.

        Raises:
            EngineError: the engine does not answer, or has refused, or there is no such container that runs.
        """
        self._unless(name, NodeState.PAUSED, self._client.pause)

    def resume(self, name: str) -> None:
        """Let the processes of a container go on; one that is not paused stays as it is.

        Raises:
            EngineError: the engine does not answer, or has refused, or there is no such container.
        """
        self._unless(name, NodeState.RUNNING, self._client.unpause)

    def _unless(self, name: str, wanted: NodeState, change: Callable[[str], object]) -> None:
        """Change a container's state, unless it is the wanted one already: the engine would refuse."""
        container = self._of(name)
        if self.inspect(name).state is not wanted:
            self._of_one(lambda: change(container))

    def ended_at(self, name: str, since: float) -> float | None:
        """When a container was killed last, by the engine's own account, in seconds since 1970.

        Raises:
            EngineError: the engine does not answer.
        """
        return self._last(name, "kill", since)

    def paused_at(self, name: str, since: float) -> float | None:
        """When a container was paused last, by the engine's own account, in seconds since 1970.

        Raises:
            EngineError: the engine does not answer.
        """
        return self._last(name, "pause", since)

    def _last(self, name: str, event: str, since: float) -> float | None:
        # Until now: what has happened is told, and nothing waited for.
        container = self._of(name)
        told: Any = self._ask(
            lambda: self._client.events(
                decode=True,
                since=f"{since:.9f}",
                until=f"{time.time():.9f}",
                filters={"type": "container", "container": container, "event": event},
            )
        )
        events: list[Any] = self._ask(lambda: list(told))
        # The engine finds more: those whose names begin so.
        found = [
            int(one["timeNano"]) / 1e9
            for one in events
            if container in (one["Actor"]["Attributes"]["name"], one["Actor"].get("ID"))
        ]
        return found[-1] if found else None

    def events(self) -> Iterator[str]:
        """The name of each container to which something happens, as it happens.

        It ends with the connection, and where the engine refuses.

        Raises:
            EngineError: the engine does not answer.
        """
        events = self._ask(
            lambda: self._client.events(decode=True, filters={"type": "container", "event": _NEWS})
        )
        self._events = events
        try:
            for event in events:
                actor = event.get("Actor") or {}
                name = str((actor.get("Attributes") or {}).get("name", ""))
                if self._nodes is not None:
                    yield from (node for node, id_ in self._proven.items() if id_ == actor.get("ID"))
                elif self._name.fullmatch(name):
                    yield name
        except self._errors as error:
            raise EngineError(_line(error)) from error

    def stop_events(self) -> None:
        """End these events, from another thread than the one that waits for them."""
        if self._events is not None:
            with contextlib.suppress(*self._errors, OSError, AttributeError):
                self._events.close()

    def shell(self, name: str, argv: list[str]) -> Shell:
        """Start a program in a node and keep hold of its input and output.

        Raises:
            EngineError: the engine does not answer, or the node does not run.
        """
        container = self._of(name)
        return self._of_one(lambda: self._shell(container, argv))

    def _shell(self, name: str, argv: list[str]) -> Shell:
        created = self._client.exec_create(name, argv, stdin=True, stdout=True, stderr=False, user="root")
        stream = self._client.exec_start(created["Id"], socket=True)
        # Of a plain connection the package gives a reader, around the socket that is needed to write.
        return Shell(getattr(stream, "_sock", stream), stream)

    def run(self, name: str, argv: list[str]) -> str:
        """Run a program in a node to its end; gives back what it wrote, errors included.

        The docker package may lose what a program writes in its first moment.

        Raises:
            EngineError: the engine does not answer, or the node does not run.
        """
        container = self._of(name)
        return self._of_one(lambda: self._run(container, argv))

    def _run(self, name: str, argv: list[str]) -> str:
        created = self._client.exec_create(name, argv, user="root")
        output: bytes = self._client.exec_start(created["Id"])
        return output.decode(errors="replace")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
