"""What is about to be done to which node, written to the disk before it is done."""

from __future__ import annotations

import enum
import json
import os
import threading
import time
from pathlib import Path

from failover_lab.errors import UserError
from failover_lab.run import files, instants


class Phase(enum.StrEnum):
    """How far a node has come.

    ``ACTING``: it is about to be fenced and given away, wholly or in part done. ``OUT``: that is done.
    ``RETURNING``: its mark is about to be taken off. ``CLOSED``: nothing of it is left to do.
    """

    ACTING = "acting"
    OUT = "out"
    RETURNING = "returning"
    CLOSED = "closed"


class JournalError(OSError):
    """The journal could not be written."""

    def told(self) -> UserError:
        """What to tell whoever has asked for what could not be written down."""
        return UserError(
            f"cannot write {self.filename}: {self.strerror}; free some space, then run this again"
        )


class Journal:
    """One JSON line for each phase that is about to begin; every step can be done twice, so it is enough.

    Attributes:
        phases: of the nodes of which something is left to do.
        containers: which container a node was that is fenced, where that is known.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            UserError: the file may not be read or written, or is damaged.
        """
        self._path = path
        self._lock = threading.Lock()
        self.containers: dict[str, str] = {}
        self.phases = self._read()
        try:
            # What is closed is history: the file stays as short as what is open.
            partial = path.with_name(f".{path.name}.{os.getpid()}")
            with partial.open("wb") as file:
                for node, phase in self.phases.items():
                    file.write(_line(node, phase, self.containers.get(node, "")))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; give --journal another file") from error

    def _read(self) -> dict[str, Phase]:
        phases: dict[str, Phase] = {}
        for entry in files.read_lines(self._path):
            try:
                node = str(entry["node"])
                phases[node] = Phase(entry["phase"])
            except (KeyError, ValueError) as error:
                raise UserError(f"{self._path} is damaged: {entry}") from error
            if entry.get("container"):
                self.containers[node] = str(entry["container"])
        return {node: phase for node, phase in phases.items() if phase is not Phase.CLOSED}

    def write(self, node: str, phase: Phase, container: str = "") -> None:
        """Return once the disk has it.

        Args:
            node: what is about to be done to.
            phase: what is about to be done.
            container: which container it is; empty: as before, or nobody knows.

        Raises:
            JournalError: it could not be written; then nothing may be done.
        """
        with self._lock:
            try:
                os.write(self._fd, _line(node, phase, container))
                os.fdatasync(self._fd)
            except OSError as error:
                raise JournalError(error.errno, error.strerror, str(self._path)) from error
            if container:
                self.containers[node] = container
            if phase is Phase.CLOSED:
                self.phases.pop(node, None)
            else:
                self.phases[node] = phase

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def _line(node: str, phase: Phase, container: str) -> bytes:
    entry = {"at": instants.text(time.time()), "node": node, "phase": phase, "pid": os.getpid()}
    if container:
        entry["container"] = container
    return (json.dumps(entry) + "\n").encode()
