"""A forward proxy on loopback, as a company has one: it notes every host that it is asked for.

It knows names that exist nowhere else, so that what arrives at them has come through it.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import pytest

IDLE_S = 60.0
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding"}


@dataclass
class Proxy:
    """Where it listens, whom it knows beside the real world, and whom it was asked for, in order."""

    url: str = ""
    names: dict[str, tuple[str, int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def environment(self, *direct: str) -> dict[str, str]:
        """The variables that lead here, in both spellings; what is in `direct` is asked without it."""
        variables = {"HTTP_PROXY": self.url, "HTTPS_PROXY": self.url, "NO_PROXY": ",".join(direct)}
        return variables | {name.lower(): value for name, value in variables.items()}

    def set_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have this process, and what it starts, sit behind it."""
        for name, value in self.environment("localhost").items():
            monkeypatch.setenv(name, value)

    def address(self, host: str, port: int) -> tuple[str, int]:
        """Note that a host was asked for, and say where it is.

        Raises:
            OSError: it is on a network of the asking machine's own.
        """
        self.asked.append(host)
        if host not in self.names and is_of_this_machine(host):
            raise OSError(f"the proxy has no route to {host}")
        return self.names.get(host, (host, port))


def is_of_this_machine(host: str) -> bool:
    """Whether only the machine that asks can reach this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def relay(one: socket.socket, other: socket.socket) -> None:
    """Hand on what comes from either side, until one of them ends."""
    peer = {one: other, other: one}
    while ready := select.select(list(peer), [], [], IDLE_S)[0]:
        for side in ready:
            data = side.recv(65536)
            if not data:
                return
            peer[side].sendall(data)


def handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    """Make the class that answers for a proxy."""

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            host, _, port = self.path.rpartition(":")
            try:
                upstream = socket.create_connection(proxy.address(host.strip("[]"), int(port)), IDLE_S)
            except OSError as error:
                self.send_error(502, str(error))
                return
            with upstream:
                self.send_response(200, "Connection established")
                self.end_headers()
                self.close_connection = True
                with contextlib.suppress(OSError):
                    relay(self.connection, upstream)

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            try:
                address = proxy.address(url.hostname or "", url.port or 80)
                with contextlib.closing(http.client.HTTPConnection(*address, timeout=IDLE_S)) as upstream:
                    upstream.request(self.command, url._replace(scheme="", netloc="").geturl(), headers=kept)
                    answer = upstream.getresponse()
                    content = answer.read()
            except OSError as error:
                self.send_error(502, str(error))
                return
            self.send_response(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            """Say nothing."""

    return Handler


@contextlib.contextmanager
def proxy(names: dict[str, tuple[str, int]] | None = None) -> Iterator[Proxy]:
    """Run one on a free port of the loopback, with names that only it knows."""
    result = Proxy(names=names or {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(result))
    server.daemon_threads = True
    result.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield result
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def proxy_before(kubeconfig: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Have this process ask a proxy for the first cluster of a kubeconfig, which is put on that host."""
    content = json.loads(kubeconfig.read_text(encoding="utf-8"))
    content["clusters"][0]["cluster"]["server"] = f"https://{host}:8443"
    kubeconfig.write_text(json.dumps(content), encoding="utf-8")
    with proxy() as company:
        company.set_in(monkeypatch)
        yield company
