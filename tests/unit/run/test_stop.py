"""``stop`` ends what works on this run, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover_lab import cli
from failover_lab.run import stop
from failover_lab.run.layout import Run

SLEEP = "import time; print('up', flush=True); time.sleep(30)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
Children = list[subprocess.Popen[str]]


@pytest.fixture
def children() -> Iterator[Children]:
    started: Children = []
    yield started
    for child in started:
        child.kill()
        child.communicate()


def start(children: Children, run: Path, file: str, *words: str, code: str = SLEEP) -> subprocess.Popen[str]:
    """A process whose id a file of the run names; its command line is what tells whether it is ours."""
    child = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)
    children.append(child)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    (run / file).write_text(json.dumps({"pid": child.pid}))
    return child


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "20261123T190000Z-drain"
    path.mkdir()
    return path


def reap(child: subprocess.Popen[str]) -> int:
    return child.wait(timeout=5)


def test_all_are_ended(
    run: Path, children: Children, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "POLL_S", 0.01)
    probe = start(children, run, "probe.json", "failover_lab", "probe", f"--out={run}")
    observer = start(children, run, "observer.json", "failover_lab", "observe", f"--out={run}")
    trace = start(children, run, "trace.json", "failover_lab", "trace", f"--out={run}")
    assert sorted(stop.processes_of(run)) == sorted([probe.pid, observer.pid, trace.pid])
    # As one finds a run whose play is gone: by the link to the latest.
    (run.parent / "latest").symlink_to(run.name)
    assert cli.main(["stop", "--out", str(run.parent / "latest")]) == 0
    assert capsys.readouterr().out == "ended 3\n"
    assert reap(probe) == reap(observer) == reap(trace) == -15
    assert cli.main(["stop", "--out", str(run)]) == 0
    assert capsys.readouterr().out == "ended 0\n"


def test_every_probe_of_the_run_is_ended(run: Path, children: Children) -> None:
    far = Run(run).probe("far")
    far.directory.mkdir(parents=True)
    near = start(children, run, "probe.json", "failover_lab", "probe", f"--out={run}")
    other = start(children, far.directory, "probe.json", "failover_lab", "probe", f"--out={run}")
    assert stop.processes_of(run) == [near.pid, other.pid]


def test_a_number_that_another_process_has_now_is_left_alone(run: Path, children: Children) -> None:
    stranger = start(children, run, "probe.json", "something", f"--out={run}")
    other_run = start(children, run, "observer.json", "failover_lab", "--out=another-run")
    assert stop.processes_of(run) == []
    assert cli.main(["stop", "--out", str(run)]) == 0
    assert stranger.poll() is None
    assert other_run.poll() is None
    (run / "probe.json").write_text('{"pid": 1}')
    (run / "observer.json").write_text('{"pid": "x"}')
    assert stop.processes_of(run) == []


def test_one_that_does_not_end(
    run: Path, children: Children, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "POLL_S", 0.01)
    deaf = start(children, run, "probe.json", "failover_lab", f"--out={run}", code=DEAF)
    assert cli.main(["stop", "--out", str(run), "--timeout", "0.1"]) == 2
    assert f"process {deaf.pid} does not end" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["/opt/venv/bin/failover-lab", "probe"],
        ["failover-lab", "--json", "probe", "--url", "http://192.0.2.1"],
        ["-m", "failover_lab", "probe"],
        ["-X", "dev", "-mfailover_lab", "--json", "probe"],
        ["-Im", "failover_lab", "probe"],
        ["-Imfailover_lab", "probe"],
        ["-mfailover_lab.__main__", "probe"],
        ["/opt/src/failover_lab", "probe"],
        ["/opt/src/failover_lab/__main__.py", "probe"],
    ],
    ids=" ".join,
)
def test_it_is_found_however_it_was_started(
    words: list[str], run: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = run.parent / "latest"
    link.symlink_to(run.name)
    monkeypatch.chdir(run)
    for given in (f"--out={run}", f"--out={run}/", f"--out={link}", "--out=.", "--out=../latest"):
        child = start(children, run, "probe.json", *words, given)
        assert stop.processes_of(run) == [child.pid]
        child.kill()
        child.wait()
    start(children, run, "probe.json", *words, f"--out={run.parent}")
    assert stop.processes_of(run) == []
