"""What a cut lets through, played on frames as a kernel would: one connection, and nothing else."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

import pytest

from failover_lab.nodes import packets
from failover_lab.nodes.packets import DROP, PASS, Kept

CLIENT, NODE, ROUTER, OTHER, SERVICE = "10.9.0.7", "10.0.0.2", "10.0.0.1", "10.0.0.3", "10.0.0.200"
KEPT = Kept(CLIENT, NODE, 2222, ROUTER)
KEPT6 = Kept("fd00::7", "fd00::2", 22, "fe80::1")


def played(code: str, frame: bytes) -> int:
    """Classic BPF, as far as it is used; a load beyond the frame ends it with 0, as kernels do."""
    count, *words = code.rstrip(",").split(",")
    steps = [tuple(map(int, word.split())) for word in words]
    assert len(steps) == int(count) < 256
    at, loaded, index = 0, 0, 0
    sizes = {0x20: 4, 0x28: 2, 0x30: 1, 0x48: 2}
    while True:
        operation, so, otherwise, value = steps[at]
        at += 1
        if operation in sizes:
            start = value + (index if operation == 0x48 else 0)
            part = frame[start : start + sizes[operation]]
            if len(part) < sizes[operation]:
                return 0
            loaded = int.from_bytes(part, "big")
        elif operation == 0xB1:
            index = 4 * (frame[value] & 0xF)
        elif operation in (0x15, 0x45):
            holds = loaded == value if operation == 0x15 else loaded & value
            at += so if holds else otherwise
        else:
            assert operation == 0x06
            return value


def tcp(
    source: str, target: str, sport: int, dport: int, *, protocol: int = 6, part: int = 0, more: int = 0
) -> bytes:
    header = struct.pack(">BBHHHBBH", 0x45 + more // 4, 0, 40 + more, 1, part, 64, protocol, 0)
    header += ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed + bytes(more)
    return bytes(12) + b"\x08\x00" + header + struct.pack(">HH", sport, dport) + bytes(20)


def arp(asker: str, asked: str) -> bytes:
    body = b"\0\x01\x08\0\x06\x04\0\x01" + bytes(6) + ipaddress.ip_address(asker).packed
    return bytes(12) + b"\x08\x06" + body + bytes(6) + ipaddress.ip_address(asked).packed


def ip6(source: str, target: str, kind: int, rest: bytes) -> bytes:
    header = b"\x60\0\0\0" + struct.pack(">HBB", len(rest), kind, 64)
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    return bytes(12) + b"\x86\xdd" + header + addresses + rest


@pytest.mark.parametrize(
    ("way", "frame"),
    [
        ("ingress", tcp(CLIENT, NODE, 40000, 2222)),
        ("ingress", tcp(CLIENT, NODE, 40000, 2222, part=0x4000)),
        ("ingress", tcp(CLIENT, NODE, 40000, 2222, more=12)),
        ("egress", tcp(NODE, CLIENT, 2222, 40000)),
        ("ingress", arp(ROUTER, NODE)),
        ("egress", arp(NODE, ROUTER)),
    ],
)
def test_the_connection_by_which_it_is_reached_stays(way: str, frame: bytes) -> None:
    assert played(packets.program(way, KEPT), frame) == PASS


@pytest.mark.parametrize(
    ("way", "frame"),
    [
        ("ingress", tcp(CLIENT, NODE, 40000, 10250)),
        ("ingress", tcp(OTHER, NODE, 40000, 2222)),
        ("ingress", tcp(CLIENT, SERVICE, 40000, 2222)),
        ("ingress", tcp(CLIENT, NODE, 2222, 40000)),
        ("ingress", tcp(CLIENT, NODE, 40000, 2222, protocol=17)),
        ("ingress", tcp(CLIENT, NODE, 40000, 2222, part=1)),
        ("egress", tcp(NODE, CLIENT, 8080, 40000)),
        ("egress", tcp(NODE, OTHER, 2222, 40000)),
        ("egress", tcp(SERVICE, CLIENT, 2222, 40000)),
        # MetalLB answers who has a Service's address, and other nodes ask for this one's.
        ("ingress", arp(ROUTER, SERVICE)),
        ("ingress", arp(OTHER, NODE)),
        ("egress", arp(SERVICE, ROUTER)),
        ("egress", arp(NODE, OTHER)),
        ("ingress", ip6("fd00::7", "fd00::2", 6, struct.pack(">HH", 40000, 2222))),
        ("ingress", bytes(12) + b"\x88\xcc" + bytes(60)),
    ],
)
def test_nothing_else_does(way: str, frame: bytes) -> None:
    assert played(packets.program(way, KEPT), frame) == DROP
    assert played(packets.program(way, None), frame) == DROP


@pytest.mark.parametrize(
    ("way", "frame", "stays"),
    [
        ("ingress", ip6("fd00::7", "fd00::2", 6, struct.pack(">HH", 40000, 22)), True),
        ("egress", ip6("fd00::2", "fd00::7", 6, struct.pack(">HH", 22, 40000)), True),
        ("ingress", ip6("fd00::8", "fd00::2", 6, struct.pack(">HH", 40000, 22)), False),
        ("ingress", ip6("fd00::7", "fd00::2", 6, struct.pack(">HH", 40000, 80)), False),
        ("ingress", ip6("fe80::1", "fd00::2", 58, b"\x87" + bytes(23)), True),
        ("ingress", ip6("fe80::1", "fd00::2", 58, b"\x88" + bytes(23)), True),
        ("ingress", ip6("fe80::1", "fd00::2", 58, b"\x80" + bytes(23)), False),
        ("ingress", ip6("fd00::7", "fd00::2", 17, struct.pack(">HH", 40000, 22)), False),
        ("ingress", tcp(CLIENT, NODE, 40000, 22), False),
    ],
)
def test_one_by_ipv6(way: str, frame: bytes, stays: Any) -> None:
    assert played(packets.program(way, KEPT6), frame) == (PASS if stays else DROP)
