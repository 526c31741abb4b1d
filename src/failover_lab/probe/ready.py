"""``ready``: can a run be recorded and measured here? Tried before anything is broken."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.probe import dropped
from failover_lab.probe.ports import TRACKED_S
from failover_lab.run.layout import may_point

if TYPE_CHECKING:
    import argparse


def add_parser(commands: arguments.Commands) -> None:
    """Add ``ready`` to the command line."""
    parser = arguments.command(commands, "ready", run)
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="the directory of a run to come"
    )
    parser.add_argument(
        "--rate",
        type=arguments.number(0.1, 20_000, " requests/s"),
        default=200.0,
        metavar="N",
        help="requests/s",
    )


def writable(directory: Path) -> None:
    """See that a directory can be written to, or made.

    Raises:
        UserError: it cannot.
    """
    there = directory
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise UserError(
            f"{there} is no directory, so no run can be recorded in {directory}; give another directory"
        )
    try:
        # Asking for permission is not enough: the file system may be full, or for reading only.
        with tempfile.NamedTemporaryFile(prefix=".failover-lab-", dir=there) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        raise UserError(
            f"cannot write to {there}: {error.strerror}; no run could be recorded in {directory}"
        ) from error


def warnings(rate: float, proc: Path = Path("/proc")) -> list[str]:
    """What may spoil the figures, and what helps."""
    most = dropped.conntrack_most(proc)
    present = dropped.number(proc / dropped.CONNTRACK_COUNT)
    if most is None or present is None:
        return []
    needed = int(rate * TRACKED_S) + present
    if needed <= most:
        return []
    line = (
        f"This machine tracks {most} connections at most ({present} now), and {rate:g} new ones a second "
        f"make {needed} within {TRACKED_S:.0f} s: where it tracks them, it will drop packets, and the run "
        "will not count as measured. Raise it "
        f"(`sysctl -w net.netfilter.nf_conntrack_max={max(2 * needed, 262144)}`) or lower witness_rate."
    )
    return [line]


def run(options: argparse.Namespace) -> Answer:
    """See whether a run can be recorded and measured here.

    Sees that the directory of a run can be made and written to, and that the link to the newest run can
    be beside it. Prints what may spoil the figures, a line each. Makes nothing.
    """
    out = options.out.absolute()
    writable(out.parent)
    may_point(out)
    lines = warnings(options.rate)
    for line in lines:
        print(line)
    return Answer({"warnings": lines})
