"""Byte code for a node's kernel: drop every packet but those of the one connection that must stay.

Classic BPF, as ``tc filter … bpf bytecode`` takes it. It looks at whole frames of Ethernet, so that ARP is
cut as well: MetalLB answers to ARP by a raw socket, which iptables never sees.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple

#: TC_ACT_SHOT, and TC_ACT_UNSPEC: whoever else has filters there is asked next.
DROP, PASS = 2, 0xFFFFFFFF
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_LOAD_HALF_AFTER_HEADER, _HEADER_LENGTH = 0x48, 0xB1
_IS, _HAS_BITS, _RETURN = 0x15, 0x45, 0x06
_ETHERNET = 14
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_TCP, _ICMPV6 = 6, 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
_FRAGMENT = 0x1FFF


@dataclass(frozen=True)
class Kept:
    """The connection that stays: from a client to a port of the node.

    Attributes:
        client: its address.
        own: the node's.
        port: the node's.
        next_hop: to whom the node sends what is for the client: the client itself, or a router.
    """

    client: str
    own: str
    port: int
    next_hop: str


class _Step(NamedTuple):
    """An instruction; where it jumps is a label, or empty for the next one."""

    code: int
    value: int
    if_so: str = ""
    else_: str = ""
    label: str = ""


def program(way: str, kept: Kept | None) -> str:
    """The byte code for one way of a node's interface.

    Args:
        way: ``ingress`` or ``egress``, as the node has them.
        kept: None: nothing stays.

    Raises:
        ValueError: an address is none.
    """
    if kept is None:
        return f"1,{_RETURN} 0 0 {DROP},"
    own, client = ipaddress.ip_address(kept.own), ipaddress.ip_address(kept.client)
    source, target = (client, own) if way == "ingress" else (own, client)
    # Where the node's port is, from where TCP begins.
    port_at = 2 if way == "ingress" else 0
    if own.version == 4:
        steps = _by_ipv4(int(source), int(target), kept, port_at, way)
    else:
        steps = _by_ipv6(source.packed, target.packed, kept, port_at)
    return _assembled([*steps, _Step(_RETURN, PASS, label="pass"), _Step(_RETURN, DROP, label="drop")])


def _by_ipv4(source: int, target: int, kept: Kept, port_at: int, way: str) -> list[_Step]:
    hop, own = int(ipaddress.IPv4Address(kept.next_hop)), int(ipaddress.IPv4Address(kept.own))
    asker, asked = (hop, own) if way == "ingress" else (own, hop)
    return [
        _Step(_LOAD_HALF, 12),
        _Step(_IS, _ARP, "arp"),
        _Step(_IS, _IPV4, "", "drop"),
        _Step(_LOAD_BYTE, _ETHERNET + 9),
        _Step(_IS, _TCP, "", "drop"),
        # A later part of a packet has no ports.
        _Step(_LOAD_HALF, _ETHERNET + 6),
        _Step(_HAS_BITS, _FRAGMENT, "drop"),
        _Step(_LOAD_WORD, _ETHERNET + 12),
        _Step(_IS, source, "", "drop"),
        _Step(_LOAD_WORD, _ETHERNET + 16),
        _Step(_IS, target, "", "drop"),
        _Step(_HEADER_LENGTH, _ETHERNET),
        _Step(_LOAD_HALF_AFTER_HEADER, _ETHERNET + port_at),
        _Step(_IS, kept.port, "pass", "drop"),
        # Who has whose address: between the node and the next hop alone, and not for a Service's address.
        _Step(_LOAD_WORD, _ETHERNET + 14, label="arp"),
        _Step(_IS, asker, "", "drop"),
        _Step(_LOAD_WORD, _ETHERNET + 24),
        _Step(_IS, asked, "pass", "drop"),
    ]


def _by_ipv6(source: bytes, target: bytes, kept: Kept, port_at: int) -> list[_Step]:
    steps = [
        _Step(_LOAD_HALF, 12),
        _Step(_IS, _IPV6, "", "drop"),
        _Step(_LOAD_BYTE, _ETHERNET + 6),
        _Step(_IS, _ICMPV6, "neighbours"),
        _Step(_IS, _TCP, "", "drop"),
    ]
    for at, address in ((_ETHERNET + 8, source), (_ETHERNET + 24, target)):
        for part in range(0, len(address), 4):
            steps += [
                _Step(_LOAD_WORD, at + part),
                _Step(_IS, int.from_bytes(address[part : part + 4], "big"), "", "drop"),
            ]
    return [
        *steps,
        _Step(_LOAD_HALF, _ETHERNET + 40 + port_at),
        _Step(_IS, kept.port, "pass", "drop"),
        _Step(_LOAD_BYTE, _ETHERNET + 40, label="neighbours"),
        _Step(_IS, _SOLICITATION, "pass"),
        _Step(_IS, _ADVERTISEMENT, "pass", "drop"),
    ]


def _assembled(steps: list[_Step]) -> str:
    places = {step.label: place for place, step in enumerate(steps) if step.label}
    words = []
    for place, step in enumerate(steps):
        jumps = [places[label] - place - 1 if label else 0 for label in (step.if_so, step.else_)]
        words.append(f"{step.code} {jumps[0]} {jumps[1]} {step.value}")
    return f"{len(words)},{','.join(words)},"
