"""Bad input gives one clear line and status 2; damaged and cut-off files are told apart."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import socket
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from tests.quiet_server import QuietServer

from failover_lab import arguments, cli
from failover_lab.errors import UserError
from failover_lab.probe import engine, identity, probing, spread, writer
from failover_lab.probe.ports import Ports
from failover_lab.report import command as report_command
from failover_lab.run import files, instants, records
from failover_lab.run.layout import Probe
from failover_lab.run.records import RecordFile

URL = "http://127.0.0.1:9/whoami"


def refuse(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail with status 2; gives back its one line."""
    try:
        status = cli.main(argv)
    except SystemExit as error:
        status = int(error.code or 0)
    captured = capsys.readouterr()
    assert status == 2
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("failover-lab: error: ")
    return captured.err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "COMMAND"),
        (["frobnicate"], "invalid choice"),
        (["probe", "--url", "ftp://x", "--out", "o"], "give one such as http://"),
        (["probe", "--url", "http://a b/", "--out", "o"], "http://a b/"),
        (["probe", "--url", "http://h/a b", "--out", "o"], "percent-encoded"),
        (["probe", "--url", "http://h:99999/", "--out", "o"], "is no address"),
        (["probe", "--url", URL, "--rate", "0", "--out", "o"], "out of range; give 0.1 to 20000 requests/s"),
        (["probe", "--url", URL, "--rate", "many", "--out", "o"], "is no number"),
        (["probe", "--url", URL, "--duration", "-1", "--out", "o"], "out of range"),
        (["probe", "--url", URL, "--reused-connections", "0", "--out", "o"], "give 1 to 1000"),
        (["probe", "--url", URL, "--reused-connections", "x", "--out", "o"], "no whole number"),
        (
            ["probe", "--url", URL, "--duration", "9", "--max-duration", "1", "--out", "o"],
            "less than --duration 9",
        ),
        (["probe", "--url", "http://no-such-host.invalid/", "--out", "o"], "has no address"),
        (["probe", "--url", "http://192.168.49..100/", "--out", "o"], "192.168.49..100 has no address"),
        (["check-spread", "--url", f"http://{'a' * 64}.b/"], "a.b has no address"),
        (["probe", "--url", URL, "--out", "/proc/none/x"], "cannot make /proc/none/x"),
        (["mark", "--out", "missing", "fault_begin"], "missing is no directory"),
        (["mark", "--out", ".", "Fault!"], "is no name of an event"),
        (["mark", "--out", ".", "fault", "at=1"], "is not key=value"),
        (["wait-steady", "--out", "missing"], "missing is no directory"),
        (["wait-answers", "--out", ".", "--since", "Yesterday"], "give an instant such as"),
        (["wait-answers", "--out", ".", "--since", "yesterday"], "has no mark yesterday"),
        (["wait-answers", "--out", ".", "--since", "2026-11-23T19:00:00"], "names no time zone"),
        (["report", "missing"], "missing is no directory"),
        (["report", "."], "probe.json is missing"),
        (["report", ".", "--facts", "{"], "argument --facts: no JSON"),
        (["report", ".", "--facts", "[]"], "argument --facts: no JSON object"),
        (["report", "missing", "--facts", "{}"], "missing is no directory"),
    ],
)
def test_bad_input_is_one_clear_line(
    argv: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refuse(argv, capsys)


def test_a_second_probe_does_not_overwrite_the_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "requests.csv.gz").touch()
    says = refuse(["probe", "--url", URL, "--duration", "0.1", "--out", str(tmp_path)], capsys)
    assert "exists already; give --out a directory of its own" in says


def test_more_sockets_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    plan = engine.Settings(arguments.target(URL), 20_000.0, 0.0, 1, 3.0, 5.0)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 4096))
    with pytest.raises(
        UserError,
        match=r"180065 sockets open, and 4096 are allowed: use a shell whose `ulimit -Hn` is 180065 or more",
    ):
        probing.allow_open_files(plan)
    raised: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda *limits: raised.append(limits))
    probing.allow_open_files(plan)
    assert raised[0][1][0] == 180065


def test_a_full_disk_ends_the_probe_with_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = Path.open

    def full(self: Path, *args: Any, **kwargs: Any) -> Any:
        return open("/dev/full", "wb") if self.name == "requests.csv.gz" else real(self, *args, **kwargs)  # noqa: PTH123

    monkeypatch.setattr(Path, "open", full)
    says = refuse(["probe", "--url", URL, "--duration", "30", "--out", str(tmp_path)], capsys)
    assert "No space left on device; free some space" in says


def test_a_disk_that_does_not_keep_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_MOST_WAITING_BYTES", 10)
    run_writer = writer.RunWriter(Probe(tmp_path))
    run_writer._waiting_bytes = 11
    with pytest.raises(UserError, match="does not keep up"):
        run_writer.put("x", None)


def test_status_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "status.json"
    files.write_json(target, {"a": 1})

    def fail(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="full"):
        files.write_json(target, {"a": 2})
    assert json.loads(target.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_the_probe_cannot_describe_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(path: Path, _content: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_json", fail)
    says = refuse(["probe", "--url", URL, "--duration", "30", "--out", str(tmp_path)], capsys)
    assert "probe.json: No space left" in says


# The record, cut off and damaged

ROW = "{n},new,2026-11-23T19:00:00.{n:06d}Z,,,2026-11-23T19:00:01.000000Z,refused,,,,5,0,0.100,,ECONNREFUSED"


def record_file(path: Path, members: list[int]) -> tuple[bytes, set[int]]:
    """Members of so many rows each, after the header's own; gives back the bytes and where members end."""
    content = gzip.compress((records.HEADER + "\n").encode(), mtime=0)
    number = 0
    ends = {0, len(content)}
    for size in members:
        rows = []
        for _ in range(size):
            number += 1
            rows.append(ROW.format(n=number))
        content += gzip.compress(("\n".join(rows) + "\n").encode(), mtime=0)
        ends.add(len(content))
    path.write_bytes(content)
    return content, ends


def whole_rows(content: bytes) -> int:
    """How many rows end before the cut, by zlib alone; the header is none."""
    found = b""
    while content:
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(content)
        content = member.unused_data
    return max(0, found.count(b"\n") - 1)


def test_a_record_cut_off_at_any_byte_gives_its_whole_rows(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv.gz"
    content, ends = record_file(path, [3, 5])
    seen = set()
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        found = RecordFile(path)
        numbers = [record.number for record in found.records()]
        assert numbers == list(range(1, whole_rows(content[:size]) + 1))
        seen.add(len(numbers))
        assert found.cut_off == (size not in ends)
    assert {0, 3, 8} <= seen


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        ("at once", "no request was recorded"),
        ("in the header", "no request was recorded"),
        ("in the header's trailer", "no request was recorded"),
        ("in a row", "the record was cut off before the probe's end"),
        ("in a trailer", "the record was cut off before the probe's end"),
    ],
)
def test_a_report_of_a_record_that_was_cut_off(
    cut: str, says: str, made_up: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up.rate = 20.0
    directory = made_up.write()
    path = directory / "requests.csv.gz"
    content = path.read_bytes()
    first = zlib.decompressobj(wbits=31)
    first.decompress(content)
    header = len(content) - len(first.unused_data)
    # A trailer is of eight bytes.
    size = {
        "at once": 0,
        "in the header": header // 2,
        "in the header's trailer": header - 3,
        "in a row": (header + len(content)) // 2,
        "in a trailer": len(content) - 3,
    }[cut]
    path.write_bytes(content[:size])
    assert cli.main(["report", str(directory)]) == 1
    assert f"not measured: {says}" in capsys.readouterr().out
    report = json.loads((directory / "report.json").read_text())
    assert report["requests"]["total"] == whole_rows(content[:size])
    assert not report["measurement"]["whole_record"]
    assert "Not measured" in (directory / "report.html").read_text()


def test_a_record_that_grows_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv.gz"
    content, _ = record_file(path, [2, 2, 2])
    found = RecordFile(path)
    seen: list[int] = []
    for size in [*range(0, len(content), 40), len(content)]:
        path.write_bytes(content[:size])
        # A member that is not whole yet is read again once it is.
        seen += [r.number for r in found.records() if r.number not in seen]
    assert seen == [1, 2, 3, 4, 5, 6]
    assert not found.cut_off


def test_damage_before_the_end_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv.gz"
    content, _ = record_file(path, [30, 5])
    harmful = 0
    for at in range(120, len(content) - 90, 7):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        try:
            numbers = [record.number for record in RecordFile(path).records()]
        except UserError as error:
            harmful += "is damaged" in str(error)
        else:
            # Some bytes of a gzip header mean nothing; then everything is there.
            assert numbers == list(range(1, 36))
    assert harmful > 30
    path.write_bytes(content + b"not gzip at all")
    with pytest.raises(UserError, match="is damaged after row 36"):
        list(RecordFile(path).records())


def test_rows_that_make_no_sense(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv.gz"
    good = gzip.compress((records.HEADER + "\n").encode())
    path.write_bytes(good + gzip.compress(b"1,new,what\n"))
    with pytest.raises(UserError, match="row 2 cannot be read"):
        list(RecordFile(path).records())
    path.write_bytes(gzip.compress(b"a,b,c\n"))
    with pytest.raises(UserError, match="another version"):
        list(RecordFile(path).records())
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        list(RecordFile(path).records())
    path.mkdir()
    with pytest.raises(UserError, match="cannot read"):
        list(RecordFile(path).records())


def test_damaged_small_files(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        files.read_json(path)
    path.write_text("[]")
    with pytest.raises(UserError, match="holds no object"):
        files.read_json(path)
    with pytest.raises(UserError, match="cannot read"):
        files.read_json(tmp_path)
    with pytest.raises(UserError, match="cannot read"):
        files.read_lines(tmp_path)
    path.write_text('{"a": 1}\n{"b": 2}\n{"c"')
    assert files.read_lines(path) == [{"a": 1}, {"b": 2}]
    path.write_text('{"a": 1}\n{"b"\n{"c": 3}\n')
    with pytest.raises(UserError, match="damaged in line 2"):
        files.read_lines(path)
    path.write_text("3\n")
    with pytest.raises(UserError, match="line 1: it holds no object"):
        files.read_lines(path)


# Clocks


def test_instants_keep_microseconds() -> None:
    assert instants.text(instants.parse("2026-11-23T19:00:00.250001Z")) == "2026-11-23T19:00:00.250001Z"
    # Rounding up to a whole second carries over.
    assert instants.text(1_795_000_000.9999999) == instants.text(1_795_000_001)


def test_processes_of_a_run_share_one_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = instants.shared_clock(tmp_path)
    # The wall clock steps by an hour in the middle of the run: nothing moves.
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    assert instants.shared_clock(tmp_path) == first
    anchor = json.loads((tmp_path / "clock.json").read_text())
    # After a boot the monotonic clock has begun anew, and the old anchor would be nonsense.
    (tmp_path / "clock.json").write_text(json.dumps(anchor | {"boot": "another"}))
    assert instants.shared_clock(tmp_path) != first
    for broken in ("{", "[]"):
        (tmp_path / "clock.json").write_text(broken)
        with pytest.raises(UserError, match="damaged"):
            instants.shared_clock(tmp_path)
    with pytest.raises(UserError, match="cannot use"):
        instants.shared_clock(tmp_path / "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["clock.json"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_a_file_system_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError(number, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", fail)
    first = instants.shared_clock(tmp_path)
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    assert instants.shared_clock(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["clock.json"]
    # Another process has begun to write it, and is at it.
    whole = (tmp_path / "clock.json").read_text()
    (tmp_path / "clock.json").write_text("")
    monkeypatch.setattr(time, "sleep", lambda _s: (tmp_path / "clock.json").write_text(whole))
    assert instants.shared_clock(tmp_path) == first


def test_a_system_that_names_no_boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_text

    def read_text(self: Path, *args: Any, **kwargs: Any) -> str:
        if "boot_id" in str(self):
            raise FileNotFoundError
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert instants.shared_clock(tmp_path) == instants.shared_clock(tmp_path)


# A report's own bad input


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("run.json", {"schema_version": 7}, "is of version 7, and this is version 1"),
        (
            "run.json",
            {"schema_version": 1, "fault": {"kind": "meteor"}},
            r"\$.fault.kind: 'meteor' is not one of",
        ),
        ("run.json", {"schema_version": 1}, "'fault' is a required property"),
        ("probe.json", {"format": 99, "version": "9.9"}, "made by failover-lab 9.9 in format 99"),
        ("marks.jsonl", {"event": "x"}, "is no mark"),
        ("events.jsonl", {"at": "2026-11-23T19:00:00Z"}, "is no change"),
    ],
)
def test_a_directory_of_another_version_or_damaged(name: str, content: Any, says: str, made_up: Any) -> None:
    directory = made_up.write()
    (directory / name).write_text(json.dumps(content) + "\n")
    with pytest.raises(UserError, match=re.escape(says) if "$" not in says else says):
        report_command.write(directory)
    assert not (directory / "report.json").exists()


def test_a_report_that_cannot_be_written(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = made_up.write()

    def fail(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UserError, match="cannot write the report"):
        report_command.write(directory)


def test_check_spread(capsys: pytest.CaptureFixture[str]) -> None:
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        count = 0

        def do_GET(self) -> None:
            Handler.count += 1
            body = b'{"pod": "site-%d", "node": "lab"}' % (Handler.count % 2)
            self.send_response(200 if Handler.count != 5 else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None: ...

    with QuietServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        base = ["check-spread", "--url", f"http://127.0.0.1:{server.server_port}", "--requests", "4"]
        assert cli.main([*base, "--expect-pods", "site-0,site-1", "--expect-nodes", "lab", "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures == {
            "requests": 2,
            "failed": 0,
            "pods": {"site-0": 1, "site-1": 1},
            "nodes": {"lab": 2},
            "missing_pods": [],
            "missing_nodes": [],
        }
        # The fifth request of all fails, and nothing ever comes from site-9.
        assert cli.main([*base, "--expect-pods", "site-9"]) == 1
        output = capsys.readouterr().out
        assert "4 requests, 1 failed" in output
        assert "pod site-9: no answer" in output
        server.shutdown()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert cli.main(["check-spread", "--url", f"http://127.0.0.1:{port}", "--requests", "2", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == 2


@pytest.mark.parametrize("pods", [0, 1, 4, 16, 60, 200])
def test_every_pod_is_asked_but_for_one_time_in_a_million(pods: int) -> None:
    requests = spread.enough(pods)
    assert requests >= 300
    assert pods * (1 - 1 / max(pods, 2)) ** requests <= 1e-6


def test_check_spread_asks_more_where_there_are_many_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = [f"site-{number}" for number in range(60)]
    asked = iter(range(10**6))
    # The last one answers for the first time at request 591.
    monkeypatch.setattr(
        spread.Asker, "ask", lambda *_: identity.Identity(pods[min(next(asked) // 10, 59)], "lab")
    )
    monkeypatch.setattr(spread, "_KNOWN_PACE_S", 0.0)
    assert cli.main(["check-spread", "--url=http://192.0.2.1", f"--expect-pods={','.join(pods)}"]) == 0


def test_check_spread_waits_for_a_first_answer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    who = identity.Identity("site-0", "lab")
    answers: list[identity.Identity | None] = []
    monkeypatch.setattr(spread.Asker, "ask", lambda *_: answers.pop(0) if answers else who)
    target = arguments.target("http://192.0.2.1")

    def check(wait_s: float) -> spread.Spread:
        wanted = spread.Spread(["site-0"], [])
        return spread.check(target, wanted, requests=4, timeout_s=5, wait_s=wait_s, pace_s=0.001)

    answers += [None, None]
    assert check(5).failed == 0
    answers += [None, None]
    assert check(0).failed == 2
    # The first answer ends the wait: what fails from then on counts.
    answers += [None, who, None]
    assert check(5).failed == 1
    answers += [None] * 10_000
    found = check(0.05)
    assert (found.requests, found.failed) == (4, 4)


@pytest.mark.parametrize("now", [0.0, 1000.0, 1_790_000_000.0])
def test_check_spread_asks_from_ports_that_the_witness_does_not_use_for_two_minutes(now: float) -> None:
    def bound(ports: Ports) -> int:
        with socket.socket() as sock:
            return ports.bind(sock)

    witness = bound(Ports(socket.AF_INET, 200.0, 80, now))
    mine = bound(spread.rested_ports(socket.AF_INET, 80, now))
    steps = abs(mine - witness)
    assert min(steps, 64512 - steps) / 200.0 > 120


def test_check_spread_gives_the_nodes_time_to_learn_of_all_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()

    def answer(*_: object) -> identity.Identity:
        return identity.Identity("site-0" if time.monotonic() < began + 1.5 else "site-1", "lab")

    monkeypatch.setattr(spread.Asker, "ask", answer)
    wanted = spread.Spread(["site-0", "site-1"], ["lab"])
    target = arguments.target("http://192.0.2.1")
    assert spread.check(target, wanted, requests=300, timeout_s=10).complete


def test_a_reader_that_goes_away_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_options: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(report_command, "run", broken)
    monkeypatch.setattr(sys, "stderr", open(os.devnull, "w"))  # noqa: SIM115, PTH123
    assert cli.main(["report", "x"]) == 1


def test_an_interruption_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(report_command, "run", interrupted)
    assert cli.main(["report", "x"]) == 130
    assert capsys.readouterr().err == ""
