"""This machine's own table of neighbours (ARP): the hardware address that its kernel has for an IPv4 one."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from pathlib import Path

TABLE = Path("/proc/net/arp")
_COMPLETE = 0x2
_DISCARD_PORT = 9


def read(table: Path = TABLE) -> dict[str, str]:
    """Hardware addresses by IPv4 address; nothing where the kernel does not tell."""
    try:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
    except (OSError, ValueError):
        return {}
    return {row[0]: row[3] for row in rows if len(row) >= 6 and int(row[2], 16) & _COMPLETE}


def ask(addresses: Iterable[str]) -> None:
    """Have the kernel find out their hardware addresses: an empty datagram to each does."""
    for address in addresses:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", (address, _DISCARD_PORT))
