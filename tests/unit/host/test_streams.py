"""The command line where a standard stream is closed, or its disk is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "src"


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
