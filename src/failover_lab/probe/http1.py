"""As much of HTTP/1.1 as the witness needs, by hand, so that nothing is sent again or hidden."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab import __version__

if TYPE_CHECKING:
    from failover_lab.arguments import Target

_MOST_BYTES = 1 << 18
# int() takes more for a number than HTTP does (a sign, an underscore), and does not take thousands of digits.
_SIZE = re.compile(rb"[0-9]{1,9}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*")


class BadAnswerError(Exception):
    """What came is no HTTP answer; the message is one word for the record."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    keeps_open: bool


def request(target: Target, *, keep_open: bool) -> bytes:
    """The bytes of one GET."""
    return (
        f"GET {target.path} HTTP/1.1\r\n"
        f"Host: {target.authority}\r\n"
        f"User-Agent: failover-lab/{__version__}\r\n"
        "Accept: application/json\r\n"
        f"Connection: {'keep-alive' if keep_open else 'close'}\r\n\r\n"
    ).encode("ascii")


def parse(received: bytes, *, closed: bool) -> Answer | None:
    """The answer in these bytes, or None where it is not complete yet.

    Args:
        received: everything since the request was sent.
        closed: nothing more will come.

    Raises:
        BadAnswerError: this is not, and will not become, an answer.
    """
    head, gap, body = received.partition(b"\r\n\r\n")
    if not gap:
        if len(received) > _MOST_BYTES:
            raise BadAnswerError("too_long")
        if received and not b"HTTP/1.".startswith(received[:7]):
            raise BadAnswerError("not_http")
        return None
    status_line, *lines = head.split(b"\r\n")
    version, _, rest = status_line.partition(b" ")
    code = rest[:3]
    if version not in {b"HTTP/1.1", b"HTTP/1.0"} or len(code) != 3 or not code.isdigit():
        raise BadAnswerError("not_http")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)
    }
    tokens = headers.get(b"connection", b"").lower()
    keeps_open = b"close" not in tokens and (version == b"HTTP/1.1" or b"keep-alive" in tokens)
    if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
        whole = _chunks(body)
    elif (length := headers.get(b"content-length")) is not None:
        whole = _sized(body, length)
    else:
        keeps_open = False
        whole = body if closed else None
        if len(body) > _MOST_BYTES:
            raise BadAnswerError("too_long")
    return None if whole is None else Answer(int(code), headers, whole, keeps_open)


def _sized(body: bytes, length: bytes) -> bytes | None:
    if not _SIZE.fullmatch(length):
        raise BadAnswerError("not_http")
    size = int(length)
    if size > _MOST_BYTES:
        raise BadAnswerError("too_long")
    if len(body) > size:
        raise BadAnswerError("extra_bytes")
    return body if len(body) == size else None


def _chunks(body: bytes) -> bytes | None:
    if len(body) > _MOST_BYTES:
        raise BadAnswerError("too_long")
    parts: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        if end < 0:
            return None
        token = _CHUNK_SIZE.fullmatch(body[at:end].partition(b";")[0])
        if token is None:
            raise BadAnswerError("not_http")
        size = int(token[1], 16)
        at = end + 2
        if size == 0:
            # Trailers are allowed; the answer ends with an empty line.
            if body.startswith(b"\r\n", at):
                return b"".join(parts)
            return b"".join(parts) if body.find(b"\r\n\r\n", at) >= 0 else None
        if len(body) < at + size + 2:
            return None
        parts.append(body[at : at + size])
        at += size + 2
