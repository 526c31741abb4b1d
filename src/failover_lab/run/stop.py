"""``stop``: end the processes of a run that nobody is left to end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.run import files
from failover_lab.run.layout import Run
from failover_lab.waiting import until

if TYPE_CHECKING:
    import argparse

POLL_S = 0.1
_MOST_PID = 1 << 31


def processes_of(run: Path) -> list[int]:
    """The ids of the probe, the observer, the trace and the watchdog that still work on this run.

    An id that the system has given to something else meanwhile does not count: the command line must name
    the run.
    """
    found = []
    known = Run(run)
    about = [probe.about for probe in known.probes()]
    for path in (*about, known.observer, known.api_asker, known.trace, known.watchdog, known.live):
        pid = files.read_json(path).get("pid") if path.exists() else None
        if isinstance(pid, int) and 1 < pid < _MOST_PID and _works_on(pid, run):
            found.append(pid)
    return found


def _works_on(pid: int, run: Path) -> bool:
    process = Path(f"/proc/{pid}")
    try:
        words = [os.fsdecode(word) for word in (process / "cmdline").read_bytes().split(b"\0")]
    except OSError:
        return False
    if not any(map(_is_ours, words)):
        return False
    if any(word.endswith(run.name) for word in words):
        return True
    # It may have been given as a link, or from where it was started.
    given = {part for word in words for part in (word, word.partition("=")[2]) if part}
    try:
        return any((process / "cwd" / part).resolve() == run for part in given)
    except OSError:
        return False


def _is_ours(word: str) -> bool:
    """Whether a word of a command line says that this package runs: its script, its module, or its folder."""
    if re.fullmatch(r"(-\w*m)?failover_lab(\.__main__)?", word):
        return True
    path = PurePath(word)
    # The name of the interpreter's script, or of a folder that is run.
    return path.name in {arguments.PROGRAM, "failover_lab"} or path.parts[-2:] == (
        "failover_lab",
        "__main__.py",
    )


def run(options: argparse.Namespace) -> Answer:
    """End the probe, observer and watchdog of an interrupted run.

    Raises:
        UserError: one does not end in time.
    """
    # Its own name, not that of a link or of ".": the processes were started with it.
    directory = files.existing_directory(options.out).resolve()
    working = processes_of(directory)
    for pid in working:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    if left := until(lambda: processes_of(directory), options.timeout, every_s=POLL_S):
        raise UserError(f"process {left[0]} does not end; its records in {directory} are not whole yet")
    print(f"ended {len(working)}")
    return Answer({"processes": working}, changed=bool(working))


def add_parser(commands: arguments.Commands) -> None:
    """Add this subcommand."""
    parser = arguments.command(commands, "stop", run)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's directory")
    arguments.add_seconds(parser, "--timeout", 20.0, low=0.1, high=600)
