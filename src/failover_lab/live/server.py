"""The server of the live page: what is new in a run's folder, pushed to all who watch.

It reads the folder and nothing else, ten times a second at most, whoever and however many watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import secrets
import socket
from typing import TYPE_CHECKING, Any

from aiohttp import web

from failover_lab.errors import UserError
from failover_lab.live import replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from failover_lab.live.film import Frame

EVERY_S = 0.1
# Whoever does not take so many frames in time is let go; a page comes again by itself, and is told all of it.
_MOST_WAITING = 100
_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript"}
# A page of the run's own files alone, whatever a pod's name may hold.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Its charts are styled within it, and it has no script at all.
_REPORT = _HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    ),
}


def is_loopback(host: str) -> bool:
    """Whether only this machine's own users reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: an address, or a name of this machine.
        port: 0: a free one.

    Raises:
        UserError: it cannot.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(64)
    except OSError as error:
        raise UserError(
            f"cannot listen at {host}, port {port}: {error.strerror}; "
            "give another --port, or 0 for a free one"
        ) from error
    return sock


class Server:
    """Serves one run.

    Args:
        sock: listens.
        host: by which it is reached.
        shown: the film so far: head and frames.
        page: the report's page, which need not be there yet.
    """

    def __init__(
        self, sock: socket.socket, host: str, shown: Callable[[], dict[str, Any]], page: Path
    ) -> None:
        """Nobody watches yet."""
        self._sock = sock
        self._shown = shown
        self._page = page
        self._watchers: set[asyncio.Queue[str | None]] = set()
        self._here = is_loopback(host)
        # Beyond this machine, whoever has not been given the address finds nothing.
        self._path = "" if self._here else f"/{secrets.token_urlsafe(16)}"
        port = sock.getsockname()[1]
        named = host if not self._any(host) else socket.gethostname()
        self.url = f"http://{f'[{named}]' if ':' in named else named}:{port}{self._path}/"

    @staticmethod
    def _any(host: str) -> bool:
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(host).is_unspecified
        return False

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    async def start(self) -> web.AppRunner:
        """Begin to serve; the runner ends it."""
        application = web.Application()
        root = self._path
        application.router.add_get(f"{root}/", self._index)
        application.router.add_get(f"{root}/page/{{name}}", self._asset)
        application.router.add_get(f"{root}/events", self._events)
        application.router.add_get(f"{root}/{self._page.name}", self._report)
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        await web.SockSite(runner, self._sock).start()
        return runner

    def push(self, frame: Frame) -> None:
        """Send a frame to all who watch."""
        if not self._watchers:
            return
        text = _event("frame", frame)
        for watcher in list(self._watchers):
            try:
                watcher.put_nowait(text)
            except asyncio.QueueFull:
                self._let_go(watcher)

    def end(self) -> None:
        """Let all go who watch."""
        for watcher in list(self._watchers):
            self._let_go(watcher)

    def _let_go(self, watcher: asyncio.Queue[str | None]) -> None:
        self._watchers.discard(watcher)
        while watcher.full():
            watcher.get_nowait()
        watcher.put_nowait(None)

    def _see_to(self, request: web.Request) -> None:
        """A page of somebody else's that has a name lead to this machine is not answered."""
        host = request.host.rpartition(":")[0] or request.host
        if self._here and not is_loopback(host.strip("[]")):
            raise web.HTTPForbidden(text=f"{host} is no name of this machine\n")

    async def _index(self, request: web.Request) -> web.Response:
        self._see_to(request)
        return web.Response(text=replay.asset("index.html"), content_type="text/html", headers=_HEADERS)

    async def _asset(self, request: web.Request) -> web.Response:
        self._see_to(request)
        name = request.match_info["name"]
        if name not in {*replay.MODULES, *replay.STYLES}:
            raise web.HTTPNotFound
        kind = _TYPES[name.rpartition(".")[2]]
        return web.Response(text=replay.asset(name), content_type=kind, headers=_HEADERS)

    async def _report(self, request: web.Request) -> web.StreamResponse:
        self._see_to(request)
        if not self._page.exists():
            raise web.HTTPNotFound
        return web.Response(body=self._page.read_bytes(), content_type="text/html", headers=_REPORT)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self._see_to(request)
        response = web.StreamResponse(headers=_HEADERS | {"Content-Type": "text/event-stream"})
        await response.prepare(request)
        watcher: asyncio.Queue[str | None] = asyncio.Queue(_MOST_WAITING)
        # In one step with the film so far: no frame is missed, and none comes twice.
        text: str | None = _event("film", self._shown())
        self._watchers.add(watcher)
        try:
            with contextlib.suppress(ConnectionError):
                while text is not None:
                    await response.write(text.encode())
                    text = await watcher.get()
                await response.write_eof()
        finally:
            self._watchers.discard(watcher)
        return response


def _event(name: str, content: object) -> str:
    return f"event: {name}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n"
