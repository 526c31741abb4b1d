"""What a server may write that is no answer: it is called so at once, whatever Python would make of it."""

from __future__ import annotations

import pytest

from failover_lab.probe import http1, identity

ANSWER = b"HTTP/1.1 200 OK\r\n"
CHUNKED = ANSWER + b"Transfer-Encoding: chunked\r\n\r\n"
MOST = 1 << 18


@pytest.mark.parametrize("size", [b"-2", b"+2", b"0x2", b"1_0", b"", b" 2", b"2 2", b"123456789"])
def test_what_is_no_size_of_a_chunk(size: bytes) -> None:
    # By a negative one, the same chunk would be read again and again.
    with pytest.raises(http1.BadAnswerError, match="not_http"):
        http1.parse(CHUNKED + size + b"\r\n", closed=False)


@pytest.mark.parametrize("size", [b"2", b"02;a=b", b"2 ", b"2\t;a=b"])
def test_what_is_a_size_of_a_chunk(size: bytes) -> None:
    found = http1.parse(CHUNKED + size + b"\r\nok\r\n0\r\n\r\n", closed=False)
    assert found is not None
    assert found.body == b"ok"


@pytest.mark.parametrize("size", [b"ffffffff\r\n", b""], ids=["within a chunk", "within its size"])
def test_chunks_that_do_not_end_are_too_long(size: bytes) -> None:
    with pytest.raises(http1.BadAnswerError, match="too_long"):
        http1.parse(CHUNKED + size + b"a" * (MOST + 1), closed=False)


@pytest.mark.parametrize("length", [b"1" * 5000, b"1000000000", b"-1", b"+1", b""], ids=len)
def test_what_is_no_length_of_an_answer(length: bytes) -> None:
    with pytest.raises(http1.BadAnswerError, match="not_http"):
        http1.parse(ANSWER + b"Content-Length: " + length + b"\r\n\r\n", closed=False)


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"pod": ' + b"1" * 5000 + b"}", b"\xff", b""], ids=len)
def test_a_body_that_cannot_be_read_is_nobody_s(body: bytes) -> None:
    assert identity.identify(body) is None
