"""``failover-lab probe URL`` by itself: what it prints, how it ends, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from failover_lab import cli
from failover_lab.probe import figures, schedule
from failover_lab.run.records import Outcome, Record, RecordFile

if TYPE_CHECKING:
    from tests.unit.probe.server import Serve

SOURCE = str(Path(cli.__file__).parents[1])
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"


def tool(*argv: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "failover_lab", "probe", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": SOURCE, "TMPDIR": str(folder)},
    )


def test_an_address_is_enough_and_nothing_is_left_behind(serve: Serve, tmp_path: Path) -> None:
    server = serve(
        lambda n: (b"", "reset") if n % 10 == 0 else (BUSY, "keep") if n % 10 == 1 else (PAGE, "keep")
    )
    process = tool(f"http://127.0.0.1:{server.port}/", "-n", "50", folder=tmp_path)
    said, complaints = process.communicate(timeout=30)
    assert process.returncode == 0, complaints
    assert list(tmp_path.iterdir()) == []
    for part in (
        "requests   50: ",
        "answered   40, lost 10",
        *("p50", "p90", "p95", "p99", "p99.9", " ms  ", "###"),
        "statuses   40 of 200, 5 of 503",
        "lost       5 reset (ECONNRESET), 5 wrong_status",
        "second 0 5 reset (ECONNRESET), 5 wrong_status",
        "stopped: 50 requests are sent",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ([], 0),
        (["--max-lost", "4"], 1),
        (["--max-lost", "5"], 0),
        (["--max-p99", "299"], 1),
        (["--max-p99", "60000"], 0),
    ],
)
def test_limits_are_told_by_the_status(
    serve: Serve, limits: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda n: (BUSY, "keep") if n % 5 == 0 else (PAGE, "keep"))
    plan = ["-n", "25", "--read-timeout", "0.3", "--json"]
    assert cli.main(["probe", f"http://127.0.0.1:{server.port}/", *plan, *limits]) == status
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["requests"], found["answered"], found["lost"]) == (25, 20, 5)
    assert found["statuses"] == {"200": 20, "503": 5}
    assert found["failures"] == {"wrong_status": 5}
    assert found["latency_ms"]["answered"]["p50"] < 250
    # One in five was lost: 99% did not have an answer in any time but the time-out.
    assert found["latency_ms"]["all"]["p99"] == pytest.approx(300, abs=1)
    assert sum(entry["count"] for entry in found["histogram"]) == 20
    assert ("error: " in captured.err) is bool(status)


def test_none_answered_is_no(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    for more in (["-n", "5"], ["--max-duration", "0.3"]):
        assert cli.main(["probe", f"http://127.0.0.1:{port}/", *more]) == 1
        assert "answered none of" in capsys.readouterr().err


def test_which_status_was_wrong_is_said(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    server = serve(lambda _n: (BUSY, "keep"))
    assert cli.main(["probe", f"http://127.0.0.1:{server.port}/", "-n", "5"]) == 1
    assert "(5 wrong_status, statuses 503)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rate", "duration", "count"), [(100, 0.5, 50), (10, 1.0, 10), (200, 0.25, 50), (0.5, 0.2, 1)]
)
def test_a_duration_has_room_for_so_many_requests(
    serve: Serve, tmp_path: Path, rate: float, duration: float, count: int
) -> None:
    server = serve(lambda _n: (PAGE, "keep"))
    plan = ["--rate", str(rate), "--duration", str(duration), "--connections", "new", "--out", str(tmp_path)]
    assert cli.main(["probe", f"http://127.0.0.1:{server.port}/", *plan]) == 0
    found = [record.due for record in RecordFile(tmp_path / "requests.csv.gz").records()]
    assert len(found) == count
    assert max(found) - min(found) < duration


def test_a_schedule_that_is_over_is_never_due_again() -> None:
    due = schedule.Schedule("new", 100.0, 5.0, 5.0)
    assert [due.advance() for _ in range(500)][-1] == pytest.approx(5.0 + 4.99)
    assert due.over
    assert due.due == float("inf")


def test_the_first_ctrl_c_says_what_is_going_on_and_the_second_ends_it(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda _n: (b"", "stall"))
    process = tool(
        f"http://127.0.0.1:{server.port}/", "--read-timeout", "60", "--rate", "20", folder=tmp_path
    )
    assert process.stderr is not None
    deadline = time.monotonic() + 20
    while server.requests < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    told = process.stderr.readline()
    assert told.startswith("stopping; waiting up to 63 s for ")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert "unfinished (not counted)" in said
    assert said.splitlines()[-1].endswith("stopped: SIGINT")


def test_who_was_stopped_for_a_while_loses_no_answer_that_is_there(serve: Serve, tmp_path: Path) -> None:
    def behave(_number: int) -> tuple[bytes, str]:
        time.sleep(0.15)
        return PAGE, "close"

    server = serve(behave)
    plan = ["--rate", "40", "-n", "40", "--connections", "new", "--read-timeout", "0.6", "--json"]
    process = tool(f"http://127.0.0.1:{server.port}/", *plan, folder=tmp_path)
    deadline = time.monotonic() + 20
    while server.requests < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.0)  # longer than any answer may take
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=20)
    assert json.loads(said)["failures"] == {}
    assert json.loads(said)["answered"] == 40


def record(took_ms: float, outcome: Outcome = Outcome.OK, *, connected: bool = True) -> Record:
    return Record(
        number=1, kind="new", due=100.0, connected=100.0 if connected else None, sent=None,
        done=100.0 + took_ms / 1000, outcome=outcome, status=None, pod="", node="", local_port=1, prior=0,
        late_ms=0.0, retransmits=None, detail="",
    )  # fmt: skip


def test_a_lost_request_counts_as_its_time_out() -> None:
    found = figures.Figures(3.0, 5.0)
    for _ in range(98):
        found.hear(record(2.0), 100.0)
    found.hear(record(0.1, Outcome.REFUSED, connected=False), 100.0)
    found.hear(record(0.5, Outcome.RESET), 100.0)
    found.hear(record(0.5, Outcome.UNFINISHED), 100.0)
    told = found.told()
    assert told["latency_ms"]["answered"]["p99"] == pytest.approx(2.0, rel=1e-3)
    assert told["latency_ms"]["all"]["p99"] == pytest.approx(3000, rel=1e-3)
    assert told["latency_ms"]["all"]["slowest"] == pytest.approx(5000)
    assert (told["lost"], told["not_counted"]) == (2, {"unfinished": 1})


def test_percentiles_are_those_of_the_times_themselves() -> None:
    times = figures.Times()
    values = [0.05 * 1.003**n for n in range(2000)]
    for value in values:
        times.add(value)
    for share in (0.5, 0.9, 0.99, 0.999):
        exact = values[max(0, -(-int(share * 1000) * 2000 // 1000) - 1)]
        assert times.percentile_ms(share) == pytest.approx(exact, rel=3e-4 + 0.003)
    assert Counter(dict(times.histogram())).total() == 2000
    assert figures.Times().percentile_ms(0.5) is None
    assert figures.Times().histogram() == []


def test_every_option_s_help_says_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["probe", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for default in ("default 200)", "default both", "default 10)", "default 60", "default 3)", "default 5)",
                    "default 200-399", "default GET"):  # fmt: skip
        assert default in said
