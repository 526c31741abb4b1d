"""A server that answers like the site's /whoami and fails a random share of requests, and knows to whom.

Prints its port; once its standard input is closed, prints what it did, as JSON: for each client address how
many requests it answered and how many it failed in which way. One thread and one selector, so that it leaves
most of the machine to those who are tested with it.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import selectors
import socket
import struct
import sys

BODY = b'{"pod": "site-a", "node": "lab-m02", "image": "site@sha256:1"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(BODY), BODY)
# Reset before the request is read, reset after it, closed without a byte.
WAYS = ("reset_at_once", "reset", "closed")


class Server:
    """Serves until told to stop."""

    def __init__(self, share: float, seed: int) -> None:
        """Listen on a port of the system's choice."""
        self._share = share
        self._random = random.Random(seed)  # noqa: S311  repeatable, not secret
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self.port: int = self._listener.getsockname()[1]
        self.did: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)

    def serve(self) -> None:
        """Until standard input is closed."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is sys.stdin:
                    return
                else:
                    self._answer(*key.data)

    def _accept(self) -> None:
        for _ in range(64):
            try:
                sock, (client, _) = self._listener.accept()
            except BlockingIOError:
                return
            failing = self._random.random() < self._share
            way = self._random.choice(WAYS) if failing else "answered"
            if way == "reset_at_once":
                self._end(sock, client, way)
                continue
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, (sock, client, way))

    def _answer(self, sock: socket.socket, client: str, way: str) -> None:
        try:
            request = sock.recv(4096)
            self._selector.unregister(sock)
            # Both clients send their request in one piece.
            if not request.endswith(b"\r\n\r\n"):
                way = "no_request"
            elif way == "answered":
                sock.send(ANSWER)
        except ConnectionError:
            self._selector.unregister(sock)
            way = "no_request"
        self._end(sock, client, way)

    def _end(self, sock: socket.socket, client: str, way: str) -> None:
        self.did[client][way] += 1
        if way.startswith("reset"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def main() -> None:
    """Serve, then tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.0, help="of requests that fail, 0 to 1")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server = Server(options.share, options.seed)
    print(server.port, flush=True)
    server.serve()
    print(json.dumps(server.did))


if __name__ == "__main__":
    main()
