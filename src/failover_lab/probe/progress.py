"""What the probe says while it measures: in a thread of its own, since who reads it may pause, or be gone."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading

from failover_lab.run.aside import write

# More than these nobody has read, and newer ones say the same.
_MOST_WAITING = 8
# For so long a reader may pause at the end before the last line is given up.
_PATIENCE_S = 10.0


class Progress:
    """Says lines on standard output as it is now; never waits for a reader, and fails with none.

    Attributes:
        trouble: why somebody who read along missed something; empty: nobody did.
    """

    def __init__(self) -> None:
        """Nothing is said yet."""
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._stream = sys.stdout
        # What was printed before comes before: the lines go past the stream's own buffer.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream.flush()
        self.trouble = ""
        self._thread: threading.Thread | None = None

    def say(self, line: str) -> None:
        """Say it, if there is room for it."""
        self._begin()
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.trouble = self.trouble or "whoever read the progress paused, and missed some of it"

    def close(self, line: str = "") -> None:
        """Say a last line, and wait a while for who reads."""
        if not line and self._thread is None:
            return
        thread = self._begin()
        with contextlib.suppress(queue.Full):
            if line:
                self._lines.put(line, timeout=_PATIENCE_S)
            self._lines.put(None, timeout=_PATIENCE_S)
            thread.join(_PATIENCE_S)

    def _begin(self) -> threading.Thread:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()
        return self._thread

    def _run(self) -> None:
        gone = False
        while (line := self._lines.get()) is not None:
            try:
                if not gone:
                    write(self._stream, f"{line}\n")
            except (OSError, ValueError) as error:
                gone = True
                self.trouble = f"the progress could not be written: {error}"
