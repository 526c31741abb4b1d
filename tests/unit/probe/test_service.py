"""Any service: what is asked, who is asked, by http and https, and which answer is a good one."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.api_server import certificate
from tests.unit.probe.server import Server

from failover_lab import arguments, cli
from failover_lab.probe import exchange, identity, service
from failover_lab.run.records import Outcome, Record, RecordFile

BODY = b'{"a": {"host": "Web:8"}, "b": 1}'
PAGE = b"HTTP/1.1 200 OK\r\nX-Served-By: web-7\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
BUSY = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"

Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A server's key and certificate, for 127.0.0.1 and shop.example, and its authority."""
    return certificate(tmp_path_factory.mktemp("own"), names=("127.0.0.1", "shop.example"))


@pytest.fixture
def serve(undisturbed: None, pem: tuple[Path, Path]) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(
        behave: Callable[[int], tuple[bytes, str]] = lambda _n: (PAGE, "keep"),
        *,
        secure: bool = False,
        prepare: Callable[[ssl.SSLContext], object] = lambda _context: None,
    ) -> Server:
        context = None
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem[0])
            prepare(context)
        servers.append(Server(behave, context))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def probed(url: str, out: Path, *more: str | Path, requests: int = 8) -> tuple[int, list[Record]]:
    """Ask so many times; gives back the status and every record."""
    plan = ["--rate", "200", "-n", str(requests), "--read-timeout", "0.3", "--connect-timeout", "0.3"]
    status = cli.main(["probe", url, *plan, "--out", str(out), *map(str, more)])
    return status, list(RecordFile(out / "requests.csv.gz").records())


def ends(found: list[Record]) -> set[tuple[str, str, int | None]]:
    return {(str(record.outcome), record.detail, record.status) for record in found}


def test_any_page_is_good_and_what_is_asked_is_what_was_said(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    status, found = probed(f"http://127.0.0.1:{server.port}/a/b?x=1&y=%20", tmp_path)
    assert status == 0
    assert ends(found) == {("ok", "", 200)}
    assert len(found) == 8
    assert all(said.startswith(b"GET /a/b?x=1&y=%20 HTTP/1.1\r\nHost: 127.0.0.1:") for said in server.said)


def test_method_headers_and_body_are_sent_as_they_are_given(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    big = tmp_path / "body"
    big.write_bytes(os.urandom(3_000_000))
    secret = tmp_path / "headers"
    secret.write_text("X-Token: s3cret\n")
    auth = tmp_path / "auth"
    auth.write_text("me:pa:ss\n")
    url = f"http://127.0.0.1:{server.port}/form"
    more: list[str | Path] = [
        "--method",
        "PUT",
        "--header",
        "Host: shop.example",
        "--header",
        "X-A: b",
        "--headers-file",
        secret,
    ]
    status, found = probed(url, tmp_path / "r", *more, "--body-file", big, "--auth-file", auth)
    assert status == 0
    assert ends(found) == {("ok", "", 200)}
    credentials = base64.b64encode(b"me:pa:ss")
    for said in server.said:
        head, _, body = said.partition(b"\r\n\r\n")
        assert head.startswith(b"PUT /form HTTP/1.1\r\n")
        assert head.count(b"Host:") == 1
        for line in (
            b"Host: shop.example",
            b"X-A: b",
            b"X-Token: s3cret",
            b"Authorization: Basic " + credentials,
        ):
            assert line in head.split(b"\r\n")
        assert body == big.read_bytes()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "r").iterdir())
    assert all(word not in kept for word in (b"s3cret", credentials, b"pa:ss"))
    assert json.loads((tmp_path / "r" / "probe.json").read_text())["method"] == "PUT"


def test_basic_authentication_from_a_variable(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setenv("SHOP_LOGIN", "me:secret")
    url = f"http://127.0.0.1:{server.port}/"
    assert probed(url, tmp_path, "--auth-variable", "SHOP_LOGIN", "--body", "hello")[0] == 0
    assert all(b"Authorization: Basic bWU6c2VjcmV0\r\n" in said for said in server.said)
    assert all(said.startswith(b"POST / ") and said.endswith(b"\r\n\r\nhello") for said in server.said)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--expect-status", "503"], ("ok", "", 503)),
        (["--expect-status", "2xx,301-303"], ("wrong_status", "", 503)),
        ([], ("wrong_status", "", 503)),
    ],
)
def test_which_statuses_are_good(
    serve: Serve, tmp_path: Path, more: list[str], expected: tuple[str, str, int]
) -> None:
    server = serve(lambda _n: (BUSY, "keep"))
    status, found = probed(f"http://127.0.0.1:{server.port}/", tmp_path, *more)
    assert ends(found) == {expected}
    assert status == (0 if expected[0] == "ok" else 1)


@pytest.mark.parametrize("text", ["host", "nowhere"])
def test_a_text_in_the_body(serve: Serve, tmp_path: Path, text: str) -> None:
    server = serve()
    _, found = probed(f"http://127.0.0.1:{server.port}/", tmp_path, "--expect-text", text)
    assert ends(found) == {("ok", "", 200) if text == "host" else ("wrong_body", "no_expected_text", 200)}


@pytest.mark.parametrize(
    ("source", "pod"),
    [
        ("header:x-served-by", "web-7"),
        ("json:a.host", "Web:8"),
        ("json:a.b.c", ""),
        ("none", ""),
        ("auto", ""),
    ],
)
def test_who_answered(serve: Serve, tmp_path: Path, source: str, pod: str) -> None:
    server = serve()
    _, found = probed(f"http://127.0.0.1:{server.port}/", tmp_path, "--identity", source)
    assert ends(found) == {("ok", "", 200)}
    assert {record.pod for record in found} == {pod}


@pytest.mark.parametrize("wrong", ["header", "header:", "json:a..b", "whoami", "none:x", "header:a b"])
def test_what_is_no_identity(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"give|names no field"):
        identity.source(wrong)


@pytest.mark.parametrize("wrong", ["", "2", "99", "200-", "300-200", "xx", "1000"])
def test_what_are_no_statuses(wrong: str) -> None:
    with pytest.raises(ValueError, match="are no statuses"):
        service.statuses(wrong)


# What the server does to every fifth request, and what the record must say, by http and by https.
WAYS = {
    "reset": ((b"", "reset"), ("reset", "ECONNRESET", None)),
    "hang": ((b"", "stall"), ("read_timeout", "before_any_byte", None)),
    "hang_within": ((PAGE[:-5], "stall"), ("read_timeout", "after_part", None)),
    "half": ((PAGE[:-5], "close"), ("closed_early", "after_part", None)),
    "nothing": ((b"", "close"), ("closed_early", "before_any_byte", None)),
    "wrong_body": ((PAGE.replace(b"host", b"hos_"), "close"), ("wrong_body", "no_expected_text", 200)),
    "busy": ((BUSY, "close"), ("wrong_status", "", 503)),
}


@pytest.mark.parametrize("kind", ["new", "reused"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_planted_is_counted_exactly(
    serve: Serve, tmp_path: Path, pem: tuple[Path, Path], *, way: str, secure: bool, kind: str
) -> None:
    planted, expected = WAYS[way]
    good = (PAGE, "keep")
    server = serve(lambda number: planted if number % 5 == 0 else good, secure=secure)
    url = f"{'https' if secure else 'http'}://127.0.0.1:{server.port}/"
    more = ["--expect-text", "host", "--connections", kind, *(["--ca", str(pem[1])] if secure else [])]
    status, found = probed(url, tmp_path, *more, requests=40)
    assert status == 0
    assert len(found) == server.requests == 40
    failed = [record for record in found if record.failed]
    assert ends(failed) == {expected}
    assert len(failed) == 8


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_the_length_of_an_outage_is_known_to_20_ms(
    serve: Serve, tmp_path: Path, pem: tuple[Path, Path], secure: bool
) -> None:
    from failover_lab.report import stats

    began: list[float] = []

    def behave(_number: int) -> tuple[bytes, str]:
        began.append(time.monotonic())
        return (b"", "reset") if 0.2 <= began[-1] - began[0] < 0.5 else (PAGE, "close")

    server = serve(behave, secure=secure)
    url = f"{'https' if secure else 'http'}://127.0.0.1:{server.port}/"
    more = ["--connections", "new", *(["--ca", str(pem[1])] if secure else [])]
    found = sorted(probed(url, tmp_path, *more, requests=160)[1], key=lambda record: record.due)
    spans = stats.outages([(record.due, record.failed) for record in found], 1 / 200)
    assert len(spans) == 1
    slack_s = max(r.latency_ms for r in found if not r.failed) / 1000
    assert spans[0][1] - spans[0][0] == pytest.approx(0.3, abs=0.02 + slack_s)


# https


def test_the_last_word_of_a_handshake_goes_with_the_request() -> None:
    """One packet less, and one call: of a new user's connection, nothing else can be saved."""
    question = service.Service().question(arguments.target("https://shop.example/"))
    one = exchange.Exchange("new", 0.0, 0.0, question)
    sent: list[bytes] = []

    def send(data: memoryview) -> int:
        sent.append(bytes(data))
        return len(data)

    one.sock = SimpleNamespace(send=send)  # type: ignore[assignment]
    one.channel = SimpleNamespace(ready=True, shake=lambda: b"finished ", seal=bytes)  # type: ignore[assignment]
    one._shake(one.channel)  # type: ignore[arg-type]
    assert sent == [b"finished " + question.requests["new"]]


def test_a_certificate_of_nobody_known_is_refused_unless_it_is_trusted(
    serve: Serve, tmp_path: Path, pem: tuple[Path, Path]
) -> None:
    url = f"https://127.0.0.1:{serve(secure=True).port}/"
    status, found = probed(url, tmp_path / "a")
    assert status == 1
    assert {str(record.outcome) for record in found} == {"tls"}
    assert all("certificate" in record.detail for record in found)
    assert all(record.connected and record.sent is None for record in found)
    for name, more in (("b", ["--insecure"]), ("c", ["--ca", str(pem[1])])):
        status, found = probed(url, tmp_path / name, *more, requests=30)
        assert status == 0
        assert {record.outcome for record in found} == {Outcome.OK}
    reused = [record for record in found if record.kind == "reused"]
    assert any(record.prior for record in reused) or len(reused) <= 10


def test_the_server_is_told_whom_it_is_asked_for(
    serve: Serve, tmp_path: Path, pem: tuple[Path, Path]
) -> None:
    asked: list[object] = []

    def prepare(context: ssl.SSLContext) -> None:
        context.sni_callback = lambda _sock, name, _context: asked.append(name)

    server = serve(secure=True, prepare=prepare)
    given = ["--resolve", f"shop.example:{server.port}:127.0.0.1", "--ca", str(pem[1])]
    assert probed(f"https://shop.example:{server.port}/", tmp_path / "a", *given)[0] == 0
    assert set(asked) == {"shop.example"}
    assert all(f"Host: shop.example:{server.port}".encode() in said for said in server.said)
    # Another name is not that of the certificate.
    status, found = probed(
        f"https://127.0.0.1:{server.port}/", tmp_path / "b", "--ca", pem[1], "--sni", "a.example"
    )
    assert status == 1
    assert {record.detail for record in found} == {"hostname_mismatch"}
    assert asked[-1] == "a.example"


def test_a_client_s_certificate(serve: Serve, tmp_path: Path, pem: tuple[Path, Path]) -> None:
    def prepare(context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(pem[1])

    url = f"https://127.0.0.1:{serve(secure=True, prepare=prepare).port}/"
    status, found = probed(url, tmp_path / "a", "--ca", pem[1], "--cert", pem[0])
    assert status == 0
    assert ends(found) == {("ok", "", 200)}
    status, found = probed(url, tmp_path / "b", "--ca", pem[1])
    assert status == 1
    assert {str(record.outcome) for record in found} <= {"tls", "reset"}


def test_a_server_that_hangs_in_the_handshake_and_one_that_speaks_no_tls(
    serve: Serve, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        _, found = probed(f"https://127.0.0.1:{listener.getsockname()[1]}/", tmp_path / "a")
    assert ends(found) == {("read_timeout", "in_handshake", None)}
    server = serve(lambda _n: (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "close"))
    _, found = probed(f"https://127.0.0.1:{server.port}/", tmp_path / "b")
    assert {str(record.outcome) for record in found} <= {"tls", "read_timeout", "closed_early"}


def test_a_server_that_waits_for_the_goodbye_of_https_gets_it(
    serve: Serve, tmp_path: Path, pem: tuple[Path, Path]
) -> None:
    server = serve(lambda _n: (PAGE, "close"), secure=True)
    url = f"https://127.0.0.1:{server.port}/"
    probed(url, tmp_path, "--ca", str(pem[1]), "--connections", "new", requests=80)
    # And not by the end of the run, which ends everything.
    assert min(server.goodbyes) < 80


# Addresses


def test_of_several_addresses_one_or_all_are_asked_and_all_are_told(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    url = f"http://shop.example:{server.port}/"
    # Nobody listens on the first.
    given = ["--resolve", f"shop.example:{server.port}:127.0.0.2,127.0.0.1", "--connections", "new"]
    status, found = probed(url, tmp_path / "one", *given)
    assert status == 1
    assert {record.peer for record in found} == {"127.0.0.2"}
    assert (
        "Asked was 127.0.0.2; the name has 127.0.0.1 as well, and --addresses all" in capsys.readouterr().err
    )
    about = json.loads((tmp_path / "one" / "probe.json").read_text())
    assert (about["addresses"], about["asked"]) == (["127.0.0.2", "127.0.0.1"], ["127.0.0.2"])
    status, found = probed(url, tmp_path / "all", *given, "--addresses", "all")
    assert status == 0
    assert {(record.peer, record.outcome) for record in found} == {
        ("127.0.0.2", Outcome.REFUSED),
        ("127.0.0.1", Outcome.OK),
    }


def test_ipv6(undisturbed: None, tmp_path: Path) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        _, found = probed(f"http://[::1]:{listener.getsockname()[1]}/", tmp_path)
    assert ends(found) == {("read_timeout", "before_any_byte", None)}
    assert {record.peer for record in found} == {"::1"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://h/", ("h", 80, "/", "http")),
        ("http://h?x=1", ("h", 80, "/?x=1", "http")),
        ("https://h:8443/a?b=1", ("h", 8443, "/a?b=1", "https")),
        ("https://h", ("h", 443, "/", "https")),
        ("http://my_site:8080/", ("my_site", 8080, "/", "http")),
        ("http://site.local./", ("site.local.", 80, "/", "http")),
        ("http://m\u00fcnchen.de/", ("xn--mnchen-3ya.de", 80, "/", "http")),
        ("http://[fe80::1%25lo]/", ("fe80::1%lo", 80, "/", "http")),
        ("http://[::1]:8080/", ("::1", 8080, "/", "http")),
    ],
)
def test_addresses_that_are_understood(value: str, expected: tuple[Any, ...]) -> None:
    found = arguments.target(value)
    assert (found.host, found.port, found.path, found.scheme) == expected


def test_a_zone_is_no_part_of_the_host_header() -> None:
    assert arguments.target("http://[fe80::1%lo]:81/").authority == "[fe80::1]:81"
    assert arguments.target("https://h:443/").authority == "h"
    assert arguments.target("http://h:443/").authority == "h:443"


def test_the_lab_s_site_is_asked_for_whoami_where_no_page_is_named() -> None:
    assert arguments.site("http://h").path == arguments.site("http://h/").path == "/whoami"
    assert arguments.site("http://h/x").path == "/x"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["http://me:secret@h/"], "--auth-file"),
        (["http://me:secret@h:80a/"], "--auth-file"),
        (["http://h:0/"], "port 0"),
        (["http://h/a\tb"], "percent-encoded"),
        (["http://h/\u00e9"], "percent-encoded"),
        (["http://-h/"], "can be no host's name"),
        (["http://[::g]/"], "is no address"),
        (["http://h/", "--url", "http://h/"], "not allowed with"),
        ([], "--url"),
        (["http://h/", "--header", "secret"], "that is no header"),
        (["http://h/", "--header", "Connection: close"], "--connections says"),
        (["http://h/", "--header", "X: a\nY: b"], "that is no header"),
        (["http://h/", "--method", "get"], "'get' is no method"),
        (["http://h/", "--body", "a", "--body-file", "b"], "not allowed with"),
        (["http://h/", "--body-file", "/nowhere"], "cannot read /nowhere: No such file"),
        (["http://h/", "--auth-variable", "NOT_SET"], "NOT_SET has no user and password"),
        (["http://h/", "--expect-status", "6"], "are no statuses"),
        (["http://h/", "--expect-text", "x", "--method", "HEAD"], "has no body"),
        (["http://h/", "--identity", "pod"], "is no identity"),
        (["http://h/", "--resolve", "h:80"], "is no HOST:PORT:ADDRESS"),
        (["http://h/", "--resolve", "i:80:127.0.0.1"], "and h:80 is asked"),
        (["http://h/", "--insecure"], "--insecure is for https"),
        (["https://h/", "--insecure", "--ca", "x"], "leave one out"),
        (["https://h/", "--ca", "/nowhere"], "cannot read certificates of /nowhere"),
        (["https://h/", "--ca", "/proc/version"], "cannot read certificates of /proc/version"),
        (["https://h/", "--key", "x"], "give that by --cert"),
        (["https://h/", "--cert", "/nowhere"], "cannot use the certificate of /nowhere"),
        (["http://h/", "--rate", "200/x"], "is no number"),
        (["http://h/", "--rate", "1/1h"], "out of range"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(
    argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.suppress(SystemExit):
        assert cli.main(["probe", *argv]) == 2
    captured = capsys.readouterr()
    if argv and argv[0].startswith("http") and "--rate" not in argv and argv.count("http://h/") < 2:
        # Told beforehand as well, to whoever is about to break something.
        with contextlib.suppress(SystemExit):
            assert cli.main(["check-service", "--url", *argv]) == 2
        assert (
            capsys.readouterr().err.partition("(see")[0]
            == captured.err.replace("argument [--url] URL", "argument --url").partition("(see")[0]
        )
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert "secret" not in captured.err


@pytest.mark.parametrize(
    ("value", "rate"), [("200/1m", 200 / 60), ("3/s", 3.0), ("50", 50.0), ("10/0.5s", 20.0)]
)
def test_rates(value: str, rate: float) -> None:
    assert arguments.rate(0.1, 20_000)(value) == pytest.approx(rate)
