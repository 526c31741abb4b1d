"""Short programs of the shell that run in a node to their end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from failover_lab.nodes.driver import DriverError

if TYPE_CHECKING:
    from failover_lab.nodes.driver import Watched

# Of a node that answers, far more than most need.
ANSWER_S = 20.0
# It waits for a word first: what is written before anybody listens may be lost. Its errors are told like the
# rest, and how it ended is the last line.
_FRAME = r"""
read -r _
(
set -eu
{program}
) 2>&1
echo "over $?"
"""


def answers(driver: Watched, name: str, argv: list[str], within_s: float) -> list[str]:
    """The lines that a program in a node writes, once it has read a first one.

    They are fewer than all if the node ends or freezes meanwhile.

    Args:
        driver: that has the node.
        name: of the node.
        argv: the program, and what it is told.
        within_s: after which it is ended, in seconds.

    Raises:
        DriverError: the driver does not answer, or the node does not run.
        OSError: it ended as it was asked.
    """
    shell = driver.shell(name, argv)
    late = threading.Timer(within_s, shell.close)
    late.start()
    try:
        shell.write("now")
        return list(shell.lines())
    finally:
        late.cancel()
        shell.close()


def until_over(driver: Watched, name: str, argv: list[str], within_s: float) -> tuple[list[str], str]:
    """The lines that a program in a node writes before it says ``over``, and what follows that word.

    Raises:
        DriverError: the node does not run, or has ended or frozen meanwhile.
    """
    try:
        *lines, last = answers(driver, name, argv, within_s) or [""]
    except OSError as error:
        raise DriverError(f"{name} has ended") from error
    word, _, rest = last.partition(" ")
    if word != "over":
        raise DriverError(f"{name} has ended, or says nothing")
    return lines, rest


def carried_out(
    driver: Watched, name: str, program: str, *arguments: str, within_s: float = ANSWER_S
) -> list[str]:
    """The lines that a program of the shell writes in a node, if it succeeds.

    Args:
        driver: that has the node.
        name: of the node.
        program: ends at the first command that fails.
        arguments: that it is given.
        within_s: after which it is ended, in seconds.

    Raises:
        DriverError: the driver does not answer, the node has ended or frozen, or the program failed.
    """
    argv = ["sh", "-c", _FRAME.replace("{program}", program.strip()), "sh", *arguments]
    lines, status = until_over(driver, name, argv, within_s)
    if status != "0":
        raise DriverError(lines[-1] if lines else f"status {status}")
    return lines
