"""The paths themselves, over real sockets on the loopback: the kubelet's, and the program in a node."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.watchdog.conftest import until
from tests.unit.watchdog.fakes import UNAUTHORIZED, KubeletServer, make_certificate, serving

from failover_lab.nodes.docker import EngineError, Shell
from failover_lab.watchdog import peers as peers_module
from failover_lab.watchdog.kubelet import Kubelet, ask_anew, reach_of
from failover_lab.watchdog.peers import ARGV, Peer, Peers
from failover_lab.watchdog.sights import Reach


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests."""
    return make_certificate(tmp_path_factory.mktemp("tls") / "kubelet.pem")


def test_a_status_of_any_kind_is_an_answer_and_the_connection_is_kept(certificate: Path) -> None:
    async def run() -> None:
        server = KubeletServer()
        async with serving(server.handle, certificate) as port:
            kubelet = Kubelet("127.0.0.1", port)
            assert [await kubelet.ask(2) for _ in range(5)] == [Reach.ANSWERS] * 5
            kubelet.close()
            kubelet.close()
        assert server.connections == 1
        assert server.requests[0].startswith(b"GET /healthz HTTP/1.1\r\n")

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    ],
)
def test_a_connection_that_cannot_be_kept_is_not(certificate: Path, answer: bytes) -> None:
    async def run() -> None:
        server = KubeletServer(answer)
        async with serving(server.handle, certificate) as port:
            kubelet = Kubelet("127.0.0.1", port)
            assert [await kubelet.ask(2) for _ in range(2)] == [Reach.ANSWERS] * 2
        assert server.connections == 2

    asyncio.run(run())


def test_a_kubelet_that_was_started_again_is_asked_on_a_new_connection(certificate: Path) -> None:
    async def run() -> None:
        server = KubeletServer()
        async with serving(server.handle, certificate) as port:
            kubelet = Kubelet("127.0.0.1", port)
            assert await kubelet.ask(2) is Reach.ANSWERS
            server.writers[0].transport.abort()
            await asyncio.sleep(0.05)
            assert await kubelet.ask(2) is Reach.ANSWERS
            kubelet.close()
        assert server.connections == 2

    asyncio.run(run())


def test_a_connection_without_a_word_is_no_answer(certificate: Path) -> None:
    """As of a frozen node: its kernel completes the connection."""

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            kubelet = Kubelet("127.0.0.1", listening.getsockname()[1])
            began = time.monotonic()
            assert await kubelet.ask(0.1) is Reach.MUTE
            assert 0.09 < time.monotonic() - began < 8

    asyncio.run(run())


def test_a_kubelet_that_freezes_on_a_kept_connection_is_mute(certificate: Path) -> None:
    async def run() -> None:
        server = KubeletServer()
        async with serving(server.handle, certificate) as port:
            kubelet = Kubelet("127.0.0.1", port)
            assert await kubelet.ask(2) is Reach.ANSWERS
            server.answer = b" " * 1
            assert await kubelet.ask(0.1) is Reach.MUTE
            # The next one does not wait on the same connection.
            server.answer = UNAUTHORIZED
            assert await kubelet.ask(2) is Reach.ANSWERS
            kubelet.close()
        assert server.connections == 2

    asyncio.run(run())


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert asyncio.run(Kubelet("127.0.0.1", port).ask(2)) is Reach.REFUSED


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that lets packets fall: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        port = listening.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        time.sleep(0.05)
        yield port
        for filler in fillers:
            filler.close()


def test_nothing_comes_back(silent: int) -> None:
    async def run() -> None:
        kubelet = Kubelet("127.0.0.1", silent)
        assert [await kubelet.ask(0.05) for _ in range(3)] == [Reach.SILENT] * 3

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n" + b" " * 20, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000]
)
def test_something_else_than_a_kubelet_says_nothing(certificate: Path, answer: bytes) -> None:
    async def run() -> None:
        server = KubeletServer(answer)
        async with serving(server.handle, certificate) as port:
            reach = await Kubelet("127.0.0.1", port).ask(2)
            assert reach is (Reach.UNKNOWN if answer else Reach.REFUSED)

    asyncio.run(run())


def test_something_without_tls_says_nothing() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n" * 3)
        await writer.drain()

    async def run() -> None:
        async with serving(talk, None) as port:
            assert await Kubelet("127.0.0.1", port).ask(2) is Reach.UNKNOWN

    asyncio.run(run())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_ask_that_is_broken_off_leaves_nothing_behind(certificate: Path) -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            kubelet = Kubelet("127.0.0.1", listening.getsockname()[1])
            open_before = open_files()
            for _ in range(20):
                task = asyncio.create_task(kubelet.ask(5))
                await asyncio.sleep(0.002)
                task.cancel()
                await asyncio.wait({task})
            assert open_files() <= open_before
        # And numbers of sockets that are used again are not taken for the old ones.
        server = KubeletServer()
        async with serving(server.handle, certificate) as port:
            kubelet = Kubelet("127.0.0.1", port)
            assert await kubelet.ask(2) is Reach.ANSWERS
            kubelet.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "reach"),
    [
        (0, Reach.MUTE),
        (errno.ECONNREFUSED, Reach.REFUSED),
        (errno.ECONNRESET, Reach.REFUSED),
        (errno.EHOSTUNREACH, Reach.SILENT),
        (errno.ETIMEDOUT, Reach.SILENT),
        # These say something of this machine.
        (errno.EMFILE, Reach.UNKNOWN),
        (errno.EPERM, Reach.UNKNOWN),
        (errno.EADDRNOTAVAIL, Reach.UNKNOWN),
    ],
)
def test_what_an_error_says(code: int, reach: Reach) -> None:
    assert reach_of(code) is reach


class LocalShell(Shell):
    """The program that waits in a node, started on this machine."""

    def __init__(self, argv: list[str]) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    def lines(self) -> Iterator[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield line.decode().rstrip("\n")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class LocalNodes:
    """Nodes that are this machine."""

    def __init__(self) -> None:
        self.shells: list[LocalShell] = []
        self.fail = False

    def shell(self, name: str, argv: list[str]) -> Shell:
        if self.fail:
            raise EngineError(f"{name} does not run")
        self.shells.append(LocalShell(argv))
        return self.shells[-1]


def test_the_program_in_the_node_tells_what_it_reaches(silent: int) -> None:
    async def run() -> None:
        nodes = LocalNodes()
        peers = Peers(nodes)
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            socket.create_server(("127.0.0.1", 0)) as closed,
        ):
            there, nobody = listening.getsockname()[1], closed.getsockname()[1]
            closed.close()
            addresses = {
                "a": f"127.0.0.1:{there}",
                "b": f"127.0.0.1:{nobody}",
                "c": f"127.0.0.1:{silent}",
            }
            assert await peers.ask(addresses, 0.1) == {"a": {}, "b": {}, "c": {}}
            peers.keep(["a", "b", "stranger"])
            await until(lambda: peers.ready() == {"a", "b", "stranger"})
            began = time.monotonic()
            assert await peers.ask(addresses, 0.1) == {
                "a": {"b": Reach.MUTE},
                "b": {"a": Reach.REFUSED},
                "c": {"a": Reach.SILENT, "b": Reach.SILENT},
            }
            assert 0.09 < time.monotonic() - began < 8
            # Each question has its own answer.
            del addresses["c"]
            for _ in range(3):
                assert await peers.ask(addresses, 0.1) == {"a": {"b": Reach.MUTE}, "b": {"a": Reach.REFUSED}}
            peers.keep(["a"])
            assert peers.ready() == {"a"}
            peers.end()
        await until(lambda: all(shell.process.poll() is not None for shell in nodes.shells))

    asyncio.run(run())


def test_a_program_that_has_to_wait_for_a_processor_makes_no_silence() -> None:
    """The kernel has noted the answer meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        shell = LocalShell(ARGV)
        lines = shell.lines()
        shell.write("0 0")
        assert next(lines) == "0"
        # No time at all to wait, as when it is woken up after its time is over.
        shell.write(f"1 0 127.0.0.1:{port}")
        assert next(lines) == f"1 127.0.0.1:{port}=0"
        # What it cannot make sense of it leaves out.
        shell.write(f"2 0.1 nonsense 127.0.0.1:{port} [::1]:5")
        assert next(lines) == f"2 127.0.0.1:{port}=0"
        shell.close()


def test_addresses_of_six_are_asked_too(certificate: Path) -> None:
    shell = LocalShell(ARGV)
    lines = shell.lines()
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        port = listening.getsockname()[1]
        shell.write(f"1 0.1 ::1:{port}")
        assert next(lines) == f"1 ::1:{port}=0"
    shell.write(f"2 0.1 ::1:{port} nobody::here:1")
    assert next(lines) == f"2 ::1:{port}=111"
    shell.close()

    async def run() -> None:
        server = KubeletServer()
        async with serving(server.handle, certificate, host="::1") as port:
            assert await ask_anew(f"::1:{port}", 2) is Reach.ANSWERS
        assert f"Host: [::1]:{port}\r\n".encode() in server.requests[0]

    asyncio.run(run())


def test_a_program_that_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "_AGAIN_S", 0.05)

    async def run() -> None:
        nodes = LocalNodes()
        peers = Peers(nodes)
        peers.keep(["a"])
        await until(lambda: peers.ready() == {"a"})
        nodes.fail = True
        nodes.shells[0].process.kill()
        nodes.shells[0].process.wait()
        await until(lambda: peers.ready() == set())
        assert await peers.ask({"b": "127.0.0.1:1"}, 0.1) == {"b": {}}
        nodes.fail = False
        await until(lambda: peers.ready() == {"a"})
        peers.end()
        assert len(nodes.shells) == 2

    asyncio.run(run())


class StuckShell(LocalShell):
    """Takes questions and gives no answer after the first."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.release = threading.Event()
        self.said_all = False
        self.ended = threading.Event()

    def write(self, line: str) -> None:
        self.written.append(line)

    def lines(self) -> Iterator[str]:
        yield "0"
        self.release.wait(5)
        yield "1 10.0.0.1:1=nonsense"
        yield ""
        yield "77 10.0.0.1:1=0"
        self.said_all = True
        self.ended.wait(5)

    def close(self) -> None:
        self.ended.set()


def test_a_program_that_is_stuck_is_not_asked_for_ever() -> None:
    stuck = StuckShell()

    class Opener:
        def shell(self, _name: str, _argv: list[str]) -> Shell:
            return stuck

    async def run() -> None:
        peer = Peer("a", Opener(), asyncio.get_running_loop())
        peer.start()
        await until(lambda: peer.ready)
        assert await peer.ask(["10.0.0.1:1"], 0.02) == {}
        assert not peer.ready
        for _ in range(5):
            assert await peer.ask(["10.0.0.1:1"], 0.02) == {}
        assert stuck.written == ["0 0", "1 0.02 10.0.0.1:1"]
        # Once it speaks, however late and whatever it says, it is asked again.
        stuck.release.set()
        await until(lambda: peer.ready and stuck.said_all)
        peer.end()

    asyncio.run(run())


def test_a_word_that_is_no_number_says_nothing() -> None:
    assert peers_module._reach("nonsense") is Reach.UNKNOWN
