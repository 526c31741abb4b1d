"""Plain requests against a server of the tests' own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests import api_server as api
from tests.proxy import proxy_before

from failover_lab.errors import UserError
from failover_lab.kube import client
from failover_lab.kube.client import Api
from failover_lab.kube.errors import RefusedError


class Handler(BaseHTTPRequestHandler):
    """Says what it was asked; /no is refused."""

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        refused = self.path.startswith("/no")
        said: dict[str, Any] = {
            "method": self.command,
            "path": self.path,
            "type": self.headers.get("Content-Type"),
            "body": json.loads(sent or "null"),
            "message": "the budget says no",
        }
        if self.path == "/no/named":
            causes = [
                {"reason": "DisruptionBudget", "message": "The disruption budget web needs 3 healthy pods"}
            ]
            said["details"] = {
                "causes": [*causes, {"reason": "FieldValueInvalid", "message": "said already"}]
            }
        body = b"plain words" if self.path == "/no/words" else json.dumps(said).encode()
        self.send_response(429 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the base class's names

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    path = tmp_path / "config"
    cluster = {"name": "lab", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [cluster],
                "users": [{"name": "lab", "user": {}}],
                "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            }
        ),
        encoding="utf-8",
    )
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("method", "body", "kind"),
    [
        ("get", None, "application/json"),
        ("post", {"a": 1}, "application/json"),
        ("patch", {"a": None}, "application/merge-patch+json"),
        ("delete", {"gracePeriodSeconds": 0}, "application/json"),
    ],
)
def test_what_is_sent(kubeconfig: Path, method: str, body: Any, kind: str) -> None:
    said = Api("lab", kubeconfig).request(method, "/api/v1/pods", body, fieldSelector="spec.nodeName=m02")
    assert said["method"] == method.upper()
    assert said["path"] == "/api/v1/pods?fieldSelector=spec.nodeName%3Dm02"
    assert said["type"] == kind
    assert said["body"] == body


def test_a_refusal_in_the_api_servers_words(kubeconfig: Path) -> None:
    there = Api("lab", kubeconfig)
    with pytest.raises(RefusedError, match=r"^the budget says no$") as refused:
        there.request("post", "/no", {})
    assert refused.value.status == 429
    with pytest.raises(
        RefusedError, match=r"^the budget says no The disruption budget web needs 3 healthy pods$"
    ):
        there.request("post", "/no/named", {})
    with pytest.raises(RefusedError, match="Too Many Requests"):
        there.request("get", "/no/words")


def test_no_answer(tmp_path: Path, kubeconfig: Path) -> None:
    config = json.loads(kubeconfig.read_text(encoding="utf-8"))
    config["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    kubeconfig.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(RefusedError, match="no answer") as refused:
        Api("lab", kubeconfig).request("get", "/api")
    assert refused.value.status == 0


def test_a_proxy_in_between_is_named(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = r"a proxy was asked for it, 127\.0\.0\.1\. .* reach 192\.0\.2\.1, add its network to NO_"
    with (
        proxy_before(kubeconfig, "192.0.2.1", monkeypatch) as company,
        pytest.raises(RefusedError, match=said),
    ):
        Api("lab", kubeconfig).request("get", "/version")
    assert set(company.asked) == {"192.0.2.1"}


def test_a_certificate_that_is_not_trusted_is_named(tmp_path: Path) -> None:
    _, stranger = api.certificate(tmp_path / "stranger")
    with api.api_server(tmp_path / "tls") as server:
        path = Path(api.kubeconfig(tmp_path / "config", "lab", server.url, stranger))
        with pytest.raises(RefusedError, match=r"no answer \(TLS: .*certificate verify failed"):
            Api("lab", path).request("get", "/version")


def test_a_server_of_another_kind(tmp_path: Path) -> None:
    with api.api_server(tmp_path / "tls", "web") as server:
        path = Path(api.kubeconfig(tmp_path / "config", "lab", server.url, server.ca))
        with pytest.raises(RefusedError, match=r"no answer \(what answers at .* is no API server"):
            Api("lab", path).request("get", "/version")


def test_a_server_that_says_to_come_back_in_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for: urllib3 by itself would sleep that hour."""
    monkeypatch.setattr(client, "COME_BACK_S", 0.01)
    with api.api_server(tmp_path / "tls", "refuses") as server:
        server.status, server.headers = 503, {"Retry-After": "3600"}
        path = Path(api.kubeconfig(tmp_path / "config", "lab", server.url, server.ca))
        begun = time.monotonic()
        with pytest.raises(RefusedError, match="said 503") as refused:
            Api("lab", path).request("get", "/version")
        assert time.monotonic() - begun < 10
    assert refused.value.status == 503


def test_a_server_that_breaks_off(tmp_path: Path) -> None:
    with api.api_server(tmp_path / "tls", "breaks off") as server:
        path = Path(api.kubeconfig(tmp_path / "config", "lab", server.url, server.ca))
        with pytest.raises(RefusedError, match=r"no answer .*IncompleteRead"):
            Api("lab", path).request("get", "/version")


@pytest.mark.parametrize("behaviour", ["mute", "silent"])
def test_a_server_that_never_answers(tmp_path: Path, behaviour: str) -> None:
    with api.api_server(tmp_path / "tls", behaviour) as server:
        path = Path(api.kubeconfig(tmp_path / "config", "lab", server.url, server.ca))
        with pytest.raises(RefusedError, match="no answer"):
            Api("lab", path, timeout_s=0.2).request("get", "/version")


def test_the_usual_files_as_kubectl_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", ":gone:empty:config")
    with api.api_server(tmp_path / "tls") as server:
        api.kubeconfig(tmp_path / "config", "lab", server.url, server.ca)
        assert Api("lab", None).request("get", "/version") == api.VERSION


LAB = """
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:9", certificate-authority-data: a}}]
users: [{name: lab, user: {}}]
"""


@pytest.mark.parametrize(
    "content",
    [
        b"- a\n",
        b"a: [\n",
        b"words",
        b"\xff\xfe",
        b"contexts: 5\n",
        LAB.encode(),
        LAB.replace("{cluster: lab, user: lab}", "lab").encode(),
    ],
    ids=["a list", "no YAML", "a text", "no text", "no contexts", "no base64", "no context"],
)
def test_a_damaged_kubeconfig_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(UserError, match="the kubeconfig is damaged") as raised:
        Api("lab", path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith("; mend it, or give another with --kubeconfig")


def test_a_silent_end_of_a_watch_is_found_soon(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel: whoever only listens would wait for ever for one that died."""
    given: list[dict[int, int]] = []
    connect = socket.socket.connect

    def watched(sock: socket.socket, address: Any) -> None:
        connect(sock, address)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        given.append({option: sock.getsockopt(socket.IPPROTO_TCP, option) for option in options})

    monkeypatch.setattr(socket.socket, "connect", watched)
    Api("lab", kubeconfig).request("get", "/x")
    [found] = given
    assert sum(found.values()) <= 4
