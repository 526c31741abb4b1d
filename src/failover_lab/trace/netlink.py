"""What a node's kernel says, by a socket in the node's own network, where its processes are this machine's.

The socket belongs to this process, not to the node: a node that is paused is heard on, and what its kernel
said last is still read once the node was killed.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

from failover_lab.trace.event import END, NEW, Event

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# From linux/netlink.h, linux/netfilter/nfnetlink.h, nfnetlink_conntrack.h and sched.h.
_NETFILTER = 12
_GROUPS = 1 << 0 | 1 << 2  # new entries, and those that go; not each change of their state
_SO_RCVBUFFORCE = 33
_CLONE_NEWNET = 0x40000000
_CONNTRACK, _GET_NEW, _DELETE = 1, 0, 2
_ORIGINAL, _REPLY = 1, 2
_ADDRESSES, _PORTS = 1, 2
_ENDS = (1, 3), (2, 4)  # source and destination, each of IPv4 and IPv6
_PROTOCOL, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_TYPE = 0x3FFF
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_FAMILY_HEADER = 4
# More than two seconds of 2,000 connections a second, should this process not be let run for so long.
_BUFFER_BYTES = 16 << 20
_MESSAGE_BYTES = 8192

# Source, destination, protocol, and the ports of both.
_Tuple = tuple[bytes, bytes, int, int, int]


def _enter(pid: int) -> None:
    """Have this thread, and no other, use the network of a process."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # os.setns came with Python 3.12.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def listen(pid: int) -> socket.socket:
    """A socket that hears the kernel of the network that a process is in.

    Raises:
        OSError: there is no such process, or this one may not.
    """
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def work() -> None:
        try:
            _enter(pid)
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
            made.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            sock.bind((0, _GROUPS))
        except OSError as error:
            failed.append(error)

    # A thread of its own, which ends in the node's network: there is no way back that could fail.
    thread = threading.Thread(target=work, name="enter-network")
    thread.start()
    thread.join()
    if failed:
        for sock in made:
            sock.close()
        raise failed[0]
    return made[0]


def _attributes(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(type, begin, end) of each attribute between two places."""
    while begin + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, begin)
        if length < 4:
            return
        yield kind & _TYPE, begin + 4, min(begin + length, end)
        begin += (length + 3) & ~3


def _values(data: bytes, begin: int, end: int) -> dict[int, bytes]:
    return {kind: data[first:last] for kind, first, last in _attributes(data, begin, end)}


def _tuple(data: bytes, begin: int, end: int) -> _Tuple:
    addresses: dict[int, bytes] = {}
    ports: dict[int, bytes] = {}
    for part, first, last in _attributes(data, begin, end):
        if part == _ADDRESSES:
            addresses = _values(data, first, last)
        elif part == _PORTS:
            ports = _values(data, first, last)
    source, destination = (next((addresses[k] for k in kinds if k in addresses), b"") for kinds in _ENDS)
    # Other protocols have no ports.
    source_port, destination_port = (
        int.from_bytes(ports.get(kind, b""), "big") for kind in (_SOURCE_PORT, _DESTINATION_PORT)
    )
    return (
        source,
        destination,
        int.from_bytes(ports.get(_PROTOCOL, b""), "big"),
        source_port,
        destination_port,
    )


@functools.lru_cache(maxsize=4096)
def _address(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def parse(data: bytes, targets: Collection[tuple[bytes, int]]) -> Iterator[Event]:
    """What a datagram of the kernel says of connections to these addresses and ports.

    Args:
        data: as it was received.
        targets: addresses as the network has them, each with a port.
    """
    # Most of what a busy node says is of no interest, and is not taken apart.
    if not any(address in data for address, _ in targets):
        return
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            return
        if kind >> 8 == _CONNTRACK and kind & 0xFF in {_GET_NEW, _DELETE}:
            change = NEW if kind & 0xFF == _GET_NEW else END
            original = reply = None
            for part, first, last in _attributes(data, at + _HEADER.size + _FAMILY_HEADER, at + length):
                if part == _ORIGINAL:
                    original = _tuple(data, first, last)
                elif part == _REPLY:
                    reply = _tuple(data, first, last)
                    break
            if (
                original is not None
                and reply is not None
                and original[2] == socket.IPPROTO_TCP
                and (original[1], original[4]) in targets
            ):
                yield Event(change, _address(original[0]), original[3], _address(reply[0]), reply[3])
        at += (length + 3) & ~3


class Socket:
    """Hears one node.

    Attributes:
        by: how, in a word.
        delay_s: how long what is said is on its way at most.
        lost: how often the kernel had to throw away what nobody had read in time.
    """

    by = "netlink"
    delay_s = 0.0

    def __init__(self, pid: int, targets: Collection[tuple[bytes, int]]) -> None:
        """Begin to hear.

        Raises:
            OSError: this process may not, or the node has ended.
        """
        self._sock = listen(pid)
        self._targets = frozenset(targets)
        self.lost = 0

    def read(self) -> list[Event]:
        """What has been said since the last time."""
        found: list[Event] = []
        receive, targets = self._sock.recv, self._targets
        while True:
            try:
                data = receive(_MESSAGE_BYTES)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            found.extend(parse(data, targets))

    def close(self) -> None:
        """Hear no more."""
        self._sock.close()
