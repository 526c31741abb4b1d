"""What the probe says while it measures: in a thread of its own, since who reads it may pause, or be gone."""

from __future__ import annotations

import contextlib
import sys

from failover_lab.run.aside import Aside, write

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
        self._stream = sys.stdout
        # What was printed before comes before: the lines go past the stream's own buffer.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream.flush()
        self.trouble = ""
        self._gone = False
        self._aside: Aside | None = None

    def say(self, line: str) -> None:
        """Say it, if there is room for it."""
        if not self._begun().put(lambda: self._write(line)):
            self.trouble = self.trouble or "whoever read the progress paused, and missed some of it"

    def close(self, line: str = "") -> None:
        """Say a last line, and wait a while for who reads."""
        if not line and self._aside is None:
            return
        aside = self._begun()
        aside.settle(_PATIENCE_S)
        if line:
            aside.put(lambda: self._write(line))
        aside.close(_PATIENCE_S)

    def _begun(self) -> Aside:
        if self._aside is None:
            self._aside = Aside("progress", most=_MOST_WAITING)
        return self._aside

    def _write(self, line: str) -> None:
        if self._gone:
            return
        try:
            write(self._stream, f"{line}\n")
        except (OSError, ValueError) as error:
            self._gone = True
            self.trouble = f"the progress could not be written: {error}"
