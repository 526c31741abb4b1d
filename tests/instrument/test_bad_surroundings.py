"""What a user may come to the instrument with: one clear error each, from the command itself."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

SOURCE = Path(__file__).parents[2] / "src"
SERVER = Path(__file__).with_name("failing_server.py")


def lab(*arguments: str | Path, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run a subcommand to its end."""
    return subprocess.run(
        [sys.executable, "-m", "failover_lab", *arguments],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def refused(*arguments: str | Path, status: int = 2) -> str:
    """Run a subcommand that must fail with one line; gives the line back."""
    done = lab(*arguments)
    assert done.returncode == status, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("failover-lab: error: ")
    return done.stderr


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    yield f"http://127.0.0.1:{server.stdout.readline().strip()}/whoami"
    server.stdin.close()
    server.wait(timeout=10)
    server.stdout.close()


@pytest.fixture(scope="module")
def a_run(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run to do things to."""
    out = tmp_path_factory.mktemp("good") / "run"
    assert lab("probe", "--url", url, "--duration", "1", "--out", out).returncode == 0
    assert lab("report", out).returncode == 0
    return out


@pytest.fixture
def copy(a_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(a_run, tmp_path / "run"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """One MiB, of which 24 KiB are free."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        (disk / "ballast").write_bytes(bytes(1000 << 10))
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "rest").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_a_disk_that_fills_up_during_a_run(url: str, small_disk: Path) -> None:
    out = small_disk / "run"
    says = refused("probe", "--url", url, "--rate", "800", "--duration", "25", "--out", out)
    assert "No space left on device; free some space or give --out another disk" in says
    # What was written until then is reported, and not as a pass.
    (small_disk / "ballast").unlink()
    done = lab("report", out)
    assert done.returncode == 1, done
    assert "Not measured" in done.stdout
    report = json.loads((out / "report.json").read_text())
    assert report["requests"]["total"] > 200
    assert report["requests"]["failed"] == 0


def test_a_full_disk(url: str, copy: Path, small_disk: Path) -> None:
    run = Path(
        shutil.copytree(copy, small_disk / "run", ignore=shutil.ignore_patterns("report.*", "summary.txt"))
    )
    fill(small_disk)
    assert "No space left on device" in refused("report", run)
    assert "No space left on device" in refused("mark", "--out", run, "healed")
    assert "No space left on device" in refused("probe", "--url", url, "--out", small_disk / "new")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (["--rate", "0"], "argument --rate: 0 is out of range; give 0.1 to 20000 requests/s"),
        (["--rate", "20001"], "argument --rate: 20001 is out of range"),
        (["--rate", "nan"], "argument --rate: nan is out of range"),
        (["--duration", "0"], "argument --duration: 0 is out of range; give 0.1 to 604800 s"),
        (["--duration", "inf"], "argument --duration: inf is out of range"),
        (
            ["--duration", "60", "--max-duration", "1"],
            "--max-duration 1 is less than --duration 60; raise one or lower the other",
        ),
    ],
)
def test_settings_out_of_range(setting: list[str], says: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert says in refused("probe", "--url", "http://127.0.0.1:9/whoami", "--out", out, *setting)
    assert not out.exists()


def test_a_directory_of_another_version(copy: Path) -> None:
    about = json.loads((copy / "probe.json").read_text()) | {"format": 99, "version": "9.9.0"}
    (copy / "probe.json").write_text(json.dumps(about))
    before = (copy / "report.json").read_bytes()
    assert "made by failover-lab 9.9.0 in format 99" in refused("report", copy)
    assert (copy / "report.json").read_bytes() == before


def test_a_damaged_record(copy: Path) -> None:
    record = copy / "requests.csv.gz"
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 0xFF
    record.write_bytes(content)
    assert "is damaged after row" in refused("report", copy)


def test_a_record_cut_off_is_reported_as_far_as_it_goes(copy: Path) -> None:
    record = copy / "requests.csv.gz"
    record.write_bytes(record.read_bytes()[:-100])
    done = lab("report", copy)
    assert done.returncode == 1
    assert "not measured: the record was cut off before the probe's end" in done.stdout
    assert 50 < json.loads((copy / "report.json").read_text())["requests"]["total"] < 240


def test_an_address_that_never_answers(tmp_path: Path) -> None:
    # With its queue full the system drops what comes: neither a connection nor a refusal.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as fillers:
        address = listener.getsockname()
        for _ in range(3):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}/whoami"
        probe = ["probe", "--url", url, "--duration", "1", "--connect-timeout", "0.5", "--out"]
        says = refused(*probe, tmp_path / "run", status=1)
        assert f"{url} answered none of " in says
        assert "connect_timeout); check the address" in says
        # Beside a play, whoever waits for a steady state says so, and the probe just ends.
        stop = tmp_path / "stop"
        beside = subprocess.Popen(
            [sys.executable, "-m", "failover_lab", *probe, tmp_path / "beside", "--stop-file", stop],
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            stdout=subprocess.DEVNULL,
        )
        (tmp_path / "beside").mkdir(exist_ok=True)
        waited = lab("wait-steady", "--out", tmp_path / "beside", "--for", "0.5", "--timeout", "1.5")
        stop.touch()
        assert waited.returncode == 1
        assert "not steady after 1.5 s: still missing" in waited.stdout
        assert "any answer" in waited.stdout
        assert beside.wait(timeout=10) == 0
