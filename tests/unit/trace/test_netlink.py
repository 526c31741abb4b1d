"""What a kernel says of connections, as it says it, and a kernel that is listened to."""

from __future__ import annotations

import errno
import ipaddress
import os
from pathlib import Path
from typing import Any

import pytest

from failover_lab.trace import netlink
from failover_lab.trace.event import END, NEW, Event

# As Linux 6.18 sent them: a connection to 10.213.0.9, port 80, that 10.213.0.2, port 8080, was given.
MADE = bytes.fromhex(
    "c4000000000100060000000000000000020000003400018014000180080001000ad50001080002000ad500091c00028005000100"
    "0600000006000200b534000006000300005000003400028014000180080001000ad50002080002000ad500011c00028005000100"
    "06000000060002001f90000006000300b534000008000c0046edf1f508000300000001a80800070000000078300004802c000180"
    "0500010001000000050002000a000000050003000000000006000400030000000600050000000000"
)
FORGOTTEN = bytes.fromhex(
    "9c000000020100000000000000000000020000003400018014000180080001000ad50001080002000ad500091c00028005000100"
    "0600000006000200b534000006000300005000003400028014000180080001000ad50002080002000ad500011c00028005000100"
    "06000000060002001f90000006000300b534000008000c0046edf1f508000300000003ae100004800c0001800500010008000000"
)
ADDRESS = ipaddress.ip_address("10.213.0.9").packed
TARGETS = {(ADDRESS, 80)}


def test_it_says_from_whom_and_to_which_pod() -> None:
    client = ("10.213.0.1", 46388, "10.213.0.2", 8080)
    assert list(netlink.parse(MADE, TARGETS)) == [Event(NEW, *client)]
    assert list(netlink.parse(FORGOTTEN, TARGETS)) == [Event(END, *client)]
    assert [event.change for event in netlink.parse(MADE + FORGOTTEN, TARGETS)] == [NEW, END]


@pytest.mark.parametrize(
    "data",
    [
        # Another port, and another protocol.
        MADE.replace(b"\x06\x00\x03\x00\x00\x50", b"\x06\x00\x03\x00\x00\x51"),
        MADE.replace(b"\x05\x00\x01\x00\x06", b"\x05\x00\x01\x00\x11"),
        # Of another subsystem, an expectation, and an answer to nobody's question.
        MADE[:5] + b"\x02" + MADE[6:],
        MADE[:4] + b"\x03" + MADE[5:],
        b"",
    ],
)
def test_other_things_are_of_no_interest(data: bytes) -> None:
    assert list(netlink.parse(data, TARGETS)) == []


def test_another_address_is_of_no_interest() -> None:
    assert list(netlink.parse(MADE, {(ipaddress.ip_address("10.213.0.1").packed, 80)})) == []
    assert list(netlink.parse(MADE, {(ipaddress.ip_address("10.213.0.8").packed, 80)})) == []


@pytest.mark.parametrize("cut", range(0, len(MADE), 7))
def test_half_a_message_is_no_error(cut: int) -> None:
    assert list(netlink.parse(MADE[:cut], TARGETS)) in (
        [],
        [Event(NEW, "10.213.0.1", 46388, "10.213.0.2", 8080)],
    )


class Said:
    """A socket that has this to say."""

    def __init__(self, *said: bytes | int) -> None:
        self.said = list(said)
        self.closed = False

    def recv(self, _size: int) -> bytes:
        if not self.said:
            raise BlockingIOError
        first = self.said.pop(0)
        if isinstance(first, int):
            raise OSError(first, os.strerror(first))
        return first

    def close(self) -> None:
        self.closed = True


def heard(monkeypatch: pytest.MonkeyPatch, *said: bytes | int) -> tuple[netlink.Socket, Said]:
    sock: Any = Said(*said)
    monkeypatch.setattr(netlink, "listen", lambda _pid: sock)
    return netlink.Socket(1, TARGETS), sock


def test_all_that_was_said_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ear, sock = heard(monkeypatch, MADE, FORGOTTEN)
    assert [event.change for event in ear.read()] == [NEW, END]
    assert ear.read() == []
    ear.close()
    assert (ear.lost, sock.closed) == (0, True)


def test_what_was_lost_is_counted_and_what_follows_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ear, _ = heard(monkeypatch, MADE, errno.ENOBUFS, MADE, errno.ENOBUFS)
    assert len(ear.read()) == 2
    assert ear.lost == 2


def test_another_error_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ear, _ = heard(monkeypatch, errno.EBADF)
    with pytest.raises(OSError, match="Bad file descriptor"):
        ear.read()


def test_a_process_that_there_is_not_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        netlink.listen(2**22 + 1)


def test_this_thread_stays_where_it_is() -> None:
    before = Path("/proc/thread-self/ns/net").readlink()
    try:
        netlink.listen(os.getpid()).close()
    except PermissionError:
        pytest.skip("only root may")
    assert Path("/proc/thread-self/ns/net").readlink() == before
