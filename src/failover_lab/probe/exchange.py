"""One request on one connection, from the due time to an outcome.

Plain non-blocking sockets: nothing between the witness and the system's calls could send a request again,
hide a reset or add a time-out of its own.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from time import monotonic
from typing import TYPE_CHECKING

from failover_lab.probe import http1, tls
from failover_lab.run.records import REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.probe.identity import Identity
    from failover_lab.probe.ports import Ports
    from failover_lab.probe.service import Question

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
        "channel",
        "complete",
        "connected",
        "detail",
        "done",
        "due",
        "identity",
        "keeps_open",
        "kind",
        "late_s",
        "local_port",
        "opened",
        "outcome",
        "peer",
        "prior",
        "question",
        "reader",
        "retransmits",
        "sent",
        "sock",
        "started",
        "status",
        "unsent",
    )

    def __init__(self, kind: str, due: float, started: float, question: Question) -> None:
        """A request of this kind, due then, begun now."""
        self.kind = kind
        self.due = due
        self.started = started
        self.question = question
        self.late_s = max(0.0, started - due)
        self.connected = 0.0
        self.sent = 0.0
        self.done = 0.0
        self.outcome: Outcome | None = None
        self.detail = ""
        self.local_port = 0
        self.opened = 0.0
        self.peer = ""
        self.prior = 0
        self.retransmits: int | None = None
        self.sock: socket.socket | None = None
        self.channel: tls.Channel | None = None
        self.reader: http1.Reader | None = None
        self.unsent = memoryview(b"")
        # Of the answer. Its body is not kept: a failing service has thousands of requests on its books.
        self.complete = False
        self.keeps_open = False
        self.status: int | None = None
        self.identity: Identity | None = None

    def connect(self, family: int, address: Address, ports: Ports | None) -> bool:
        """Begin a connection, from the next of these ports if given; False where it failed at once."""
        try:
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            self.sock.setblocking(False)
            if self.question.in_pieces:
                # Otherwise the second piece would wait for the first one's acknowledgement.
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if ports is not None:
                self.local_port = ports.bind(self.sock)
            self.peer = address[0]
            self.opened = monotonic()
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

    def adopt(self, before: Exchange) -> None:
        """Use the connection on which this one was answered."""
        self.sock, self.channel, self.local_port = before.sock, before.channel, before.local_port
        self.peer, self.opened = before.peer, before.opened
        self.prior = before.prior + 1

    def on_connected(self) -> None:
        """The connection has come about or has failed: send, or end."""
        assert self.sock is not None  # noqa: S101
        number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.fail_errno(number, connecting=True)
            return
        self.connected = monotonic()
        own = self.question.service.tls
        if own is None:
            self.send()
            return
        self.channel = own.channel()
        self._shake(self.channel)

    @property
    def waits_since(self) -> float:
        """From when on the answer is waited for; the handshake of TLS is part of that."""
        return self.connected if self.channel is not None and self.connected else self.sent

    @property
    def waited_for(self) -> str:
        """What there was of the answer, in a word."""
        if self.channel is not None and not self.channel.ready:
            return "in_handshake"
        return "after_part" if self.reader is not None and self.reader.begun else "before_any_byte"

    def _shake(self, channel: tls.Channel) -> None:
        try:
            said = channel.shake()
        except tls.BrokenError as error:
            self.fail(Outcome.TLS, str(error))
            return
        if channel.ready:
            self.send(said)
        else:
            self._put(said)

    def send(self, before: bytes = b"") -> None:
        """Send the request, or as much of it as the system takes at once.

        Args:
            before: the last word of a handshake: what goes with it needs no packet and no call of its own.
        """
        self.sent = monotonic()
        self.reader = self.question.reader()
        request = self.question.requests[self.kind]
        self._put(before + (request if self.channel is None else self.channel.seal(request)))

    def _put(self, data: bytes) -> None:
        if data:
            self.unsent = memoryview(bytes(self.unsent) + data) if self.unsent else memoryview(data)
            self.flush()

    def flush(self) -> None:
        """Send what is still to be sent."""
        assert self.sock is not None  # noqa: S101
        try:
            self.unsent = self.unsent[self.sock.send(self.unsent) :]
        except BlockingIOError:
            return
        except OSError as error:
            self.fail_errno(error.errno or 0, connecting=False)

    def on_ready(self) -> None:
        """Send what is left, and take what has come; ends once the answer is complete or cannot become so."""
        if self.unsent:
            self.flush()
        if self.outcome is not None:
            return
        assert self.sock is not None  # noqa: S101
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail_errno(error.errno or 0, connecting=False)
            return
        if self.channel is None:
            self._take(data, ended=not data)
            return
        try:
            self._unseal(self.channel, data)
        except tls.BrokenError as error:
            self.fail(Outcome.TLS, str(error))

    def _unseal(self, channel: tls.Channel, data: bytes) -> None:
        if not data:
            # Without a goodbye: whether this was all that was to be said, nobody can know.
            self.fail(Outcome.CLOSED_EARLY, self.waited_for)
            return
        channel.received(data)
        if not channel.ready:
            self._shake(channel)
        if channel.ready and self.outcome is None:
            data = channel.unseal()
            self._put(channel.answers())
            if self.outcome is None and (data or channel.ended):
                self._take(data, ended=channel.ended)

    def _take(self, data: bytes, *, ended: bool) -> None:
        assert self.reader is not None  # noqa: S101
        try:
            answer = self.reader.feed(data) if data else None
        except http1.BadAnswerError as error:
            self.fail(Outcome.WRONG_BODY, str(error))
            return
        if answer is None and ended:
            answer = self.reader.end()
            if answer is None:
                self.fail(Outcome.CLOSED_EARLY, self.waited_for)
        if answer is not None:
            self.complete, self.keeps_open, self.status = True, answer.keeps_open, answer.status
            outcome, detail, self.identity = self.question.judge(answer)
            self.fail(outcome, detail)

    def still_open(self) -> bool:
        """Whether the connection is still good for another request, though something has come on it."""
        assert self.sock is not None  # noqa: S101
        if self.channel is None:
            return False
        try:
            data = self.sock.recv(65536)
            self.channel.received(data)
            # Tickets for later, new keys: what TLS says for itself is no answer.
            return bool(data) and not self.channel.unseal() and not self.channel.ended
        except BlockingIOError:
            return True
        except (OSError, tls.BrokenError):
            return False

    def has_closed(self) -> bool:
        """Whether the server has closed the connection of an answer. What it still says is nobody's.

        It is read all the same: what is left unread makes a close a reset.
        """
        assert self.sock is not None  # noqa: S101
        try:
            if self.sock.recv(65536) and self.sock.recv(65536):
                return False
        except BlockingIOError:
            if self.channel is not None:
                # A server that has taken its leave may wait for ours.
                with contextlib.suppress(OSError):
                    self.sock.send(self.channel.goodbye())
                self.channel = None
            return False
        except OSError:
            pass
        self.channel = None
        return True

    def fail_errno(self, number: int, *, connecting: bool) -> None:
        """End with an error of the system."""
        self.fail(outcome_of(number, connecting=connecting), errno.errorcode.get(number, f"errno_{number}"))

    def fail(self, outcome: Outcome, detail: str = "") -> None:
        """End with this outcome."""
        self.done = monotonic()
        self.outcome = outcome
        self.reader = None
        self.detail = detail
        if self.done - self.due > _SLOW_S and self.sock is not None:
            self.retransmits = _retransmits(self.sock)

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        # The goodbye of TLS may have come together with the answer.
        ended = self.channel is not None and self.channel.ended
        return self.kind == REUSED and self.keeps_open and not self.unsent and not ended


def _retransmits(sock: socket.socket) -> int | None:
    """TCP segments sent again on this connection, the SYN included; None where the system does not tell."""
    if not hasattr(socket, "TCP_INFO"):
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCPI_TOTAL_RETRANS_OFFSET + 4)
    except OSError:
        return None
    return int.from_bytes(info[_TCPI_TOTAL_RETRANS_OFFSET:], "little") if len(info) > 100 else None
