"""``engine-here``: what the container engine says of itself, and whether it can carry a lab on this machine.

The docker command is asked, not the socket: it alone knows the user's contexts and DOCKER_HOST, as minikube
will.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab import arguments
from failover_lab.door.answer import Answer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

Object = dict[str, Any]

INFO_TIMEOUT_S = 30.0
_DETAIL_TIMEOUT_S = 10.0
_SOCKET_TIMEOUT_S = 2.0
_OWN = "use the Docker of this machine itself (`unset DOCKER_HOST`, `docker context use default`)"
# Without a scheme the docker command takes it for tcp's.
_ELSEWHERE = re.compile(r"((ssh|tcp|https?)://)?(?!127\.|localhost(:|/|$)|\[::1\]|[a-z]+://|/).")
_ENDPOINT = re.compile(r"(\S+) ([a-z]+://\S*)")


@dataclass(frozen=True)
class Engine:
    """What an engine tells.

    Attributes:
        info: of ``docker info``.
        components: the names of what ``docker version`` lists of the server.
        gateways: the addresses that its machine has on the bridge of its default network.
        listener: the process that listens at its socket; 0 if unknown.
    """

    info: Object
    components: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    listener: int = 0


@dataclass(frozen=True)
class Endpoint:
    """Where the docker command would ask: the name of its context, and the address; empty if unknown."""

    context: str = ""
    address: str = ""

    @property
    def elsewhere(self) -> str:
        """Why a lab cannot be there, with a remedy; empty unless it is the address of another machine."""
        if not _ELSEWHERE.match(self.address):
            return ""
        # The context of this name is whatever DOCKER_HOST says.
        if self.context == "default":
            return (
                f"DOCKER_HOST={self.address} names an engine on another machine, and the lab's address would "
                "answer only there. Unset DOCKER_HOST, or run the lab on that machine."
            )
        return (
            f"The docker context {self.context} names an engine on another machine ({self.address}), and the "
            "lab's address would answer only there. Unset DOCKER_CONTEXT and run `docker context use "
            "default`, or run the lab on that machine."
        )

    @property
    def socket(self) -> str:
        """The path of its socket; empty if it has none."""
        return self.address.removeprefix("unix://") if self.address.startswith("unix://") else ""


@dataclass(frozen=True)
class Machine:
    """What this machine is called, and which kernel it runs."""

    name: str
    kernel: str
    processes: Path = Path("/proc")

    def shares_network_with(self, pid: int) -> bool:
        """Whether a process has the network that this one has; true where nobody can tell.

        Which namespace it is in only root may read of root's processes. The files about its network anybody
        may look at, and every network has files of its own.
        """
        try:
            theirs = (self.processes / str(pid) / "net/dev").stat().st_ino
            return theirs == (self.processes / "self/net/dev").stat().st_ino
        except OSError:
            return True

    def has(self, address: str) -> bool:
        """Whether an address is one of its own, in the network namespace of this process."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
            except OSError:
                return False
        return True


def unfit(engine: Engine, machine: Machine) -> str:
    """Why a lab cannot be carried by it, with a remedy; empty if nothing is known against it.

    That it is too old, rootless, or for Windows is told elsewhere.
    """
    return next(_objections(engine, machine), "")


def _objections(engine: Engine, machine: Machine) -> Iterator[str]:
    """What speaks against it, the surest first."""
    info = engine.info
    root, name = str(info.get("DockerRootDir") or ""), str(info.get("Name") or "")
    kernel = str(info.get("KernelVersion") or "")
    if any(part.startswith("Podman") for part in engine.components) or root.endswith("/containers/storage"):
        yield f"What answers as Docker is Podman, which cannot run these nodes: {_OWN}, or install it."
    if info.get("OSType", "linux") != "linux" or "name=rootless" in (info.get("SecurityOptions") or []):
        return
    if root.startswith("/var/snap/"):
        yield (
            "This Docker is snap's, which sees neither hidden folders nor those outside of the home "
            "directory: `sudo snap remove docker`, and install the package docker.io or docker-ce."
        )
    if info.get("OperatingSystem") == "Docker Desktop":
        yield (
            "Docker Desktop keeps its containers in a virtual machine, and this machine has no way to the "
            "lab's addresses there: install Docker Engine (docker.io or docker-ce) beside it and `docker "
            "context use default`; on macOS and Windows, run the lab in a Linux machine."
        )
    if kernel and kernel != machine.kernel:
        yield (
            f"The engine is not on this machine but on {name or 'another one'} "
            f"({info.get('OperatingSystem')}, kernel {kernel}; here it is {machine.kernel}), as Colima, Lima "
            "and others have it, and the lab's addresses can be reached only there: run the lab there, or "
            f"{_OWN}."
        )
    # Each Docker gives its first bridge the same address, so that this machine's own may have it as well.
    if engine.listener and not machine.shares_network_with(engine.listener):
        yield (
            f"The engine runs on this machine in a network of its own (the network namespace of process "
            f"{engine.listener}), and the lab's addresses can be reached only from there: {_OWN}, or run the "
            "lab in that namespace."
        )
    foreign = [address for address in engine.gateways if not machine.has(address)]
    if foreign:
        yield (
            f"The engine's network is not this machine's: {foreign[0]}, its own address on it, is not one of "
            "those here. Where this is a container with the engine's socket in it, run the lab outside of "
            f"it, or give it --network=host; else {_OWN}."
        )
    if name and name != machine.name:
        yield (
            f"The engine is that of {name}, and this machine is {machine.name}: the lab's addresses can be "
            f"reached only there. After `minikube docker-env`, `unset DOCKER_HOST`; else {_OWN}."
        )


def _docker(words: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Ask the docker command; status 124 where it says nothing for so long, as ``timeout`` has it."""
    try:
        return subprocess.run(
            ["docker", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", "")
    except OSError:
        return subprocess.CompletedProcess(words, 127, "", "")


def _json(words: Sequence[str]) -> Any:  # noqa: ANN401 - of any shape
    """What the docker command answers; nothing where that is no JSON."""
    with contextlib.suppress(ValueError):
        return json.loads(_docker(words, _DETAIL_TIMEOUT_S).stdout)
    return None


def endpoint() -> Endpoint:
    """Where the docker command would ask; no engine is needed to know."""
    if host := os.environ.get("DOCKER_HOST"):
        return Endpoint("default", host)
    words = ["context", "inspect", "--format", "{{.Name}} {{.Endpoints.docker.Host}}"]
    found = _ENDPOINT.fullmatch(_docker(words, _DETAIL_TIMEOUT_S).stdout.strip())
    return Endpoint(*found.groups()) if found else Endpoint()


def listener(path: str) -> int:
    """The process that listens at a socket; 0 where the system does not tell."""
    if not path or not hasattr(socket, "SO_PEERCRED"):
        return 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.settimeout(_SOCKET_TIMEOUT_S)
        try:
            asked.connect(path)
            pid, _, _ = struct.unpack("3i", asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            return 0
    return int(pid)


def ask(info: Object, where: Endpoint) -> Engine:
    """What else there is to know of the engine that has said this of itself."""
    components = _json(["version", "--format", "{{json .Server.Components}}"])
    networks = _json(["network", "inspect", "bridge"])
    config: list[Object] = []
    if isinstance(networks, list) and networks:
        config = (networks[0].get("IPAM") or {}).get("Config") or []
    return Engine(
        info,
        tuple(str(item.get("Name")) for item in components) if isinstance(components, list) else (),
        tuple(str(item["Gateway"]) for item in config if item.get("Gateway")),
        listener(where.socket),
    )


def run(_options: argparse.Namespace) -> Answer:
    """Ask the container engine whether it can carry a lab here.

    Prints what `docker info` says; under `Unfit`, why the engine will not do.
    """
    where = endpoint()
    if where.elsewhere:
        # It may be behind a login, or not answer for minutes: that it is not here is known without it.
        away = {"Unfit": where.elsewhere}
        print(json.dumps(away))
        return Answer({"info": away, "complaint": "", "podman": False})
    asked = _docker(["info", "--format", "{{json .}}"], INFO_TIMEOUT_S)
    sys.stderr.write(asked.stderr)
    info: Any = None
    with contextlib.suppress(ValueError):
        info = json.loads(asked.stdout)
    if asked.returncode == 124:
        info = {"ServerErrors": [f"it takes the question and says nothing for {INFO_TIMEOUT_S:.0f} s"]}
    if not isinstance(info, dict):
        sys.stdout.write(asked.stdout)
        return _told({}, asked)
    if info.get("ServerVersion"):
        system = os.uname()
        info["Unfit"] = unfit(ask(info, where), Machine(system.nodename, system.release))
    print(json.dumps(info))
    return _told(info, asked)


def _told(info: Object, asked: subprocess.CompletedProcess[str]) -> Answer:
    complaint = asked.stderr.strip()
    if asked.stdout.strip() and not info and not complaint:
        # Else it would count as none, and one would be installed and started.
        said = asked.stdout.strip().splitlines()[0][:80]
        complaint = f"{shutil.which('docker')} says '{said}' where an account of the engine is due: a script?"
    # Podman's command has an account of its own, whose shape tells whose it is.
    podman = "podman" in complaint.lower() or "buildahVersion" in asked.stdout
    data = {"info": info, "complaint": complaint, "podman": podman}
    return Answer(data, status=asked.returncode, why=complaint if asked.returncode else "")


def add_parser(commands: arguments.Commands) -> None:
    """Add this subcommand."""
    arguments.command(commands, "engine-here", run)
