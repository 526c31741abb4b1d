"""Standard streams that are closed, whose disk is full, or which somebody reads while more is to come."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "src"
SAYS = """
import sys
from failover_lab.host import streams
streams.outlive_their_readers()
print("the first line")
sys.stdin.readline()
print("the last line")
"""


def said(redirection: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command says that is called so by a shell."""
    command = [sys.executable, "-m", "failover_lab", *words]
    return subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *command],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed(tmp_path: Path, closed: str) -> None:
    """It does what it is for, and nothing that it opens is taken for the stream."""
    done = said(closed, "mark", f"--out={tmp_path}", "here")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = (tmp_path / "marks.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "here"


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_where_it_has_something_to_complain_of(closed: str) -> None:
    done = said(closed, "engine-here", PATH="/nonexistent")
    assert (done.returncode, done.stderr) == (127, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["--json", "subnet", "--wanted="]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full(words: list[str], unbuffered: str) -> None:
    """Status 1 would be an answer."""
    done = said(">/dev/full", *words, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    error = "failover-lab: error: what it says cannot be written: No space left on device"
    assert done.stderr.splitlines()[-1] == error
    assert "Traceback" not in done.stderr


def test_a_line_is_there_at_once_in_a_pipe_too() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SAYS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # It says no more before it is asked to.
        there, _, _ = select.select([process.stdout], [], [], 20)
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert there, "the first line was held back"
        assert process.stdout.read() == "the first line\nthe last line\n"
        assert process.wait(timeout=30) == 0
