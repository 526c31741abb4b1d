"""Small servers that speak as an engine, an API server and a kubelet do."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.server
import json
import queue
import socket
import socketserver
import ssl
import struct
import threading
import time
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.quiet_server import QuietServer

UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nUnauthorized"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def frame(data: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


class FakeEngine:
    """What it is asked, and what it answers."""

    def __init__(self, path: Path) -> None:
        self.asked: list[str] = []
        self.containers: list[dict[str, Any]] = []
        self.states: dict[str, dict[str, Any]] = {}
        # Containers, volumes and networks by "kind/name", as the engine inspects them; and what is gone.
        self.things: dict[str, dict[str, Any]] = {}
        self.removed: list[str] = []
        # Of all containers alike.
        self.files: set[str] = set()
        self.events: list[Any] = []
        # What has happened to whom, and when, in ns.
        self.past: list[tuple[str, str, int]] = []
        # Events as they come, up to None; without, those above.
        self.live: queue.Queue[Any] | None = None
        self.output = b""
        self.fail = False
        self.executed: list[dict[str, Any]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def address_string(self) -> str:
                return "client"

            def do_GET(self) -> None:
                outer.serve(self)

            do_POST = do_DELETE = do_GET  # noqa: N815  the library's own names

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self.server = Server(str(path), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, handler: Any) -> None:
        url = urllib.parse.urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        path = "/" + url.path.split("/", 2)[2] if url.path.startswith("/v1.") else url.path
        self.asked.append(f"{handler.command} {path}")
        if self.fail:
            answer(handler, 500, {"message": "driver failed"})
        elif path == "/version":
            answer(handler, 200, {"ApiVersion": "1.45", "Version": "26.1.5"})
        elif self.serve_thing(handler, path.strip("/").removesuffix("/json")):
            return
        elif path == "/containers/json" and "filters" not in urllib.parse.parse_qs(url.query):
            answer(handler, 200, self.containers)
        elif path == "/containers/json":
            assert json.loads(urllib.parse.parse_qs(url.query)["filters"][0]) == {
                "label": ["created_by.minikube.sigs.k8s.io=true"]
            }
            answer(handler, 200, self.containers)
        elif path == "/events":
            query = urllib.parse.parse_qs(url.query)
            filters = json.loads(query["filters"][0])
            if "until" in query:
                self.remember(handler, query, filters)
            else:
                self.tell(handler, filters)
        elif path.startswith("/exec/"):
            self.upgrade(handler)
        else:
            _, _, name, what = path.split("/")
            self.serve_one(handler, name, what, urllib.parse.parse_qs(url.query), body)

    def make(self, kind: str, name: str, network: str = "", **labels: str) -> None:
        """Let there be a container, a volume or a network; minikube's own if its labels say so."""
        if kind == "networks":
            self.things[f"{kind}/{name}"] = {"Name": name, "Id": name, "Labels": labels, "Containers": {}}
        elif kind == "volumes":
            self.things[f"{kind}/{name}"] = {"Name": name, "Labels": labels}
        else:
            on: dict[str, Any] = {"Networks": {network: {}} if network else {}}
            whole = {
                "Name": f"/{name}",
                "Id": name,
                "Image": "sha256:1",
                "Config": {"Labels": labels},
                "NetworkSettings": on,
            }
            self.things[f"{kind}/{name}"] = whole | {"State": {"Status": "exited", "Running": False}}
            listed = {"Id": name, "Names": [f"/{name}"], "State": "exited", "NetworkSettings": on}
            if labels:
                self.containers.append(listed)

    def serve_thing(self, handler: Any, name: str) -> bool:
        listed = [thing for key, thing in self.things.items() if key.startswith(f"{name}/")]
        if name in self.things and handler.command == "DELETE":
            self.removed.append(name)
            del self.things[name]
            self.containers = [one for one in self.containers if f"containers/{one['Id']}" != name]
            answer(handler, 204, None)
        elif name in self.things:
            answer(handler, 200, self.things[name])
        elif name in ("networks", "volumes"):
            answer(handler, 200, listed if name == "networks" else {"Volumes": listed})
        elif name.startswith(("networks/", "volumes/")):
            answer(handler, 404, {"message": "No such thing"})
        else:
            return False
        return True

    def serve_one(self, handler: Any, name: str, what: str, query: dict[str, list[str]], body: bytes) -> None:
        # By its name, or by its id.
        name = name if name in self.states else name.removeprefix("id-")
        if name not in self.states:
            answer(handler, 404, {"message": f"No such container: {name}"})
        elif what == "json":
            answer(handler, 200, {"Id": f"id-{name}", "State": self.states[name]})
        elif what == "kill" and self.states[name].get("Running") is False:
            answer(handler, 409, {"message": f"Container {name} is not running"})
        elif what in ("kill", "start", "pause", "unpause"):
            assert query == ({"signal": ["SIGKILL"]} if what == "kill" else {})
            self.states[name] |= {
                "kill": {"Running": False, "Paused": False},
                "start": {"Running": True},
                "pause": {"Paused": True},
                "unpause": {"Paused": False},
            }[what]
            answer(handler, 204, None)
        elif what == "archive":
            (file,) = query["path"]
            if file in self.files:
                answer(handler, 200, "an archive")
            else:
                answer(handler, 404, {"message": f"Could not find the file {file}"})
        elif what == "exec":
            self.executed.append(json.loads(body))
            answer(handler, 201, {"Id": "abc"})

    def remember(self, handler: Any, query: dict[str, list[str]], filters: Any) -> None:
        """Tell what has happened between two instants: the engine takes the beginning of a name for it."""
        (since,), (until,) = query["since"], query["until"]
        told = [
            {"Actor": {"Attributes": {"name": name}}, "timeNano": nano}
            for name, event, nano in self.past
            if filters["event"] == [event] and name.startswith(filters["container"][0])
            and float(since) <= nano / 1e9 <= float(until)
        ]  # fmt: skip
        self.stream(handler, told)

    def tell(self, handler: Any, filters: Any) -> None:
        assert filters == {"type": ["container"], "event": ["die", "kill", "pause", "unpause", "start"]}
        self.stream(handler, self.events if self.live is None else iter(self.live.get, None))

    def stream(self, handler: Any, events: Iterable[Any]) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for event in events:
            data = json.dumps(event).encode() + b"\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        handler.wfile.write(b"0\r\n\r\n")

    def upgrade(self, handler: Any) -> None:
        handler.send_response(101, "UPGRADED")
        handler.send_header("Connection", "Upgrade")
        handler.send_header("Upgrade", "tcp")
        handler.end_headers()
        if self.output:
            time.sleep(0.05)
            handler.wfile.write(self.output)
            # Whoever has not written yet, on a busy machine, would be told that nobody is there.
            with contextlib.suppress(OSError):
                handler.connection.shutdown(socket.SHUT_WR)
                while handler.connection.recv(4096):
                    pass
        else:
            # Each line comes back, in pieces, with an error of the program's in between.
            while line := handler.rfile.readline():
                handler.wfile.write(frame(line[:2]) + frame(b"complaint\n", 2) + frame(line[2:]))
        handler.close_connection = True


def answer(handler: Any, status: int, content: Any) -> None:
    data = b"" if content is None else json.dumps(content).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


class ApiServer:
    """Answers with what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, str, Any]] = []
        self.times: list[float] = []
        self.connections = 0
        self.hold_s = 0.0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kind = self.headers.get("Content-Type", "")
                outer.times.append(time.monotonic())
                outer.asked.append((self.command, self.path, kind, json.loads(body) if body else None))
                time.sleep(outer.hold_s)
                status, content = outer.answers.get(f"{self.command} {self.path}", (404, {}))
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_PATCH = do_DELETE = do_POST = do_GET  # noqa: N815  the library's own names

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def kubeconfig(self, path: Path) -> Path:
        def named(what: str, content: Any) -> list[Any]:
            return [{"name": "lab", what: content}]

        path.write_text(
            yaml.safe_dump(
                {
                    "clusters": named("cluster", {"server": f"http://127.0.0.1:{self.server.server_port}"}),
                    "users": named("user", {}),
                    "contexts": named("context", {"cluster": "lab", "user": "lab"}),
                    "current-context": "lab",
                }
            )
        )
        return path


def make_certificate(path: Path) -> Path:
    """One that a kubelet might have made for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab-m02")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


class KubeletServer:
    """Answers each request with the same words; counts connections and requests."""

    def __init__(self, answer: bytes = UNAUTHORIZED) -> None:
        self.answer = answer
        self.connections = 0
        self.requests: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                if not self.answer:
                    writer.close()
                    return
                # In two pieces, as it may come.
                writer.write(self.answer[:20])
                await writer.drain()
                await asyncio.sleep(0.001)
                writer.write(self.answer[20:])
                await writer.drain()


@contextlib.asynccontextmanager
async def serving(handler: Handler, certificate: Path | None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await asyncio.start_server(handler, host, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
