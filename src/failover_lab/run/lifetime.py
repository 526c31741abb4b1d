"""Whether a process lives, and when one that runs beside a play has to stop: told to, orphaned, late."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import argparse
    from types import FrameType


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on; nothing where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The name in the second field may hold blanks and brackets of its own.
    return stat.rpartition(")")[2].split()


def started(pid: int) -> str | None:
    """What tells this process from a later one with the same number; None where it is gone or a zombie."""
    fields = _stat(pid)
    if not fields:
        return _alive_without_proc(pid)
    return None if fields[0] in "ZX" else fields[19]


def parent(pid: int) -> int:
    """The process that started this one; 0 if unknown."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def is_in_group(pid: int, group: str) -> bool:
    """Whether a process is in a control group of this name, or in one within it."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return bool(group) and group in groups


def still_runs(pid: object, since: object) -> bool:
    """Whether a process with this number still runs, and is the one that was started then."""
    return isinstance(pid, int) and pid > 0 and started(pid) is not None and started(pid) == since


def _alive_without_proc(pid: int) -> str | None:
    if Path("/proc/self/stat").exists():
        return None
    import os  # noqa: PLC0415  systems without /proc only

    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"


class StopCondition:
    """Tells when to stop, and why.

    Args:
        least_s: a stop file is obeyed only after so many seconds.
        most_s: the hard bound; None means none.
        stop_file: stop once this exists; None means none.
        parent_pid: stop once this process is gone; None means none.
        ends_itself: stop as soon as ``least_s`` is over.
    """

    def __init__(
        self,
        *,
        least_s: float = 0.0,
        most_s: float | None = None,
        stop_file: Path | None = None,
        parent_pid: int | None = None,
        ends_itself: bool = False,
    ) -> None:
        """Take the time from now on."""
        self._began = time.monotonic()
        self._least_s = least_s
        self._most_s = most_s
        self._stop_file = stop_file
        self._parent = parent_pid
        self._parent_started = started(parent_pid) if parent_pid is not None else None
        self._ends_itself = ends_itself
        self.signals = 0
        self._signal_name = ""

    @classmethod
    def told(cls, options: argparse.Namespace, *, least_s: float = 0.0) -> Self:
        """By the options of ``arguments.add_lifetime``; signals end the work as well.

        Args:
            options: of a subcommand.
            least_s: as above.
        """
        stop = cls(
            least_s=least_s,
            most_s=options.max_duration,
            stop_file=options.stop_file,
            parent_pid=options.parent_pid,
        )
        stop.catch_signals()
        return stop

    def begin_in(self, seconds: float) -> None:
        """Take the time from then on: what had to be prepared first does not count."""
        self._began = time.monotonic() + seconds

    def catch_signals(self) -> None:
        """Let SIGTERM and SIGINT end the work in good order instead of killing it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signals += 1
        self._signal_name = signal.Signals(number).name

    def reason(self) -> str | None:
        """Why to stop now, or None: go on."""
        elapsed_s = time.monotonic() - self._began
        if self.signals:
            return self._signal_name
        if self._orphaned():
            return f"process {self._parent} is gone"
        if self._most_s is not None and elapsed_s >= self._most_s:
            return f"the hard bound of {self._most_s:g} s"
        return self._wish() if elapsed_s >= self._least_s else None

    def _orphaned(self) -> bool:
        if self._parent is None:
            return False
        return self._parent_started is None or started(self._parent) != self._parent_started

    def _wish(self) -> str | None:
        if self._ends_itself:
            return f"{self._least_s:g} s are over"
        if self._stop_file is not None and self._stop_file.exists():
            return "stop file"
        return None
