"""What is said reaches its reader at once, and nobody waits for a reader that has gone."""

from __future__ import annotations

import select
import subprocess
import sys

SAYS = """
import sys
from failover_lab.host import streams
streams.outlive_their_readers()
print("the first line")
sys.stdin.readline()
print("the last line")
"""


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
