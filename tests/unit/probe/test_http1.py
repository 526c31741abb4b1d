"""What a server may write that is no answer: it is called so at once, whatever Python would make of it."""

from __future__ import annotations

from typing import Any

import pytest

from failover_lab.probe import http1, identity

ANSWER = b"HTTP/1.1 200 OK\r\n"
CHUNKED = ANSWER + b"Transfer-Encoding: chunked\r\n\r\n"
MOST = 1 << 18


def parse(received: bytes, *, closed: bool = False, **how: Any) -> http1.Answer | None:
    """What is found in these bytes, which must be the same however they arrive."""
    ways = [[received], [received[i : i + 1] for i in range(len(received))], [received[:-1], received[-1:]]]
    found = [_read(pieces, closed=closed, **how) for pieces in (ways if len(received) < MOST else ways[::2])]
    assert all(one == found[0] for one in found), found
    if isinstance(found[0], str):
        raise http1.BadAnswerError(found[0])
    return found[0]


def _read(pieces: list[bytes], *, closed: bool, **how: Any) -> http1.Answer | str | None:
    reader = http1.Reader(**how)
    answer = None
    try:
        for number, piece in enumerate(pieces):
            answer = reader.feed(piece)
            if answer is not None:
                # Only what comes together with the end is known to be too much.
                return "extra_bytes" if any(pieces[number + 1 :]) else answer
        return reader.end() if closed else None
    except http1.BadAnswerError as error:
        return str(error)


@pytest.mark.parametrize("size", [b"-2", b"+2", b"0x2", b"1_0", b"", b" 2", b"2 2", b"123456789"])
def test_what_is_no_size_of_a_chunk(size: bytes) -> None:
    # By a negative one, the same chunk would be read again and again.
    with pytest.raises(http1.BadAnswerError, match="not_http"):
        parse(CHUNKED + size + b"\r\n", closed=False)


@pytest.mark.parametrize("size", [b"2", b"02;a=b", b"2 ", b"2\t;a=b"])
def test_what_is_a_size_of_a_chunk(size: bytes) -> None:
    found = parse(CHUNKED + size + b"\r\nok\r\n0\r\n\r\n", closed=False)
    assert found is not None
    assert found.body == b"ok"


@pytest.mark.parametrize("size", [b"ffffffff\r\n", b""], ids=["within a chunk", "within its size"])
def test_chunks_that_do_not_end_are_too_long(size: bytes) -> None:
    with pytest.raises(http1.BadAnswerError, match="too_long"):
        parse(CHUNKED + size + b"a" * (MOST + 1), closed=False)


@pytest.mark.parametrize("length", [b"1" * 5000, b"1000000000", b"-1", b"+1", b""], ids=len)
def test_what_is_no_length_of_an_answer(length: bytes) -> None:
    with pytest.raises(http1.BadAnswerError, match="not_http"):
        parse(ANSWER + b"Content-Length: " + length + b"\r\n\r\n", closed=False)


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"pod": ' + b"1" * 5000 + b"}", b"\xff", b""], ids=len)
def test_a_body_that_cannot_be_read_is_nobody_s(body: bytes) -> None:
    assert identity.identify(body) is None


OK = ANSWER + b"Content-Length: 2\r\n\r\nok"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"


@pytest.mark.parametrize("before", [b"HTTP/1.1 100 Continue\r\n\r\n", HINTS, HINTS * 3], ids=len)
def test_what_comes_before_the_answer_is_not_the_answer(before: bytes) -> None:
    found = parse(before + OK)
    assert found is not None
    assert (found.status, found.body, found.keeps_open) == (200, b"ok", True)
    assert parse(before, closed=True) is None


def test_another_protocol_is_an_answer_after_which_nothing_is_asked() -> None:
    reader = http1.Reader()
    found = reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x00\x01")
    assert found is not None
    assert (found.status, found.keeps_open) == (101, False)


@pytest.mark.parametrize("fields", [b"", b"Content-Length: 1234\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize(
    ("status", "how"), [(b"204 No Content", {}), (b"304 Not Modified", {}), (b"200 OK", {"method": "HEAD"})]
)
def test_an_answer_that_can_have_no_body_ends_with_its_head(
    status: bytes, how: dict[str, Any], fields: bytes
) -> None:
    found = parse(b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n", **how)
    assert found is not None
    assert (found.status, found.body, found.keeps_open) == (int(status[:3]), b"", True)


@pytest.mark.parametrize("size", [300_000, (1 << 20) - 24, (1 << 20) + 5])
def test_a_long_head_is_judged_the_same_however_it_arrives(size: int) -> None:
    answer = ANSWER + b"X: " + b"a" * size + b"\r\nContent-Length: 2\r\n\r\nok"
    found = []
    for step in (len(answer), 1 << 16, 4099):
        pieces = [answer[i : i + step] for i in range(0, len(answer), step)]
        found.append(_read(pieces, closed=False))
    assert all(one == found[0] for one in found)
    assert (found[0] == "too_long") is (size > 1 << 20 or size == (1 << 20) - 24)


@pytest.mark.parametrize("size", [262_145, 5_000_000])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_long_body_is_read_to_its_end(size: int, chunked: bool) -> None:
    body = b"a" * (size - 4) + b"END."
    fields = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body) if chunked else body
    answer = ANSWER + fields + b"\r\n\r\n" + sent
    pieces = [answer[i : i + 65536] for i in range(0, len(answer), 65536)]
    found = _read(pieces, closed=False, find=b"aaEND.")
    assert isinstance(found, http1.Answer)
    assert found.found
    assert found.whole is (size < 1 << 22)
    missed = _read(pieces, closed=False, find=b"END..")
    assert isinstance(missed, http1.Answer)
    assert not missed.found


@pytest.mark.parametrize(
    "wrong",
    [
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200junk\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        ANSWER + b"Content-Length: 5\r\nContent-Length: 2\r\n\r\nok",
        ANSWER + b"Content-Length: 5, 2\r\n\r\nok",
        ANSWER + b"no field\r\nContent-Length: 2\r\n\r\nok",
        ANSWER + b"Name : x\r\nContent-Length: 2\r\n\r\nok",
        ANSWER + b"X: a\rb\r\nContent-Length: 2\r\n\r\nok",
        CHUNKED + b"2\r\nokXX0\r\n\r\n",
        CHUNKED + b"2\r\nok0\r\n\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\nno trailer\r\n\r\n",
    ],
)
def test_what_is_no_answer(wrong: bytes) -> None:
    with pytest.raises(http1.BadAnswerError, match="not_http"):
        parse(wrong, closed=True)


@pytest.mark.parametrize("answer", [OK, CHUNKED + b"2\r\nok\r\n0\r\nX: y\r\n\r\n", CHUNKED + b"0\r\n\r\n"])
def test_bytes_after_the_answer_belong_to_nobody(answer: bytes) -> None:
    assert parse(answer) is not None
    with pytest.raises(http1.BadAnswerError, match="extra_bytes"):
        http1.Reader().feed(answer + b"GARBAGE")


@pytest.mark.parametrize(
    ("answer", "body", "keeps_open"),
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok", True),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (ANSWER + b"Content-Length: 2, 2\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (ANSWER + b"Connection: x-not-close\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (ANSWER + b"Connection: x, Close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (ANSWER + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (
            ANSWER + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"ok",
            False,
        ),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.0 200 OK\r\n\r\nok", b"ok", False),
        (ANSWER + b"Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nok", b"ok", False),
    ],
)
def test_what_is_an_answer(answer: bytes, body: bytes, keeps_open: bool) -> None:
    found = parse(answer, closed=True)
    assert found is not None
    assert (found.status, found.body, found.keeps_open) == (200, body, keeps_open)
