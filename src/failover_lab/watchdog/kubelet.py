"""Does a node's kubelet answer from this machine? Any HTTP status is an answer, a bare connection is none."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from failover_lab.watchdog.sights import Reach

PORT = 10250
_NOTHING_CAME_BACK = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.ENETDOWN}
)
_MOST_HEADERS = 64 * 1024

T = TypeVar("T")


def reach_of(code: int) -> Reach:
    """What the error number of a connection attempt says of the other side; 0 is a connection."""
    if code == 0:
        return Reach.MUTE
    if code in {errno.ECONNREFUSED, errno.ECONNRESET}:
        return Reach.REFUSED
    return Reach.SILENT if code in _NOTHING_CAME_BACK else Reach.UNKNOWN


def _trusting() -> ssl.SSLContext:
    # A kubelet signs its own certificate. Nothing secret is said, and an impostor could only say that it
    # lives.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Line:
    """One TLS connection whose every step can be broken off; asyncio's own lingers after that."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.connected = False

    async def open(self, address: tuple[str, int]) -> None:
        await self._loop.sock_connect(self._sock, address)
        self.connected = True
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._do(self._tls.do_handshake)

    async def _do(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                received = await self._loop.sock_recv(self._sock, 65536)
                if not received:
                    raise ConnectionResetError(errno.ECONNRESET, "closed by the other side") from None
                self._incoming.write(received)
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._loop.sock_sendall(self._sock, self._outgoing.read())

    async def ask(self, request: bytes) -> bool:
        """Send a request and read the answer; gives back whether the connection may be used again.

        Raises:
            OSError: it broke.
            ValueError: what came back is no HTTP.
        """
        # Not by the probe's parser, which wants a whole answer: here its head is one, and the end of a body
        # whose length nobody says is not waited for.
        await self._do(lambda: self._tls.write(request))
        received = b""
        while b"\r\n\r\n" not in received:
            received += await self._read()
            if len(received) > _MOST_HEADERS:
                raise ValueError("headers without an end")
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if not lines[0].startswith(b"HTTP/1."):
            raise ValueError("no HTTP")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (h.partition(b":") for h in lines)
        }
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or headers.get(b"connection", b"").lower() == b"close":
            return False
        while len(body) < int(length):
            body += await self._read()
        return True

    async def _read(self) -> bytes:
        received = await self._do(lambda: self._tls.read(65536))
        if not received:
            raise ConnectionResetError(errno.ECONNRESET, "closed by the other side")
        return received

    def close(self) -> None:
        self._sock.close()


class Kubelet:
    """One node's kubelet; its connection is kept from one question to the next."""

    def __init__(self, host: str, port: int = PORT) -> None:
        """Nothing is connected yet."""
        self.address = (host, port)
        self._context = _trusting()
        self._kept: _Line | None = None
        # Without a client certificate the answer is 401, and the kubelet has asked nobody about us.
        spelt = f"[{host}]" if ":" in host else host
        self._request = f"GET /healthz HTTP/1.1\r\nHost: {spelt}:{port}\r\n\r\n".encode()

    async def ask(self, limit_s: float) -> Reach:
        """How far a question gets within so many seconds."""
        line, self._kept = self._kept, None
        # Of a connection that was kept, the time-out does not tell whether the node's kernel is still there.
        progress = [Reach.MUTE if line else Reach.SILENT]
        try:
            async with asyncio.timeout(limit_s):
                return await self._ask(line, progress)
        except TimeoutError:
            return progress[0]
        except OSError as error:
            return Reach.UNKNOWN if error.errno is None else reach_of(error.errno)
        except ValueError:
            return Reach.UNKNOWN

    async def _ask(self, line: _Line | None, progress: list[Reach]) -> Reach:
        if line is not None:
            try:
                return await self._on(line)
            except OSError:
                # A kubelet that was started again has forgotten the connection: ask on a new one.
                progress[0] = Reach.SILENT
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        line = _Line(sock, self._context, self.address[0])
        try:
            await line.open(self.address)
        except BaseException:
            progress[0] = Reach.MUTE if line.connected else Reach.SILENT
            line.close()
            raise
        progress[0] = Reach.MUTE
        return await self._on(line)

    async def _on(self, line: _Line) -> Reach:
        keep = False
        try:
            keep = await line.ask(self._request)
        finally:
            if keep:
                self._kept = line
            else:
                line.close()
        return Reach.ANSWERS

    def close(self) -> None:
        """Let go of the connection."""
        line, self._kept = self._kept, None
        if line is not None:
            line.close()


async def ask_anew(address: str, limit_s: float, kind: Callable[[str, int], Kubelet] = Kubelet) -> Reach:
    """How far one question gets on a connection of its own, to ``host:port``."""
    host, _, port = address.rpartition(":")
    kubelet = kind(host, int(port or 0))
    try:
        return await kubelet.ask(limit_s)
    finally:
        kubelet.close()
