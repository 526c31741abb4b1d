"""A server whose failures are known exactly, by http or https."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable


class Server:
    """Answers each request as ``behave`` says: bytes to send, and then what to do with the connection.

    ``keep`` leaves it open for the next request, ``close`` closes it, ``reset`` resets it, ``stall`` never
    ends it.
    """

    def __init__(
        self, behave: Callable[[int], tuple[bytes, str]], context: ssl.SSLContext | None = None
    ) -> None:
        self._behave = behave
        self._context = context
        self.said: list[bytes] = []
        # How many requests there were by the time of each.
        self.goodbyes: list[int] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self.stalled: list[socket.socket] = []
        self.requests = 0
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                # As servers do: what it says goes out when it is said.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            while True:
                received = b""
                while b"\r\n\r\n" not in received:
                    data = sock.recv(4096)
                    if not data:
                        sock.close()
                        return
                    received += data
                head, _, body = received.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: ([0-9]+)", head)
                while length and len(body) < int(length[1]):
                    body += sock.recv(65536)
                self.said.append(head + b"\r\n\r\n" + body)
                with self._lock:
                    number = self.requests
                    self.requests += 1
                answer, then = self._behave(number)
                sock.sendall(answer)
                if then == "stall":
                    self.stalled.append(sock)
                    return
                if then == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if then != "keep" or b"Connection: close" in received:
                    if isinstance(sock, ssl.SSLSocket) and then != "reset" and answer:
                        # Its goodbye; it waits for that of the other side, as many servers do.
                        sock.unwrap().close()
                        self.goodbyes.append(self.requests)
                    sock.close()
                    return

    def refuse(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def accept_again(self) -> None:
        """Listen on the same port again."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Refuse, and let go of what is held."""
        self.refuse()
        for sock in self.stalled:
            sock.close()


Serve = Callable[[Callable[[int], tuple[bytes, str]]], Server]
