"""What is not the record neither ends nor falsifies a measurement: progress, marks, status."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.probe.server import Server
from tests.unit.probe.test_probe import GOOD, say_status, until

from failover_lab import cli
from failover_lab.arguments import Target
from failover_lab.probe import probing, wait
from failover_lab.probe.engine import Settings
from failover_lab.report import command as report_command
from failover_lab.run import instants, marks
from failover_lab.run.lifetime import StopCondition
from failover_lab.run.records import Outcome, Record, RecordFile

RATE = 20.0


@pytest.fixture
def server(undisturbed: None) -> Iterator[Server]:
    started = Server(lambda _: (GOOD, "close"))
    yield started
    started.stop()


def probe(port: int, out: Path, *more: str, **streams: Any) -> subprocess.Popen[str]:
    words = ["probe", "--url", f"http://127.0.0.1:{port}", "--rate", f"{RATE:g}", "--connections", "new"]
    return subprocess.Popen(
        [sys.executable, "-m", "failover_lab", *words, "--out", str(out), *more],
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
        **({"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | streams),
    )


def recorded(out: Path, seconds: float) -> dict[str, Any]:
    """What probe.json says of a record that is whole."""
    found: list[Record] = list(RecordFile(out / "requests.csv.gz").records())
    about: dict[str, Any] = json.loads((out / "probe.json").read_text(encoding="utf-8"))
    assert about["recorded"] == len(found)
    assert len(found) >= seconds * RATE
    assert {record.outcome for record in found} == {Outcome.OK}
    # A loaded machine is late; one that waits for whoever reads would be so for a second and more.
    assert max(record.late_ms for record in found) < 800
    return about


def test_a_reader_of_the_progress_that_goes_away(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "run"
    reads, writes = os.pipe()
    process = probe(server.port, out, "--duration", "2", "--progress", "0.1", stdout=writes)
    os.close(writes)
    with os.fdopen(reads) as file:
        assert "requests" in file.readline()
    assert process.wait(timeout=30) == 0
    assert process.communicate()[1] == ""
    assert "the progress could not be written: [Errno 32]" in recorded(out, 2)["trouble"][0]
    assert json.loads((out / "status.json").read_text(encoding="utf-8"))["state"] == "ended"


def test_a_reader_of_the_progress_that_pauses(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "run"
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writes, b"x" * 4000)
    process = probe(server.port, out, "--duration", "3", "--progress", "0.1", stdout=writes)
    os.close(writes)
    until(lambda: (out / "probe.json").exists() and json.loads((out / "probe.json").read_text())["ended"], 30)
    with os.fdopen(reads) as file:
        said = file.read()
    assert process.wait(timeout=30) == 0
    assert "stopped: 3 s are over" in said
    assert recorded(out, 3)["trouble"] == ["whoever read the progress paused, and missed some of it"]


def test_a_line_among_the_marks_that_is_none(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = probe(server.port, out, "--duration", "2.5")
    until((out / "status.json").exists)
    with (out / "marks.jsonl").open("a", encoding="utf-8") as file:
        file.write("a note of mine\n" + "[" * 50_000 + "\n[]\n")
    marks.append(out, ["healed"])
    until(lambda: json.loads((out / "status.json").read_text())["phase"] == "healed")
    assert process.wait(timeout=30) == 0
    assert "has a line that is no mark" in recorded(out, 2.5)["trouble"][0]


def test_a_status_that_cannot_be_replaced(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = probe(server.port, out, "--duration", "2")
    until((out / "status.json").exists)
    (out / "status.json").unlink()
    (out / "status.json").mkdir()
    assert process.wait(timeout=30) == 0
    trouble = recorded(out, 2)["trouble"]
    assert trouble == [f"cannot write {out / 'status.json'}: Is a directory"]
    assert not list(out.glob(".status*"))
    lines, _ = report_command.write(out)
    assert f"Mind: {trouble[0]}" in lines
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["measurement"]["trouble"] == trouble
    # Of a machine that is too busy for twenty requests a second the verdict may speak.
    assert not [reason for reason in report["verdict"]["reasons"] if "status" in reason]


def test_what_is_not_the_record_takes_nothing_from_the_verdict(made_up: Any) -> None:
    made_up.trouble = ["cannot write status.json: Is a directory"]
    found = made_up.content()
    assert found["measurement"]["trouble"] == made_up.trouble
    assert (found["verdict"]["measured"], found["verdict"]["passed"]) == (True, True)


def test_the_last_rows_are_there_though_what_comes_after_them_breaks_down(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(Target("127.0.0.1", server.port, "/whoami"), 100.0, 0.0, 1, 0.3, 0.3)
    run = probing.Run(settings, tmp_path, StopCondition(most_s=20.0), 0.0)
    assert run._marks is not None
    asked = run._marks.newest

    def broken() -> str | None:
        if run._tally.ended >= 50:
            raise ZeroDivisionError
        return asked()

    monkeypatch.setattr(run._marks, "newest", broken)
    with pytest.raises(ZeroDivisionError):
        run.run()
    assert len(list(RecordFile(tmp_path / "requests.csv.gz").records())) == run._tally.sent >= 50


def test_what_hangs_is_not_steady(tmp_path: Path) -> None:
    clock = instants.shared_clock(tmp_path)
    now = clock.now()
    hangs = {"in_flight": 16, "oldest_open": instants.text(now - 4.0)}
    say_status(tmp_path, now, **hangs)
    # In 90 s there was no failure; of those that were due within the last four nobody knows.
    assert wait.SteadyState(5.0, [], now - 8.0).look(tmp_path, clock).missing == [
        "5 s without a failure (4.0 s so far; 16 are open, one for 4.0 s)"
    ]
    assert wait.SteadyState(5.0, [], now - 9.1).look(tmp_path, clock).missing == []
    # A failure within what is known, and one after it.
    for ago in (6.0, 2.0):
        say_status(tmp_path, now, **hangs, since_last_failure_s=ago)
        assert "5 s without a failure" in wait.SteadyState(5.0, []).look(tmp_path, clock).missing[0]


def test_the_status_tells_since_when_a_request_is_open(tmp_path: Path) -> None:
    server = Server(lambda number: (b"", "stall") if number % 2 else (GOOD, "close"))
    settings = Settings(Target("127.0.0.1", server.port, "/whoami"), 20.0, 0.0, 1, 5.0, 5.0)
    run = probing.Run(settings, tmp_path, StopCondition(most_s=1.5), 0.0)
    seen = []
    stop = run._stop.reason

    def reason() -> str | None:
        seen.append(run._status("running"))
        why = stop()
        if why:
            run._stop.signals = 2
        return why

    run._stop.reason = reason  # type: ignore[method-assign]
    try:
        run.run()
    finally:
        server.stop()
    last = [status for status in seen if status["in_flight"] > 5][-1]
    assert last["failed"] == 0
    open_s = instants.parse(last["updated"]) - instants.parse(last["oldest_open"])
    assert open_s == pytest.approx(last["elapsed_s"], abs=0.3)
    assert json.loads((tmp_path / "status.json").read_text())["oldest_open"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None, "updated": 5},
        {"updated": "soon"},
        {"elapsed_s": "long"},
        {"pods": ["site-a"]},
        {"pods": {"site-a": {}}},
        {"since_last_failure_s": {}},
        {"oldest_open": 5},
        {"last_ok": "soon"},
        {"sent": {}, "failed": []},
    ],
)
def test_a_status_that_is_none(
    changes: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say_status(tmp_path, instants.shared_clock(tmp_path).now(), **changes)
    status = cli.main(
        ["wait-steady", "--out", str(tmp_path), "--for", "5", "--timeout", "0.1", "--pods", "site-a"]
    )
    said = capsys.readouterr().err
    assert (status, said.count("\n")) == (2, 1) or "sent" in changes
    (tmp_path / "status.json").write_text("{}")
    assert cli.main(["wait-steady", "--out", str(tmp_path), "--timeout", "0.1"]) == 2
    assert "status.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("offset", ["NaN", "Infinity", "1e300", "true", '"1"', "null"])
def test_a_clock_that_is_none(offset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clock.json").write_text(f'{{"offset_s": {offset}, "boot": ""}}\n')
    assert cli.main(["mark", "--out", str(tmp_path), "healed"]) == 2
    assert "clock.json is damaged" in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.parametrize("encoding", ["iso-8859-1", "ascii", "utf-8"])
def test_a_terminal_that_lacks_a_character(encoding: str, made_up: Any) -> None:
    directory = made_up.write()
    done = subprocess.run(
        [sys.executable, "-m", "failover_lab", "report", str(directory)],
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1]), "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"Passed: ")


def test_a_verdict_is_what_it_is_whoever_reads_it(made_up: Any) -> None:
    directory = made_up.write()
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-m", "failover_lab", "report", str(directory)],
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
        stdout=writes,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_bug_is_no_answer(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(_options: object) -> Callable[[], None]:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(report_command, "run", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.main([*(["--json"] if as_json else []), "report", "x"]) == 3
    captured = capsys.readouterr()
    (details,) = tmp_path.iterdir()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("failover-lab: error: this is a bug of failover-lab")
    assert f"(RuntimeError: two lines); the details lie in {details}: report it" in captured.err
    assert "test_beside.py" in details.read_text(encoding="utf-8")
    assert bool(captured.out) == as_json
    if as_json:
        assert json.loads(captured.out)["error"] in captured.err
    # Not even there is any room.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert cli.main(["report", "x"]) == 3
    assert "it broke down in" in capsys.readouterr().err


def test_waiting_goes_on_while_half_of_the_requests_hang(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(lambda number: (b"", "stall") if number % 2 else (GOOD, "close"))
    out = tmp_path / "run"
    process = probe(server.port, out, "--read-timeout", "20", "--duration", "20")
    try:
        until((out / "status.json").exists)
        began = time.monotonic()
        assert cli.main(["wait-steady", "--out", str(out), "--for", "0.5", "--timeout", "3"]) == 1
        assert time.monotonic() - began > 2.9
        assert "are open, one for" in capsys.readouterr().out
    finally:
        process.kill()
        process.communicate()
        server.stop()
