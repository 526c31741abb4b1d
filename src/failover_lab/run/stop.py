"""``stop``: end the probe, the observer, the trace and the watchdog of a run that nobody is left to end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.run import files
from failover_lab.run.layout import Run

if TYPE_CHECKING:
    import argparse

POLL_S = 0.1


def processes_of(run: Path) -> list[int]:
    """The ids of the probe, the observer, the trace and the watchdog that still work on this run.

    An id that the system has given to something else meanwhile does not count: the command line must name
    the run.
    """
    found = []
    known = Run(run)
    for path in (*(probe.about for probe in known.probes()), known.observer, known.trace, known.watchdog):
        pid = files.read_json(path).get("pid") if path.exists() else None
        if isinstance(pid, int) and pid > 1 and _works_on(pid, run):
            found.append(pid)
    return found


def _works_on(pid: int, run: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"failover_lab" in words and any(word.endswith(os.fsencode(run.name)) for word in words)


def run(options: argparse.Namespace) -> Answer:
    """Ask them to end in good order, and wait until they have.

    Raises:
        UserError: one does not end in time.
    """
    # Its own name, not that of a link or of ".": the processes were started with it.
    directory = files.existing_directory(options.out).resolve()
    working = processes_of(directory)
    for pid in working:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + options.timeout
    while left := processes_of(directory):
        if time.monotonic() > deadline:
            raise UserError(f"process {left[0]} does not end; its records in {directory} are not whole yet")
        time.sleep(POLL_S)
    print(f"ended {len(working)}")
    return Answer({"processes": working}, changed=bool(working))


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("stop", help="end the probe, observer and watchdog of an interrupted run")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's directory")
    parser.add_argument("--timeout", type=arguments.number(0.1, 600, " s"), default=20.0, metavar="S")
    parser.set_defaults(run=run)
