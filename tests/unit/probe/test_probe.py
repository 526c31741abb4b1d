"""The probe against a server whose failures are known exactly."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from failover_lab import cli
from failover_lab.arguments import Target
from failover_lab.host import priority
from failover_lab.probe import engine as engine_module
from failover_lab.probe import exchange, ports, wait
from failover_lab.probe.engine import Engine, Peer, Settings
from failover_lab.probe.schedule import Schedule
from failover_lab.probe.service import Service
from failover_lab.probe.tally import Tally
from failover_lab.probe.writer import RunWriter
from failover_lab.run import files, instants, lifetime, marks
from failover_lab.run.layout import Probe, Run
from failover_lab.run.records import Outcome, Record, RecordFile

if TYPE_CHECKING:
    from tests.unit.probe.server import Server

BODY = b'{"pod": "site-a", "node": "lab-m02", "image": "site@sha256:1"}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x;x=y\r\n%s\r\n0\r\n\r\n" % (
    BODY[:5],
    len(BODY) - 5,
    BODY[5:],
)
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n" + BODY
BUSY = b"HTTP/1.1 503 No\r\nX-Served-By-Pod: site-b\r\nX-Served-By-Node: lab\r\nContent-Length: 0\r\n\r\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def settings(port: int, **changes: float) -> Settings:
    plan = {
        "new_rate": 400.0,
        "reused_rate": 0.0,
        "reused_connections": 4,
        "connect_timeout_s": 0.3,
        "read_timeout_s": 0.3,
    } | changes
    return Settings(Target("127.0.0.1", port, "/whoami"), **plan)  # type: ignore[arg-type]


def run(
    plan: Settings,
    requests: int,
    out: Path,
    *,
    hurry: bool = False,
    at_tick: Callable[[Tally], None] | None = None,
) -> list[Record]:
    """Send at least so many requests; gives back every record, read from the file."""
    out.mkdir(exist_ok=True)
    tally = Tally()
    writer = RunWriter(Probe(out))

    def tick(rows: str) -> str | None:
        writer.put(rows, None)
        if at_tick is not None:
            at_tick(tally)
        return "enough" if tally.sent >= requests else None

    probe = Engine(
        plan,
        peers=[
            Peer(
                socket.AF_INET,
                (plan.target.host, plan.target.port),
                ports.Ports(socket.AF_INET, 200.0, plan.target.port, time.time()),
            )
        ],
        clock=instants.Clock(time.time() - time.monotonic()),
        tally=tally,
        tick=tick,
    )
    # A request that the probe forgot would be waited for without end: then it is called unfinished.
    deadline = time.monotonic() + 15.0
    probe.hurry = lambda: hurry or time.monotonic() > deadline
    assert probe.run() == "enough"
    writer.close()
    found = list(RecordFile(out / "requests.csv.gz").records())
    assert len(found) == tally.sent == tally.ended
    return found


def test_what_takes_long_does_not_hold_up_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake takes a millisecond, and many may be to be handled at once."""
    now = [0.0]
    monkeypatch.setattr(engine_module, "monotonic", lambda: now[0])
    order: list[str] = []

    def handle(what: str) -> None:
        now[0] += 0.25
        order.append(what)

    probe = Engine(settings(1), peers=[], clock=instants.Clock(0.0), tally=Tally(), tick=lambda _rows: None)
    keys = [(SimpleNamespace(data=(handle, "answer")), 0) for _ in range(6)]
    probe._selector.close()
    monkeypatch.setattr(probe, "_selector", SimpleNamespace(select=lambda _timeout: keys))
    monkeypatch.setattr(probe, "_start", lambda kind, _due: order.append(kind))
    # A kept connection is none to begin with meanwhile: what has come on it may be still to be handled.
    probe._schedules = [Schedule("new", 2.0, 0.5), Schedule("reused", 100.0, 0.0)]
    probe._look(0.0)
    assert order == [*["answer"] * 2, "new", *["answer"] * 2, "new", *["answer"] * 2, "new"]


def outcomes(found: list[Record]) -> Counter[tuple[str, str]]:
    return Counter((str(record.outcome), record.detail) for record in found)


# For every way to fail: what the server does, and what the record must say.
WAYS = {
    "good": ((GOOD, "close"), ("ok", "")),
    "chunked": ((CHUNKED, "close"), ("ok", "")),
    "until_close": ((UNTIL_CLOSE, "close"), ("ok", "")),
    "reset": ((b"", "reset"), ("reset", "ECONNRESET")),
    "reset_within": ((GOOD[:-5], "reset"), ("reset", "ECONNRESET")),
    "closed": ((b"", "close"), ("closed_early", "before_any_byte")),
    "half_answer": ((GOOD[:-5], "close"), ("closed_early", "after_part")),
    "half_chunk": ((CHUNKED[:-9], "close"), ("closed_early", "after_part")),
    "stall": ((b"", "stall"), ("read_timeout", "before_any_byte")),
    "stall_within": ((GOOD[:-5], "stall"), ("read_timeout", "after_part")),
    "busy": ((BUSY, "close"), ("wrong_status", "")),
    "no_http": ((b"SSH-2.0-OpenSSH\r\n", "close"), ("wrong_body", "not_http")),
    "bad_status_line": ((b"HTTP/1.1 abc\r\n\r\n", "close"), ("wrong_body", "not_http")),
    "bad_length": ((b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "close"), ("wrong_body", "not_http")),
    "bad_chunk": (
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n", "close"),
        ("wrong_body", "not_http"),
    ),
    "too_long": (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "close"),
        ("wrong_body", "too_long"),
    ),
    "extra": ((GOOD + b"more", "close"), ("wrong_body", "extra_bytes")),
    "other_page": (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "close"),
        ("wrong_body", "not_whoami"),
    ),
    "bad_name": (
        (GOOD.replace(b"site-a", b"SITE,a"), "close"),
        ("wrong_body", "not_whoami"),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_fail_is_called_by_its_name_and_counted_exactly(
    way: str, serve: Callable[..., Server], tmp_path: Path
) -> None:
    (answer, then), expected = WAYS[way]
    # One request in five fails in this way, the others are answered.
    server = serve(lambda number: (answer, then) if number % 5 == 0 else (GOOD, "close"))
    found = run(settings(server.port, new_rate=800.0), 40, tmp_path)
    counts = outcomes(found)
    assert server.requests == len(found)
    failing = -(-server.requests // 5)
    if expected == ("ok", ""):
        assert counts == {("ok", ""): len(found)}
    else:
        assert counts == {expected: failing, ("ok", ""): len(found) - failing}
        assert sum(record.failed for record in found) == failing
    good = next(record for record in found if record.outcome is Outcome.OK)
    assert (good.pod, good.node, good.status, good.prior) == ("site-a", "lab-m02", 200, 0)
    assert good.due <= (good.connected or 0) <= (good.sent or 0) <= good.done
    assert good.local_port


@pytest.mark.parametrize("way", ["stall", "stall_within", "no_http"])
def test_a_connection_given_up_is_reset_and_leaves_no_trace_on_the_way(
    way: str, serve: Callable[..., Server], tmp_path: Path
) -> None:
    (answer, _), (outcome, _) = WAYS[way]
    server = serve(lambda _number: (answer, "stall"))
    found = run(settings(server.port), 5, tmp_path)
    assert {record.outcome for record in found} == {outcome}
    for sock in server.stalled:
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


@pytest.mark.parametrize("way", ["closed", "reset", "half_answer", "stall_within", "busy", "other_page"])
def test_failures_of_reused_connections_are_counted_exactly(
    way: str, serve: Callable[..., Server], tmp_path: Path
) -> None:
    (answer, then), expected = WAYS[way]
    # A complete answer, however wrong, leaves the connection open.
    then = "keep" if way in {"busy", "other_page"} else then
    server = serve(lambda number: (answer, then) if number % 5 == 0 else (GOOD, "keep"))
    found = run(settings(server.port, new_rate=0.0, reused_rate=400.0), 40, tmp_path)
    assert server.requests == len(found)
    failing = -(-server.requests // 5)
    assert outcomes(found) == {expected: failing, ("ok", ""): len(found) - failing}


def test_a_bad_answer_names_its_pod(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(lambda _number: (BUSY, "close"))
    assert {(r.pod, r.node, r.status) for r in run(settings(server.port), 5, tmp_path)} == {
        ("site-b", "lab", 503)
    }


def test_refused(tmp_path: Path) -> None:
    found = run(settings(free_port()), 30, tmp_path)
    assert outcomes(found) == {("refused", "ECONNREFUSED"): len(found)}
    assert all(record.sent is None and record.connected is None and record.local_port for record in found)


@pytest.mark.parametrize("cycle", [True, False])
def test_new_connections_come_from_one_port_after_the_other(
    cycle: bool, serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not cycle:
        # Where none is free the system chooses, and the record tells what it chose.
        monkeypatch.setattr(ports.Ports, "bind", lambda *_: 0)
    server = serve(lambda _number: (GOOD, "close"))
    found = sorted(run(settings(server.port), 50, tmp_path), key=lambda record: record.due)
    came_from = [record.local_port for record in found]
    assert all(came_from)
    assert len(set(came_from)) == len(came_from)
    # In order, but for the few that something else uses, and for the end of the round.
    steps = [b - a for a, b in itertools.pairwise(came_from) if a and b]
    assert (sum(1 <= step <= 3 for step in steps) >= len(steps) - 3) is cycle


def test_no_connection_in_time(tmp_path: Path) -> None:
    # A full accept queue drops SYNs: the connection neither comes about nor is refused.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        found = run(settings(port, new_rate=50.0), 5, tmp_path)
        for filler in fillers:
            filler.close()
    assert outcomes(found) == {("connect_timeout", ""): len(found)}
    assert all(300 <= record.latency_ms < 500 for record in found)


def test_unreachable_is_known_by_the_error() -> None:
    import errno

    assert exchange.outcome_of(errno.EHOSTUNREACH, connecting=True) is Outcome.UNREACHABLE
    assert exchange.outcome_of(errno.ETIMEDOUT, connecting=True) is Outcome.CONNECT_TIMEOUT
    assert exchange.outcome_of(errno.ETIMEDOUT, connecting=False) is Outcome.READ_TIMEOUT


@pytest.mark.parametrize("number", ["EMFILE", "EADDRNOTAVAIL"])
def test_the_probes_own_trouble_is_not_the_sites(
    number: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import errno

    real = socket.socket

    class Broken(real):  # type: ignore[misc, valid-type]
        def __init__(self, *args: object, **kwargs: object) -> None:
            if number == "EMFILE":
                raise OSError(errno.EMFILE, "too many")
            super().__init__(*args, **kwargs)

        def connect_ex(self, _address: object) -> int:
            return errno.EADDRNOTAVAIL

    monkeypatch.setattr(socket, "socket", Broken)
    found = run(settings(1), 3, tmp_path)
    monkeypatch.undo()
    assert outcomes(found) == {("probe_error", number): len(found)}
    assert not any(record.failed for record in found)


def test_a_slow_first_byte_delays_nobody_else(serve: Callable[..., Server], tmp_path: Path) -> None:
    def behave(number: int) -> tuple[bytes, str]:
        if number == 20:
            time.sleep(0.25)  # the server's slowness is what is measured
        return GOOD, "close"

    server = serve(behave)
    settled = settings(server.port, read_timeout_s=5.0)
    found = sorted(run(settled, 150, tmp_path), key=lambda record: record.due)
    slow = [record for record in found if record.latency_ms > 200]
    assert len(slow) == 1
    assert slow[0].outcome is Outcome.OK
    assert slow[0].retransmits == 0
    gaps = [b.due - a.due for a, b in itertools.pairwise(found)]
    assert max(gaps) < 0.003
    assert min(gaps) > 0.002


def test_due_times_do_not_wait_for_a_dead_server(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(lambda _number: (b"", "stall"))
    found = run(settings(server.port), 100, tmp_path)
    assert outcomes(found) == {("read_timeout", "before_any_byte"): len(found)}
    assert max(r.due for r in found) - min(r.due for r in found) == pytest.approx(
        (len(found) - 1) / 400, abs=1e-3
    )


def test_the_length_of_an_outage_is_known_to_20_ms(serve: Callable[..., Server], tmp_path: Path) -> None:
    from failover_lab.report import stats

    switch: list[float] = []
    begin, end = 0.20, 0.55
    first = time.monotonic()

    def behave(_number: int) -> tuple[bytes, str]:
        now = time.monotonic() - first
        if begin <= now < end:
            switch.append(now)
            return b"", "reset"
        return GOOD, "close"

    server = serve(behave)
    found = sorted(run(settings(server.port, new_rate=200.0), 160, tmp_path), key=lambda record: record.due)
    spans = stats.outages([(record.due, record.failed) for record in found], 1 / 200)
    assert len(spans) == 1
    # What held the probe up, it tells.
    late_s = max(record.late_ms for record in found) / 1000
    assert spans[0][1] - spans[0][0] == pytest.approx(end - begin, abs=0.02 + late_s)


def test_what_was_asked_late_was_answered_late(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Whoever came while the probe stood still has waited: what counts is when a request was due."""
    seen: list[Tally] = []

    def stall(tally: Tally) -> None:
        if not seen:
            time.sleep(0.2)
        seen.append(tally)

    server = serve(lambda _number: (GOOD, "close"))
    found = run(settings(server.port), 100, tmp_path, at_tick=stall)
    late_ms = max(record.late_ms for record in found)
    assert late_ms > 100
    assert max(record.latency_ms for record in found) >= late_ms
    assert seen[-1].status(now=0.0, state="")["slowest_ms"] >= late_ms


def test_an_outage_by_refusal_is_known_to_20_ms(serve: Callable[..., Server], tmp_path: Path) -> None:
    from failover_lab.report import stats

    server = serve(lambda _number: (GOOD, "close"))
    switched: list[float] = []

    def at_tick(tally: Tally) -> None:
        if len(switched) == 0 and tally.sent > 30:
            server.refuse()
            switched.append(time.monotonic())
        elif len(switched) == 1 and tally.sent > 90:
            server.accept_again()
            switched.append(time.monotonic())

    plan = settings(server.port, new_rate=200.0)
    found = sorted(run(plan, 130, tmp_path, at_tick=at_tick), key=lambda record: record.due)
    spans = stats.outages([(record.due, record.failed) for record in found], 1 / 200)
    assert len(spans) == 1
    assert spans[0][1] - spans[0][0] == pytest.approx(switched[1] - switched[0], abs=0.02)
    # Whom the server accepted it answered; everybody else was refused, and nobody is counted twice.
    assert sum(record.outcome is Outcome.OK for record in found) == server.requests
    assert {str(record.outcome) for record in found} <= {"ok", "refused", "reset"}


def test_reused_connections_stay_open_and_are_used_in_turn(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(lambda _number: (GOOD, "keep"))
    found = run(settings(server.port, new_rate=0.0, reused_rate=100.0, reused_connections=10), 80, tmp_path)
    assert outcomes(found) == {("ok", ""): len(found)}
    assert server.connections == 10
    by_port = Counter(record.local_port for record in found)
    assert max(by_port.values()) - min(by_port.values()) <= 3
    assert [r.prior for r in found if r.local_port == found[0].local_port] == list(
        range(by_port[found[0].local_port])
    )


def test_a_record_says_when_and_to_where_its_connection_was_opened(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(lambda _number: (GOOD, "keep"))
    found = run(settings(server.port, new_rate=200.0, reused_rate=100.0), 60, tmp_path)
    assert {record.peer for record in found} == {"127.0.0.1"}
    opened: dict[int | None, float | None] = {}
    for record in sorted(found, key=lambda record: record.due):
        assert record.local_port
        if record.prior == 0:
            assert record.opened is not None
            assert record.due <= record.opened <= (record.connected or 0)
            opened[record.local_port] = record.opened
        # Requests over one connection have its port and the instant at which it was begun.
        assert record.opened == opened[record.local_port]


def test_a_server_may_close_an_idle_connection_and_nothing_is_lost(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    # Like nginx at its limit of requests: the close is announced, or comes while nothing is under way.
    last = GOOD.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")
    server = serve(
        lambda number: (last, "close") if number % 10 == 9 else (GOOD, "close" if number % 7 == 6 else "keep")
    )
    found = run(settings(server.port, new_rate=0.0, reused_rate=200.0), 60, tmp_path)
    assert outcomes(found) == {("ok", ""): len(found)}
    assert server.connections > 8


def test_a_request_on_a_stale_connection_is_not_sent_again(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(
        lambda number: (b"", "close") if number == 30 else (b"", "reset") if number == 40 else (GOOD, "keep")
    )
    found = run(settings(server.port, new_rate=0.0, reused_rate=200.0), 60, tmp_path)
    assert server.requests == len(found)
    lost = [record for record in found if record.failed]
    assert {(str(r.outcome), r.detail) for r in lost} == {
        ("closed_early", "before_any_byte"),
        ("reset", "ECONNRESET"),
    }
    assert all(record.prior > 0 for record in lost)


def test_a_busy_pool_opens_more_and_shrinks_again(serve: Callable[..., Server], tmp_path: Path) -> None:
    def behave(number: int) -> tuple[bytes, str]:
        if number < 4:
            time.sleep(0.1)  # keeps all four busy, so that others are needed
        return GOOD, "keep"

    server = serve(behave)
    found = run(settings(server.port, new_rate=0.0, reused_rate=100.0), 60, tmp_path)
    assert outcomes(found) == {("ok", ""): len(found)}
    assert 4 < server.connections < 30


def test_sending_on_a_reset_connection_is_a_reset(serve: Callable[..., Server], tmp_path: Path) -> None:
    ends = socket.socketpair()
    ends[1].close()
    question = Service().question(Target("127.0.0.1", 1, "/"))
    before, request = (exchange.Exchange("reused", 0.0, time.monotonic(), question) for _ in range(2))
    before.sock, before.local_port = ends[0], 1
    request.adopt(before)
    request.send()
    assert (request.outcome, request.detail) == (Outcome.RESET, "EPIPE")
    ends[0].close()


def test_both_kinds_run_side_by_side(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(lambda _number: (GOOD, "keep"))
    found = run(settings(server.port, new_rate=300.0, reused_rate=100.0), 120, tmp_path)
    kinds = Counter(record.kind for record in found)
    assert kinds["new"] == pytest.approx(3 * kinds["reused"], abs=8)


def test_what_is_under_way_at_a_hurried_end_is_unfinished(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(lambda _number: (b"", "stall"))
    found = run(settings(server.port, read_timeout_s=60.0), 20, tmp_path, hurry=True)
    assert outcomes(found) == {("unfinished", ""): len(found)}
    assert not any(record.failed for record in found)


def test_lateness_is_measured(serve: Callable[..., Server], tmp_path: Path) -> None:
    stalled: list[int] = []

    def at_tick(tally: Tally) -> None:
        if tally.sent > 20 and not stalled:
            stalled.append(1)
            time.sleep(0.12)  # the probe itself is held up, and must say so

    server = serve(lambda _number: (GOOD, "close"))
    found = run(settings(server.port), 100, tmp_path, at_tick=at_tick)
    late = [record.late_ms for record in found]
    assert 100 < max(late) < 250
    assert sorted(late)[len(late) // 4] < 20
    # What it missed it made up for: no due time was left out.
    dues = sorted(record.due for record in found)
    assert max(b - a for a, b in itertools.pairwise(dues)) < 0.003


# The command itself


def probe_process(port: int, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "failover_lab",
        "probe",
        "--url",
        f"http://127.0.0.1:{port}",
        "--rate",
        "200",
    ]
    source = str(Path(cli.__file__).parents[1])
    return subprocess.Popen(
        [*command, "--out", str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": source},
    )


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)


def answered(out: Path) -> bool:
    status = out / "status.json"
    return status.exists() and json.loads(status.read_text())["ok"] > 0


def test_a_signal_ends_the_run_in_good_order(serve: Callable[..., Server], tmp_path: Path) -> None:
    out = tmp_path / "run é 1"
    process = probe_process(
        serve(lambda _n: (GOOD, "keep")).port, out, "--duration", "60", "--progress", "0.2"
    )
    until(lambda: answered(out))
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert output.splitlines()[-1].endswith("stopped: SIGTERM")
    about = json.loads((out / "probe.json").read_text())
    assert about["recorded"] == len(list(RecordFile(out / "requests.csv.gz").records()))
    assert json.loads((out / "status.json").read_text())["state"] == "ended"


def test_a_killed_probe_leaves_whole_rows(serve: Callable[..., Server], tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = probe_process(serve(lambda _n: (GOOD, "keep")).port, out)
    until(lambda: answered(out))
    process.kill()
    process.communicate()
    found = RecordFile(out / "requests.csv.gz")
    assert sum(1 for _ in found.records()) > 0
    assert json.loads((out / "probe.json").read_text())["recorded"] is None


@pytest.mark.parametrize("kind", ["new", "reused", "both"])
def test_the_whole_command(
    kind: str, serve: Callable[..., Server], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda _number: (GOOD, "keep"))
    url = f"http://127.0.0.1:{server.port}/whoami"
    status = cli.main(
        ["probe", "--url", url, "--connections", kind, "--duration", "0.3", "--out", str(tmp_path / "r")]
    )
    assert status == 0
    assert "0 failed" in capsys.readouterr().out
    found = list(RecordFile(tmp_path / "r" / "requests.csv.gz").records())
    # As long as asked for, counted from the first request and not from the program's start.
    dues = [record.due for record in found]
    assert max(dues) - min(dues) >= 0.3 - 1.01 / 200
    kinds = {record.kind for record in found}
    assert kinds == ({"new", "reused"} if kind == "both" else {kind})


def test_stop_file_hard_bound_and_parent(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(lambda _number: (GOOD, "keep"))
    base = ["probe", "--url", f"http://127.0.0.1:{server.port}", "--duration", "0.1"]
    (tmp_path / "stop").touch()
    parent = subprocess.Popen([sys.executable, "-c", ""])
    parent.wait()
    for name, more, reason in (
        ("a", ["--stop-file", str(tmp_path / "stop")], "stop file"),
        ("b", ["--max-duration", "0.2", "--stop-file", str(tmp_path / "never")], "the hard bound of 0.2 s"),
        ("c", ["--parent-pid", str(parent.pid)], f"process {parent.pid} is gone"),
    ):
        assert cli.main([*base, "--out", str(tmp_path / name), *more]) == 0
        assert json.loads((tmp_path / name / "probe.json").read_text())["end_reason"] == reason


def test_a_zombie_parent_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stop = lifetime.StopCondition(parent_pid=child.pid)
    assert stop.reason() is None
    child.kill()
    until(lambda: stop.reason() == f"process {child.pid} is gone")
    child.communicate()


def test_a_parent_is_found_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _self: False)
    assert lifetime._alive_without_proc(os.getpid()) == "alive"
    assert lifetime._alive_without_proc(2**22 - 1) is None
    monkeypatch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(PermissionError))
    assert lifetime._alive_without_proc(1) == "alive"


def test_linger_ends_without_the_servers_close(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "LINGER_S", 0.02)
    server = serve(lambda _number: (GOOD, "stall"))
    found = run(settings(server.port), 40, tmp_path)
    assert outcomes(found) == {("ok", ""): len(found)}
    with pytest.raises(ConnectionResetError):
        server.stalled[0].recv(1)


# Marks and waiting


def test_marks_begin_phases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follower = marks.MarkFollower(tmp_path)
    assert follower.newest() is None
    assert cli.main(["mark", "--out", str(tmp_path), "fault_begin", "node=lab-m02"]) == 0
    assert json.loads(capsys.readouterr().out)["node"] == "lab-m02"
    assert follower.newest() == "fault_begin"
    assert follower.newest() is None
    tally = Tally()
    assert tally.status(now=2.0, state="running")["elapsed_s"] == 0
    tally.began = 0.0
    tally.sent += 1
    tally.add(Outcome.OK, done=1.0, latency_ms=1.0, late_ms=0.0, pod="site-a", node="lab")
    tally.begin_phase("healed")
    status = tally.status(now=2.0, state="running")
    assert status["pods"]["site-a"]["answers_in_phase"] == 0
    assert status["pods"]["site-a"]["answers"] == 1


def test_waiting_for_a_steady_state_and_for_answers(
    serve: Callable[..., Server], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    process = probe_process(serve(lambda n: (b"", "close") if n == 0 else (GOOD, "keep")).port, out)
    try:
        until(out.is_dir)
        steady = ["wait-steady", "--out", str(out), "--for", "0.2", "--timeout"]
        assert cli.main([*steady, "8", "--pods", "site-a"]) == 0
        assert capsys.readouterr().out.endswith("steady for 0.2 s\n")
        assert cli.main([*steady, "0.1", "--pods", "site-a,site-q"]) == 1
        assert "still missing an answer of site-q within 0.2 s" in capsys.readouterr().out
        answers = ["wait-answers", "--out", str(out), "--since", "2020-01-01T00:00:00Z", "--timeout"]
        assert cli.main([*answers, "8", "--pods", "site-a"]) == 0
        assert list(json.loads(capsys.readouterr().out.splitlines()[-1])) == ["site-a"]
        assert cli.main([*answers, "0.1", "--pods", "site-a,site-q"]) == 1
        assert "a first answer of site-q" in capsys.readouterr().out
    finally:
        process.terminate()
        process.communicate()
    assert cli.main([*steady, "5"]) == 2
    assert "has ended: start it again in a new directory" in capsys.readouterr().err
    about = out / "probe.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"end_reason": "the hard bound of 2 s"}))
    assert cli.main([*steady, "5"]) == 2
    assert "the hard bound of 2 s is over; a greater witness_max_duration_s" in capsys.readouterr().err


def test_waiting_for_a_probe_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["wait-steady", "--out", str(tmp_path), "--timeout", "0.1"]) == 1
    assert "the probe's first status" in capsys.readouterr().out
    answers = ["wait-answers", "--out", str(tmp_path), "--since", "2020-01-01T00:00:00Z"]
    assert cli.main([*answers, "--timeout", "0.1", "--pods", "a"]) == 1
    tally = Tally()
    status = tally.status(now=time.time() - 60, state="running")
    (tmp_path / "status.json").write_text(json.dumps(status))
    assert cli.main(["wait-steady", "--out", str(tmp_path)]) == 2
    assert "has not been heard of for 60 s" in capsys.readouterr().err


def test_nothing_answered_is_not_steady(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    tally.began = time.time() - 90
    status = tally.status(now=time.time(), state="running")
    (tmp_path / "status.json").write_text(json.dumps(status))
    assert cli.main(["wait-steady", "--out", str(tmp_path), "--timeout", "0.1"]) == 1
    assert "still missing any answer" in capsys.readouterr().out


def say_status(out: Path, now: float, **changes: object) -> None:
    """A probe that began a minute and a half ago, has answers until now and never had a failure."""
    tally = Tally()
    tally.began = now - 90
    tally.add(Outcome.OK, done=now - 0.1, latency_ms=1.0, late_ms=0.0, pod="site-a", node="lab")
    (out / "status.json").write_text(json.dumps(tally.status(now=now, state="running") | changes))


def test_the_steady_state_after_a_fault_begins_after_it(tmp_path: Path) -> None:
    clock = instants.shared_clock(tmp_path)
    now = clock.now()
    say_status(tmp_path, now)
    assert wait.SteadyState(5.0, ["site-a"]).look(tmp_path, clock).missing == []
    for ago, says in ((5.01, []), (4.9, ["5 s without a failure (4.9 s so far)"])):
        assert wait.SteadyState(5.0, ["site-a"], now - ago).look(tmp_path, clock).missing == says
    # What was answered before it does not count, however short the window that has passed since.
    found = wait.SteadyState(5.0, ["site-a"], now - 0.06).look(tmp_path, clock).missing
    assert found == [
        "5 s without a failure (0.1 s so far)",
        "an answer of site-a within 5 s",
        "any answer",
    ]
    # An event that is still to come, by the clock of the probe's last status.
    assert wait.SteadyState(5.0, [], now + 1).look(tmp_path, clock).missing[0].endswith("(0.0 s so far)")


def test_it_is_steady_where_every_probe_says_so(tmp_path: Path) -> None:
    clock = instants.shared_clock(tmp_path)
    say_status(tmp_path, clock.now())
    far = Run(tmp_path).probe("far").directory
    far.mkdir(parents=True)
    assert wait.SteadyState(5.0, []).look(tmp_path, clock).missing == ["the probe's first status"]
    say_status(far, clock.now(), since_last_failure_s=1.0)
    assert wait.SteadyState(5.0, []).look(tmp_path, clock).missing == ["5 s without a failure (1.0 s so far)"]
    say_status(far, clock.now())
    assert wait.SteadyState(5.0, []).look(tmp_path, clock).missing == []


def test_a_window_is_no_longer_than_the_probes_life(tmp_path: Path) -> None:
    clock = instants.shared_clock(tmp_path)
    say_status(tmp_path, clock.now(), elapsed_s=3.0)
    assert wait.SteadyState(5.0, []).look(tmp_path, clock).missing == ["5 s without a failure (3.0 s so far)"]


def test_no_steady_state_before_the_observer_has_listed_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say_status(tmp_path, instants.shared_clock(tmp_path).now())
    steady = ["wait-steady", "--out", str(tmp_path), "--timeout", "0.1"]

    def waited(*more: str) -> str:
        assert cli.main([*steady, "--observed", "--mark", "steady_before", *more]) > 0
        assert not (tmp_path / "marks.jsonl").exists()
        captured = capsys.readouterr()
        return captured.err or captured.out.splitlines()[-1]

    assert cli.main(steady) == 0
    assert waited() == "not steady after 0.1 s: still missing the observer's first status"
    observer: dict[str, object] = {
        "updated": instants.text(instants.shared_clock(tmp_path).now()),
        "state": "listing",
        "not_listed_yet": ["Node", "Pod"],
        "trouble": None,
    }

    def observe(**changes: object) -> None:
        (tmp_path / "observer.json").write_text(json.dumps(observer | changes))

    observe()
    assert waited() == "not steady after 0.1 s: still missing the observer's lists of Node, Pod"
    observe(trouble="ApiException: (403)")
    assert waited().endswith("the observer's lists of Node, Pod (ApiException: (403))")
    observe(state="ended", trouble="no access to the cluster")
    assert waited().endswith(" has ended: no access to the cluster\n")
    observe(updated="2026-01-01T00:00:00.000000Z")
    assert "the observer of" in (says := waited())
    assert "has not been heard of" in says
    observe(state="watching", not_listed_yet=[])
    assert cli.main([*steady, "--observed", "--mark", "steady_before"]) == 0
    assert [mark["event"] for mark in files.read_lines(tmp_path / "marks.jsonl")] == ["steady_before"]


def test_a_probe_that_cannot_begin_says_why_to_whom_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = ["probe", "--url", "http://no-such-host.invalid/", "--out", str(tmp_path)]
    assert cli.main(probe) == 2
    assert cli.main(["wait-steady", "--out", str(tmp_path)]) == 2
    assert "has ended: no-such-host.invalid has no address" in capsys.readouterr().err
    # So does one whose settings contradict each other, before there is a directory.
    out = tmp_path / "new"
    settings = ["--url", "http://127.0.0.1:1/", "--duration", "4000", "--max-duration", "3600"]
    assert cli.main(["probe", "--out", str(out), *settings]) == 2
    assert not out.exists(), "nobody waits for it, and yet it left something"
    assert cli.main(["probe", "--out", str(out), "--stop-file", str(out / "stop"), *settings]) == 2
    assert cli.main(["wait-steady", "--out", str(out)]) == 2
    assert "has ended: --max-duration 3600 is less than --duration 4000" in capsys.readouterr().err
    # A second one that may not begin leaves the status of the first alone.
    say_status(tmp_path, instants.shared_clock(tmp_path).now())
    before = (tmp_path / "status.json").read_bytes()
    assert cli.main(probe) == 2
    assert (tmp_path / "status.json").read_bytes() == before


def test_waiting_since_a_mark(
    serve: Callable[..., Server], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    process = probe_process(serve(lambda _n: (GOOD, "keep")).port, out)
    steady = ["wait-steady", "--out", str(out), "--for", "0.3", "--timeout", "8", "--pods", "site-a"]
    try:
        until(lambda: answered(out))
        assert cli.main([*steady, "--since", "healed"]) == 2
        assert "has no mark healed; mark it first, or give an instant" in capsys.readouterr().err
        assert cli.main(steady) == 0
        for _ in range(2):
            # The last one counts where there are several.
            began = time.monotonic()
            marked = marks.append(out, ["healed"])
            assert cli.main([*steady, "--since", "healed"]) == 0
            assert 0.3 <= time.monotonic() - began < 8.0
        assert cli.main([*steady, "--since", instants.text(marked)]) == 0
        answers = [
            "wait-answers",
            "--out",
            str(out),
            "--timeout",
            "8",
            "--pods",
            "site-a",
            "--since",
            "healed",
        ]
        assert cli.main(answers) == 0
        first = instants.parse(json.loads(capsys.readouterr().out.splitlines()[-1])["site-a"])
        assert first >= marked
        assert cli.main([*steady, "--mark-first", "put_right", "--mark", "good", "--mark", "better"]) == 0
        assert cli.main([*steady, "--timeout", "0.1", "--mark-first", "late", "--mark", "never"]) == 1
        at = {mark["event"]: instants.parse(mark["at"]) for mark in files.read_lines(out / "marks.jsonl")}
        assert list(at) == ["healed", "put_right", "good", "better", "late"]
        assert at["good"] == at["better"] >= at["put_right"] + 0.3
    finally:
        process.terminate()
        process.communicate()
    (out / "marks.jsonl").write_text('{"event": "healed"}\n')
    assert cli.main([*steady, "--since", "healed"]) == 2
    assert "is no mark" in capsys.readouterr().err


SCHEDULING = """
import json, os, sys, threading
from failover_lab.host import priority

def refuse(*_):
    raise PermissionError(1, "no")

for name in sys.argv[1:]:
    setattr(os, name, refuse)
got = priority.hasten(2)
here = [os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(0).sched_priority]
child = []
thread = threading.Thread(target=lambda: child.append(os.sched_getscheduler(0)))
thread.start()
thread.join()
print(json.dumps([got, *here, child[0], os.getpriority(os.PRIO_PROCESS, 0)]))
"""


@pytest.mark.parametrize("refused", [[], ["sched_setscheduler"], ["sched_setscheduler", "setpriority"]])
def test_the_probe_asks_to_be_scheduled_first_and_does_without(refused: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCHEDULING, *refused],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
        check=True,
    )
    got, policy, level, childs, niceness = json.loads(done.stdout)
    wanted = ["real_time", "nice", "normal"][len(refused) :]
    # What the system itself refuses to whoever runs the tests cannot be had.
    assert got in wanted
    assert (policy, level) == ((os.SCHED_RR, 2) if got == "real_time" else (os.SCHED_OTHER, 0))
    assert childs == os.SCHED_OTHER
    assert (niceness == -10) is (got == "nice")
    if os.geteuid() == 0 and not refused:
        assert got != "normal"


def test_the_probe_tells_how_it_is_scheduled_and_its_writer_is_too(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bool]] = []

    def hasten(level: int) -> str:
        asked.append((level, threading.current_thread() is threading.main_thread()))
        return "real_time"

    monkeypatch.setattr(priority, "hasten", hasten)
    url = f"http://127.0.0.1:{serve(lambda _n: (GOOD, 'keep')).port}"
    assert cli.main(["probe", "--url", url, "--max-duration", "0.1", "--out", str(tmp_path / "run")]) == 0
    assert asked == [(2, True), (1, False)]
    for name in ("probe.json", "status.json"):
        assert json.loads((tmp_path / "run" / name).read_text())["scheduling"] == "real_time"
