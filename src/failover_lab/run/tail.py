"""What is added to a file of lines while somebody writes it; nothing is read twice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Tail:
    """Follows a file that is appended to; it need not be there yet.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path
        self._size = 0
        self._read = 0

    def _size_now(self) -> int | None:
        try:
            return os.stat(self._path).st_size  # noqa: PTH116  ten times a second in the probe's loop
        except OSError:
            return None

    def grown(self) -> bool:
        """Whether anything has been added since the last call of ``lines``."""
        return self._size_now() not in {None, self._size}

    def lines(self) -> list[bytes]:
        """The whole lines that have been added since the last call.

        Raises:
            OSError: it is there and may not be read.
        """
        size = self._size_now()
        if size is None or size == self._size:
            return []
        self._size = size
        if self._read > size:
            # Another one that has its name by now.
            self._read = 0
        with self._path.open("rb") as file:
            file.seek(self._read)
            added = file.read()
        *lines, rest = added.split(b"\n")
        self._read += len(added) - len(rest)
        return lines
