"""Another way to the engine, which can be taken away while the engine itself goes on."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

USUAL = "unix:///var/run/docker.sock"


class Relay:
    """A socket that leads to the engine's own.

    Attributes:
        host: what DOCKER_HOST has to be.
    """

    def __init__(self, path: Path) -> None:
        """Listen; whoever comes is led on."""
        self.host = f"unix://{path}"
        engine = os.environ.get("DOCKER_HOST") or USUAL
        assert engine.startswith("unix://"), f"{engine} is no socket of this machine"
        self._engine = engine.removeprefix("unix://")
        self._path = path
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.socket(socket.AF_UNIX)
                there.connect(self._engine)
                self._open |= {here, there}
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """From now on nobody answers there."""
        # To close a listener alone does not wake up who waits at it.
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def relayed(folder: Path) -> Iterator[Relay]:
    """One in this folder, gone afterwards."""
    relay = Relay(folder / "engine.sock")
    try:
        yield relay
    finally:
        relay.close()
