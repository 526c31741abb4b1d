"""As much of HTTP/1.1 as the witness needs, by hand, so that nothing is sent again or hidden.

What is found does not depend on the pieces in which an answer arrives.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_lab.arguments import Target

# Of a head, and of the fields after the last chunk. Browsers and Go's client stop between a quarter of this
# and ten times as much.
_MOST_HEAD = 1 << 20
_MOST_BODY = 1 << 26
# So much of a body is kept, to be read by whoever asks who answered; of the rest only the length counts.
_KEPT = 1 << 22
_MOST_CHUNK_LINE = 1 << 12
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\0]*)?")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# A value may go on in the next line, as it was once allowed.
_GOES_ON = re.compile(rb"\n[ \t]+")
# int() takes more for a number than HTTP does (a sign, an underscore), and does not take thousands of digits.
_SIZE = re.compile(rb"[0-9]{1,9}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*")
_BODILESS = frozenset({204, 304})
_SWITCHED = 101


class BadAnswerError(Exception):
    """What came is no HTTP answer; the message is one word for the record."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer.

    Attributes:
        headers: by their names in small letters; what came several times, with commas between.
        body: without what was beyond the most that is kept.
        whole: whether nothing was.
        keeps_open: whether the connection may carry another request.
        found: whether the text that was looked for is in the body.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    whole: bool
    keeps_open: bool
    found: bool


def request(
    target: Target,
    *,
    keep_open: bool,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
) -> bytes:
    """The bytes of one request.

    Args:
        target: where it goes.
        keep_open: whether the connection is to carry others.
        method: of the request.
        headers: to send as well, or in the place of those of the same name.
        body: to send; None for none.
    """
    given = {name.lower() for name, _ in headers}
    default = {
        "Host": target.authority,
        "User-Agent": f"failover-lab/{__version__}",
        "Accept": "application/json" if target.path == "/whoami" else "*/*",
    }
    fields = [(name, value) for name, value in default.items() if name.lower() not in given]
    # The host comes first, as every server likes it.
    fields.sort(key=lambda field: field[0] != "Host")
    fields += headers
    if body is not None or method in {"POST", "PUT", "PATCH"}:
        fields.append(("Content-Length", str(len(body or b""))))
    fields.append(("Connection", "keep-alive" if keep_open else "close"))
    head = f"{method} {target.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
    return head.encode("latin-1") + b"\r\n" + (body or b"")


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]


class Reader:
    """Reads one answer.

    Attributes:
        begun: whether anything came.
    """

    __slots__ = (
        "_answer",
        "_bodiless",
        "_body",
        "_find",
        "_found",
        "_left",
        "_length",
        "_over",
        "_rest",
        "_seen",
        "_step",
        "_tail",
        "begun",
    )

    def __init__(self, *, method: str = "GET", find: bytes = b"") -> None:
        """Nothing has come yet.

        Args:
            method: of the request, which says whether its answer has a body.
            find: what to look for in the body.
        """
        self.begun = False
        self._bodiless = method == "HEAD"
        self._find = find
        self._found = not find
        self._tail = b""
        self._rest = bytearray()
        self._seen = 0
        self._step = self._head
        self._left = 0
        self._length = 0
        self._over = False
        self._body = bytearray()
        self._answer: tuple[int, dict[bytes, bytes], bool] | None = None

    def feed(self, data: bytes) -> Answer | None:
        """Take what has come; the answer once it is complete.

        Raises:
            BadAnswerError: this is not, and will not become, an answer.
        """
        self.begun = self.begun or bool(data)
        self._rest += data
        while self._step():
            pass
        return self._complete() if self._over else None

    def end(self) -> Answer | None:
        """Nothing more comes; the answer if that makes it complete."""
        return self._complete() if self._step == self._until_close else None

    def _complete(self) -> Answer:
        assert self._answer is not None  # noqa: S101
        if self._rest:
            raise BadAnswerError("extra_bytes")
        status, headers, keeps_open = self._answer
        whole = self._length == len(self._body)
        return Answer(status, headers, bytes(self._body), whole, keeps_open, self._found)

    # Steps: each takes from what is there, and says whether that was enough for it.

    def _done(self) -> bool:
        self._over = True
        return False

    def _head(self) -> bool:
        rest = self._rest
        # A line may end without the carriage return; who sends heads so is understood by every browser.
        begin = max(0, self._seen - 2)
        end, bare = rest.find(b"\n\r\n", begin), rest.find(b"\n\n", begin)
        body = end + 3
        if bare >= 0 and (end < 0 or bare < end):
            end, body = bare, bare + 2
        if end < 0:
            if not b"HTTP/1.".startswith(rest[:7]):
                raise BadAnswerError("not_http")
            # Wherever its end will be found, it cannot be before this.
            if len(rest) - 2 > _MOST_HEAD:
                raise BadAnswerError("too_long")
            self._seen = len(rest)
            return False
        if end > _MOST_HEAD:
            raise BadAnswerError("too_long")
        head = bytes(rest[:end]).removesuffix(b"\r")
        del rest[:body]
        self._seen = 0
        self._begin(head)
        return True

    def _begin(self, head: bytes) -> None:
        status_line, _, fields = head.replace(b"\r\n", b"\n").partition(b"\n")
        first = _STATUS_LINE.fullmatch(status_line)
        if first is None:
            raise BadAnswerError("not_http")
        newest, status = first[1] == b"1", int(first[2])
        headers = _headers(fields)
        if 100 <= status < 200 and status != _SWITCHED:
            # Only a foretaste; the answer is still to come.
            return
        tokens = _tokens(headers.get(b"connection", b""))
        keeps_open = b"close" not in tokens and (newest or b"keep-alive" in tokens) and status != _SWITCHED
        coded = headers.get(b"transfer-encoding")
        lengths = headers.get(b"content-length")
        if self._bodiless or status in _BODILESS or status == _SWITCHED:
            self._step = self._done
            if status == _SWITCHED:
                # What follows is no HTTP any more.
                self._rest.clear()
        elif coded is not None and _tokens(coded)[-1] == b"chunked":
            # With both, one of them is a lie: what is read goes by this one, and no other request after it.
            keeps_open = keeps_open and newest and lengths is None
            self._step = self._chunk_line
        elif lengths is not None and coded is None:
            self._left = _length(lengths)
            self._step = self._sized if self._left else self._done
        else:
            keeps_open = False
            self._step = self._until_close
        self._answer = status, headers, keeps_open

    def _take(self, most: int) -> int:
        """Take so much of the body as is there; how much that was."""
        piece = bytes(self._rest[:most])
        del self._rest[:most]
        self._length += len(piece)
        if self._length > _MOST_BODY:
            raise BadAnswerError("too_long")
        if self._length <= _KEPT:
            self._body += piece
        else:
            self._body.clear()
        if not self._found:
            window = self._tail + piece
            self._found = self._find in window
            self._tail = (
                window[len(window) - len(self._find) + 1 :] if len(window) >= len(self._find) else window
            )
        return len(piece)

    def _sized(self) -> bool:
        self._left -= self._take(self._left)
        if self._left:
            return False
        self._step = self._done
        return True

    def _until_close(self) -> bool:
        self._take(len(self._rest))
        return False

    def _line(self, most: int) -> bytes | None:
        """The next line, without its end; None while it is not all there."""
        end = self._rest.find(b"\r\n")
        if end > most or (end < 0 and len(self._rest) - 1 > most):
            raise BadAnswerError("too_long")
        if end < 0:
            return None
        line = bytes(self._rest[:end])
        del self._rest[: end + 2]
        return line

    def _chunk_line(self) -> bool:
        line = self._line(_MOST_CHUNK_LINE)
        if line is None:
            return False
        size = _CHUNK_SIZE.fullmatch(line.partition(b";")[0])
        if size is None:
            raise BadAnswerError("not_http")
        self._left = int(size[1], 16)
        if self._length + self._left > _MOST_BODY:
            raise BadAnswerError("too_long")
        self._step = self._chunk if self._left else self._trailer
        return True

    def _chunk(self) -> bool:
        self._left -= self._take(self._left)
        if self._left:
            return False
        self._step = self._chunk_end
        return True

    def _chunk_end(self) -> bool:
        if not b"\r\n".startswith(self._rest[:2]):
            raise BadAnswerError("not_http")
        if len(self._rest) < 2:
            return False
        del self._rest[:2]
        self._step = self._chunk_line
        return True

    def _trailer(self) -> bool:
        line = self._line(_MOST_HEAD - self._seen)
        if line is None:
            return False
        self._seen += len(line) + 2
        if not line:
            self._step = self._done
        else:
            _headers(line)
        return True


def _headers(fields: bytes) -> dict[bytes, bytes]:
    """By their names in small letters.

    Raises:
        BadAnswerError: a line is none.
    """
    if b"\r" in fields or b"\0" in fields:
        raise BadAnswerError("not_http")
    if b"\n " in fields or b"\n\t" in fields:
        fields = _GOES_ON.sub(b" ", fields)
    headers: dict[bytes, bytes] = {}
    for line in fields.split(b"\n") if fields else ():
        name, colon, value = line.partition(b":")
        if not colon:
            raise BadAnswerError("not_http")
        name, value = _name(name), value.strip(b" \t")
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


@functools.lru_cache(maxsize=1024)
def _name(said: bytes) -> bytes:
    """In small letters. A server has a handful of them, and sends them each time.

    Raises:
        BadAnswerError: it is none.
    """
    if not _NAME.fullmatch(said):
        raise BadAnswerError("not_http")
    return said.lower()


def _length(values: bytes) -> int:
    """What the length of the body is said to be, once or several times alike.

    Raises:
        BadAnswerError: it is none, there are two, or it is too much.
    """
    different = set(_tokens(values))
    value = different.pop()
    if different or not _SIZE.fullmatch(value):
        raise BadAnswerError("not_http")
    if int(value) > _MOST_BODY:
        raise BadAnswerError("too_long")
    return int(value)
