"""Source ports for new connections: each of them rests as long as it can before it is used again.

A thousand users come from a thousand addresses, the probe from one. Left to itself, Linux takes one of 28,000
ports, and soon one whose former connection some machine on the way still tracks: netfilter keeps a closed one
for 120 s and a half-open one for as long. A SYN that meets it may be sent to a pod that is gone, or be
dropped, until it is sent again a second later, which nobody but the probe would see. So the probe goes round
all ports from 1024 to 65535, in order: at 200/s each rests for more than five minutes.
"""

from __future__ import annotations

import array
import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# How long netfilter remembers a closed TCP connection, and one without an answer, unless told otherwise.
TRACKED_S = 120.0
_FIRST, _LAST = 1024, 65535
# So many ports in a row that are taken, and the system is asked for one: looking on would delay the request.
_MOST_TRIES = 100
_SYSTEM = Path("/proc/sys/net/ipv4")


def _told(name: str) -> str:
    """What the system says; nothing where it has no such setting."""
    try:
        return (_SYSTEM / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def usable(avoid: Iterable[int] = ()) -> array.array[int]:
    """The ports that a program may bind to and nobody has reserved, in ascending order.

    Args:
        avoid: others to leave out.
    """
    first = max(_FIRST, int(_told("ip_unprivileged_port_start") or 0))
    taken = set(avoid)
    for part in _told("ip_local_reserved_ports").split(","):
        low, _, high = part.partition("-")
        if low:
            taken.update(range(int(low), int(high or low) + 1))
    return array.array("H", (port for port in range(first, _LAST + 1) if port not in taken))


class Ports:
    """Goes round the ports.

    Args:
        family: of the sockets.
        rate: new connections/s.
        avoid: the server's own port: on one machine a connection from there would be one to itself.
        now: the time in seconds, which says where in the round to begin: where an earlier run at this rate
            would be by now, had it gone on, for its last ports have not rested yet.

    Attributes:
        rest_s: how long each port rests at that rate.
    """

    def __init__(self, family: int, rate: float, avoid: int, now: float) -> None:
        """Nothing is bound yet."""
        self._any = "::" if family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104  the route chooses the address
        self._ports = usable([avoid])
        self._next = int(now * rate) % len(self._ports)
        self.rest_s = len(self._ports) / rate

    def go_half_round(self) -> None:
        """Go on where whoever goes round at the same rate is not for as long as can be, before or after."""
        self._next = (self._next + len(self._ports) // 2) % len(self._ports)

    def bind(self, sock: socket.socket) -> int:
        """Give the socket the next port that is free; 0 where the system has to choose one.

        Raises:
            OSError: it cannot be bound at all.
        """
        for _ in range(_MOST_TRIES):
            port = self._ports[self._next]
            self._next = (self._next + 1) % len(self._ports)
            try:
                sock.bind((self._any, port))
            except OSError as error:
                # In use, or forbidden to us: a security module may keep some ports for others.
                if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                    raise
                continue
            # Only now. Before, it would allow a port whose former connection is not over; from here on, it
            # allows others to listen on the port, who must not suffer from the probe.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return port
        return 0
