"""Work that may have to wait, for a disk or a terminal: done in order, beside the loop that must not wait."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable


class Aside:
    """A thread that does one piece of work after the other.

    Its owner bounds what waits: by ``most``, or by an account of its own.
    """

    def __init__(
        self, name: str, *, most: int | None = None, begin: Callable[[], object] = lambda: None
    ) -> None:
        """Start the thread.

        Args:
            name: of the thread.
            most: pieces that may wait; None: as many as there are.
            begin: called first in the thread.
        """
        self._most = most
        self._begin = begin
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, work: Callable[[], object]) -> bool:
        """Hand over a piece of work, which must not raise; no: too many wait, and it is not taken."""
        if self._most is not None and self._work.qsize() >= self._most:
            return False
        self._work.put(work)
        return True

    def settle(self, limit_s: float) -> bool:
        """Wait so long until what has been handed over is done; gives back whether it is."""
        done = threading.Event()
        self._work.put(done.set)
        return done.wait(limit_s)

    def close(self, limit_s: float | None = None) -> bool:
        """End the thread once all is done; gives back whether it has ended in this time."""
        self._work.put(None)
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._begin()
        while (work := self._work.get()) is not None:
            work()


class Sayer:
    """Says lines to whoever reads them, in order, and waits for nobody.

    A terminal that was stopped (Ctrl-S, or looked back in) and a pipe that nobody reads take no more; what
    waits then is bounded, and the number of lines that were left out is told with the next.
    """

    def __init__(self, name: str, most: int = 1000) -> None:
        """The thread begins with the first line.

        Args:
            name: of the thread.
            most: lines that may wait.
        """
        self._name = name
        self._most = most
        self._aside: Aside | None = None
        self._lock = threading.Lock()
        self._left_out = 0

    def say(self, line: str, stream: TextIO) -> None:
        """Say one line."""
        with self._lock:
            if self._aside is None:
                self._aside = Aside(self._name, most=self._most)
            before = f"({self._left_out} lines were left out here: nobody took them)\n"
            text = f"{before if self._left_out else ''}{line}\n"
            self._left_out = 0 if self._aside.put(lambda: _write(stream, text)) else self._left_out + 1

    def settle(self, limit_s: float) -> bool:
        """Wait so long until all has been said; gives back whether it has."""
        return self._aside is None or self._aside.settle(limit_s)


def settle(limit_s: float, *all_of: Aside | Sayer | None) -> None:
    """Wait until they have done what they were given, for so long altogether."""
    deadline = time.monotonic() + limit_s
    for one in all_of:
        if one is not None:
            one.settle(max(0.0, deadline - time.monotonic()))


def write(stream: TextIO, text: str) -> None:
    """Write past the stream's own buffer: who is stuck in that holds a lock, without which Python never ends.

    Raises:
        OSError, ValueError: nobody takes it, or the stream is closed.
    """
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):
        # A stream of the program's own, as one that captures.
        stream.write(text)
        stream.flush()
        return
    rest = text.encode(getattr(stream, "encoding", None) or "utf-8", "replace")
    while rest:
        rest = rest[os.write(number, rest) :]


def _write(stream: TextIO, text: str) -> None:
    """The same, where nobody can be told that it fails."""
    with contextlib.suppress(OSError, ValueError):
        write(stream, text)
