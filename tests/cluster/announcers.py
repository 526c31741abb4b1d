"""Who says that the Service's address is his: heard on the nodes' own network, and judged.

Somebody whom nobody knows asks for the address all the time, so that whoever announces it has to answer. The
answers go to him: this machine's table of neighbours learns nothing of them, and so nothing of a run changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from .conftest import PROFILE, docker

if TYPE_CHECKING:
    from .conftest import Lab

ASK_EVERY_S = 0.1
_ARP = 0x0806
_IPV4 = 0x0800
_BROADCAST = b"\xff" * 6
# Of the range that nobody is given.
_NOBODY = bytes.fromhex("02fa11000001")
_PACKET = struct.Struct("!6s6sH HHBBH 6s4s6s4s")
# Of <linux/if_packet.h>; the socket module does not have them.
_SOL_PACKET, _ADD_MEMBERSHIP, _PROMISCUOUS = 263, 1, 1


@dataclass(frozen=True)
class Heard:
    """Somebody said that the address is his: when, by the wall clock, and with which hardware address."""

    at: float
    hardware: str


def question(address: str) -> bytes:
    """The frame that asks everybody for an address."""
    asked = socket.inet_aton(address)
    return _PACKET.pack(
        _BROADCAST, _NOBODY, _ARP, 1, _IPV4, 6, 4, 1, _NOBODY, bytes(4), bytes(6), asked
    )  # fmt: skip


def claimant(frame: bytes, address: str) -> str | None:
    """Whose hardware a frame says the address to be; None if it says nothing of the kind."""
    if len(frame) < _PACKET.size:
        return None
    _, _, ethernet, hardware_kind, kind, *_, sender, ip, _, _ = _PACKET.unpack_from(frame)
    if (ethernet, hardware_kind, kind) != (_ARP, 1, _IPV4) or ip != socket.inet_aton(address):
        return None
    return str(sender.hex(":"))


def two_at_once(heard: Sequence[Heard], until: float | None = None) -> list[str]:
    """What shows that two announced at the same time: one of them is heard again after another was.

    Args:
        heard: in the order in which it was.
        until: when the broken node was started again; from then on, the address may go back to it.
    """
    found: list[str] = []
    over: dict[str, Heard] = {}
    last: Heard | None = None
    for one in heard:
        if until is not None and one.at >= until:
            break
        if last is not None and one.hardware != last.hardware:
            over[last.hardware] = last
            if one.hardware in over:
                silent_s = one.at - over[one.hardware].at
                found.append(f"{one.hardware} again after {silent_s:.3f} s, in which {last.hardware} spoke")
        last = one
    return found


def bridge() -> str:
    """The interface by which this machine is on the nodes' network."""
    network = json.loads(docker("network", "inspect", PROFILE))[0]
    return str((network["Options"] or {}).get("com.docker.network.bridge.name") or f"br-{network['Id'][:12]}")


def nodes_by_hardware() -> dict[str, str]:
    """The nodes' names by their hardware addresses."""
    names = docker("ps", f"--filter=name=^{PROFILE}(-m[0-9]+)?$", "--format={{.Names}}").split()
    found = {}
    for name in names:
        networks = json.loads(docker("inspect", "--format={{json .NetworkSettings.Networks}}", name))
        found[str(networks[PROFILE]["MacAddress"]).lower()] = name
    return found


def _listen(
    wire: socket.socket, address: str, heard: list[Heard], broken: list[OSError], over: threading.Event
) -> None:
    asked, frame = 0.0, question(address)
    try:
        while not over.is_set():
            if time.monotonic() - asked >= ASK_EVERY_S:
                asked = time.monotonic()
                wire.send(frame)
            with contextlib.suppress(TimeoutError):
                sender = claimant(wire.recv(256), address)
                if sender is not None:
                    heard.append(Heard(time.time(), sender))
    except OSError as error:
        broken.append(error)


@contextlib.contextmanager
def who_announces(lab: Lab) -> Iterator[list[Heard]]:
    """Listen in the background; what was heard grows meanwhile, and is whole at the end. Takes root."""
    if os.geteuid() != 0:
        pytest.skip("NOT PROVEN: only root can hear who announces the address; run the tests as root")
    address = lab.url().removeprefix("http://")
    assert re.fullmatch(r"[0-9.]+", address), address
    heard: list[Heard] = []
    broken: list[OSError] = []
    over = threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP)) as wire:
        name = bridge()
        wire.bind((name, _ARP))
        # What goes from node to node passes through the bridge, and is not meant for this machine.
        wire.setsockopt(
            _SOL_PACKET,
            _ADD_MEMBERSHIP,
            struct.pack("iHH8s", socket.if_nametoindex(name), _PROMISCUOUS, 0, b""),
        )
        wire.settimeout(ASK_EVERY_S / 2)
        listening = threading.Thread(
            target=_listen, args=(wire, address, heard, broken, over), name="who announces"
        )
        listening.start()
        try:
            yield heard
        finally:
            over.set()
            listening.join()
    assert broken == [], "listening ended early"
