"""An API server on loopback, with TLS, that does what other people's clusters do: it answers, or does not.

Small on purpose: it has a few answers by their paths, and a behaviour that holds for every request.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Object = dict[str, Any]

VERSION = {"major": "1", "minor": "99", "gitVersion": "v1.99.1"}
# What a client of the dynamic kind looks for before it asks for anything.
DISCOVERY: Object = {
    "/version": VERSION,
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": "nodes", "kind": "Node", "namespaced": False, "verbs": ["get", "list", "patch"]},
            {
                "name": "namespaces",
                "kind": "Namespace",
                "namespaced": False,
                "verbs": ["get", "list", "delete"],
            },
        ],
    },
    "/api/v1/nodes": {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": []},
}


@dataclass
class ApiServer:
    """One that listens.

    Attributes:
        behaviour: ``answers``; ``mute`` (takes connections, and not even TLS begins); ``silent`` (takes
            requests, and says nothing); ``stuck`` (has an answer for its version, and for nothing else);
            ``closes`` (takes requests, and ends the connection); ``web`` (a page instead of JSON);
            ``binary`` (a picture); ``breaks off`` (in the middle of its answer);
            ``refuses`` (with ``status``). May be changed while it runs.
        delay_s: before each answer.
        headers: that each answer has besides.
        ca: the certificate of the authority that its own is of.
        asked: the methods and paths that it was asked, in order.
    """

    behaviour: str
    ca: Path
    answers: Object
    status: int = 403
    delay_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    def hold(self, path: str) -> None:
        """Keep whoever asks for this path waiting, where it is so to be."""
        while self.behaviour == "silent" or (self.behaviour == "stuck" and not path.startswith("/version")):
            time.sleep(0.05)

    def said_of(self, path: str) -> tuple[int, bytes, str]:
        """The answer for a path: its status, body and type."""
        if self.behaviour == "web":
            return 200, b"<html>Welcome</html>", "text/html"
        if self.behaviour == "binary":
            return 200, b"\xff\xd8\xff\xe0", "image/jpeg"
        found = self.answers.get(path)
        status = self.status if self.behaviour == "refuses" else 404 if found is None else 200
        if status != 200:
            found = {"kind": "Status", "status": "Failure", "code": status, "message": f"said {status}"}
        return status, json.dumps(found).encode(), "application/json"

    def waited_for(self) -> int:
        """How many clients still hold a connection."""
        return sum(map(is_held, self.connections))

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://127.0.0.1:{self.port}"


def is_held(connection: socket.socket) -> bool:
    """Whether the other side has not closed it yet."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _called(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def certificate(
    folder: Path, *, names: tuple[str, ...] = ("127.0.0.1",), expired: bool = False
) -> tuple[Path, Path]:
    """A key with a certificate, in one file, and the certificate of the authority that signed it."""
    folder.mkdir(parents=True, exist_ok=True)
    now = dt.datetime.now(dt.UTC)
    begin, end = (now - dt.timedelta(days=9), now + dt.timedelta(days=-1 if expired else 9))
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"authority {folder.name}")])

    def signed(subject: x509.Name, key: Any, extension: x509.ExtensionType, *, critical: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(extension, critical)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
            )
        )
        if subject == issuer:
            use = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment"), False)
            use |= dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
            use |= dict.fromkeys(("digital_signature", "key_cert_sign", "crl_sign"), True)
            builder = builder.add_extension(x509.KeyUsage(**use), critical=True)
        return builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    ca, both = folder / "ca.crt", folder / "server.pem"
    ca.write_bytes(signed(issuer, authority, x509.BasicConstraints(ca=True, path_length=None), critical=True))
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kube-apiserver")])
    alternatives = x509.SubjectAlternativeName([_called(name) for name in names])
    key = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(key + signed(subject, own, alternatives, critical=False))
    return both, ca


def handler(server: ApiServer) -> type[http.server.BaseHTTPRequestHandler]:
    """The class that answers for it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None: ...

        def answer(self) -> None:
            path = self.path.partition("?")[0]
            server.asked.append((self.command, path))
            if length := int(self.headers.get("Content-Length") or 0):
                self.rfile.read(length)
            time.sleep(server.delay_s)
            server.hold(path)
            if server.behaviour == "closes":
                self.close_connection = True
            else:
                self.send(*server.said_of(path))

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the base class's names

        def send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if server.behaviour != "breaks off" else body[: len(body) // 2])

    return Handler


class _Listening(http.server.ThreadingHTTPServer):
    """TLS begins in the connection's own thread, if at all."""

    daemon_threads = True
    api: ApiServer
    tls: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.api.connections.append(request.dup())
        while self.api.behaviour == "mute":
            time.sleep(0.05)
        with contextlib.suppress(OSError):
            secured = self.tls.wrap_socket(request, server_side=True)
            super().finish_request(secured, client_address)
            secured.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None: ...


@contextlib.contextmanager
def api_server(
    folder: Path,
    behaviour: str = "answers",
    answers: Mapping[str, Any] | None = None,
    *,
    names: tuple[str, ...] = ("127.0.0.1",),
    expired: bool = False,
) -> Iterator[ApiServer]:
    """Have one while the block runs; its certificates are in a folder of its own."""
    both, ca = certificate(folder, names=names, expired=expired)
    api = ApiServer(behaviour, ca, DISCOVERY | dict(answers or {}))
    with _Listening(("127.0.0.1", 0), handler(api)) as server:
        server.api, server.tls = api, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.tls.load_cert_chain(both)
        api.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield api
        finally:
            # Whoever is still waiting is let go.
            api.behaviour = "closes"
            server.shutdown()
            for connection in api.connections:
                connection.close()


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kubeconfig(path: Path, name: str, server: str, ca: Path | None = None, user: Object | None = None) -> str:
    """Write a kubeconfig with one context of this name; gives back its path."""
    where: Object = {"server": server} | ({"certificate-authority": str(ca)} if ca else {})
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": where}],
        "users": [{"name": name, "user": user or {"token": "t"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)
