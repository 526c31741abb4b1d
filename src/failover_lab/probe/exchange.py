"""One request on one connection, from the due time to an outcome.

Plain non-blocking sockets: nothing between the witness and the system's calls could send a request again,
hide a reset or add a time-out of its own.
"""

from __future__ import annotations

import errno
import socket
from time import monotonic
from typing import TYPE_CHECKING

from failover_lab.probe import http1, identity
from failover_lab.run.records import REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.probe.ports import Ports

# As socket.connect takes it, IPv4 or IPv6.
Address = tuple[str, int] | tuple[str, int, int, int]

_BY_ERRNO = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.RESET,
    errno.ECONNABORTED: Outcome.RESET,
    errno.EPIPE: Outcome.RESET,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTDOWN: Outcome.UNREACHABLE,
    errno.ENETDOWN: Outcome.UNREACHABLE,
}
_TCPI_TOTAL_RETRANS_OFFSET = 100
_SLOW_S = 0.1


def outcome_of(number: int, *, connecting: bool) -> Outcome:
    """What a user would call this error of the system.

    What is the probe's own trouble (no local port, no file descriptor left) is called so: it must never
    count as the site's failure.
    """
    if number == errno.ETIMEDOUT:
        return Outcome.CONNECT_TIMEOUT if connecting else Outcome.READ_TIMEOUT
    return _BY_ERRNO.get(number, Outcome.PROBE_ERROR)


class Exchange:
    """One request. The engine owns the socket's registration and calls ``on_…`` when it is ready.

    Instants are monotonic seconds, 0.0 where something did not happen.
    """

    __slots__ = (
        "answer",
        "connected",
        "detail",
        "done",
        "due",
        "identity",
        "kind",
        "late_s",
        "local_port",
        "outcome",
        "prior",
        "received",
        "retransmits",
        "sent",
        "sock",
        "started",
    )

    def __init__(self, kind: str, due: float, started: float) -> None:
        """A request of this kind, due then, begun now."""
        self.kind = kind
        self.due = due
        self.started = started
        self.late_s = max(0.0, started - due)
        self.connected = 0.0
        self.sent = 0.0
        self.done = 0.0
        self.outcome: Outcome | None = None
        self.detail = ""
        self.local_port = 0
        self.prior = 0
        self.retransmits: int | None = None
        self.sock: socket.socket | None = None
        self.received = b""
        self.answer: http1.Answer | None = None
        self.identity: identity.Identity | None = None

    def connect(self, family: int, address: Address, ports: Ports | None) -> bool:
        """Begin a connection, from the next of these ports if given; False where it failed at once."""
        try:
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            self.sock.setblocking(False)
            if ports is not None:
                self.local_port = ports.bind(self.sock)
            number = self.sock.connect_ex(address)
            if number not in {0, errno.EINPROGRESS}:
                self.fail_errno(number, connecting=True)
                return False
            # Known from here on, so that a connection that never comes about can be found in conntrack.
            if not self.local_port:
                self.local_port = self.sock.getsockname()[1]
        except OSError as error:
            self.fail_errno(error.errno or 0, connecting=True)
            return False
        return True

    def adopt(self, sock: socket.socket, local_port: int, prior: int) -> None:
        """Use a connection that has carried requests before."""
        self.sock, self.local_port, self.prior = sock, local_port, prior

    def on_connected(self, request: bytes) -> None:
        """The connection has come about or has failed: send, or end."""
        assert self.sock is not None  # noqa: S101
        number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.fail_errno(number, connecting=True)
            return
        self.connected = monotonic()
        self.send(request)

    def send(self, request: bytes) -> None:
        """Send the request; it is far smaller than any send buffer."""
        assert self.sock is not None  # noqa: S101
        self.sent = monotonic()
        try:
            if self.sock.send(request) != len(request):
                self.fail(Outcome.PROBE_ERROR, "short_send")
        except OSError as error:
            self.fail_errno(error.errno or 0, connecting=False)

    def on_readable(self) -> None:
        """Take what has come; ends the exchange once the answer is complete or cannot become so."""
        assert self.sock is not None  # noqa: S101
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail_errno(error.errno or 0, connecting=False)
            return
        self.received += data
        try:
            answer = http1.parse(self.received, closed=not data)
        except http1.BadAnswerError as error:
            self.fail(Outcome.WRONG_BODY, str(error))
            return
        if answer is not None:
            self._judge(answer)
        elif not data:
            self.fail(Outcome.CLOSED_EARLY, "after_part" if self.received else "before_any_byte")

    def _judge(self, answer: http1.Answer) -> None:
        self.answer = answer
        if answer.status != 200:
            self.identity = _identity_in(answer.headers)
            self.fail(Outcome.WRONG_STATUS)
            return
        self.identity = identity.identify(answer.body)
        if self.identity is None:
            self.identity = _identity_in(answer.headers)
            self.fail(Outcome.WRONG_BODY, "not_whoami")
            return
        self.fail(Outcome.OK)

    def fail_errno(self, number: int, *, connecting: bool) -> None:
        """End with an error of the system."""
        self.fail(outcome_of(number, connecting=connecting), errno.errorcode.get(number, f"errno_{number}"))

    def fail(self, outcome: Outcome, detail: str = "") -> None:
        """End with this outcome."""
        self.done = monotonic()
        self.outcome = outcome
        self.detail = detail
        if self.done - self.due > _SLOW_S and self.sock is not None:
            self.retransmits = _retransmits(self.sock)

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        return self.kind == REUSED and self.answer is not None and self.answer.keeps_open


def _identity_in(headers: dict[bytes, bytes]) -> identity.Identity | None:
    """Who sent an answer other than /whoami's, from the headers that every page of the site carries."""
    pod = headers.get(b"x-served-by-pod", b"").decode("latin-1")
    node = headers.get(b"x-served-by-node", b"").decode("latin-1")
    return identity.Identity(pod, node) if identity.is_name(pod) and identity.is_name(node) else None


def _retransmits(sock: socket.socket) -> int | None:
    """TCP segments sent again on this connection, the SYN included; None where the system does not tell."""
    if not hasattr(socket, "TCP_INFO"):
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCPI_TOTAL_RETRANS_OFFSET + 4)
    except OSError:
        return None
    return int.from_bytes(info[_TCPI_TOTAL_RETRANS_OFFSET:], "little") if len(info) > 100 else None
