"""This process's three standard streams: its caller may have closed one, or led it to a full disk."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

#: What a write says where there is no room for it.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def open_all() -> None:
    """Open those that are closed, on nothing.

    Else the next file or socket that is opened would have its number, and what a child says would go there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_RDWR)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good


def _lead_nowhere(number: int) -> None:
    """Have whatever is written to a stream from now on go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def flushed() -> None:
    """See that what was printed is written.

    Raises:
        OSError: it cannot be; it then goes nowhere, so that the end of the process does not stumble over it.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _lead_nowhere(sys.stdout.fileno())
        raise


class _Lasting(io.FileIO):
    """A stream that goes nowhere from the moment on at which nobody takes what is written to it."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - a buffer
        """All of it is written, or nothing ever again."""
        try:
            return super().write(data) or 0
        except BlockingIOError:
            raise
        except OSError:
            _lead_nowhere(self.fileno())
            return len(data)


def outlive_their_readers() -> None:
    """Have what is said go nowhere where its reader has gone (``| head``), or has no room for it.

    Ansible's thread that takes the results of tasks ends with the first word that cannot be written, and the
    play would wait for them for ever: in the middle of a run, with a node that is broken.

    And each line is there at once, for a pipe and a pipeline's log as well: else minutes of progress would
    come in one piece.
    """
    for name in ("stdout", "stderr"):
        old = getattr(sys, name)
        old.flush()
        lasting = io.BufferedWriter(_Lasting(old.fileno(), "w", closefd=False))
        new = io.TextIOWrapper(lasting, old.encoding, old.errors, line_buffering=True)
        setattr(sys, name, new)
