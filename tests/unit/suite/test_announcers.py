"""Whether two announced at once: judged from who was heard, and when."""

from __future__ import annotations

import struct

import pytest
from tests.cluster import announcers
from tests.cluster.announcers import Heard, two_at_once

SERVICE = "192.168.49.200"
NAMES = {"A": "02:42:c0:a8:31:03", "B": "02:42:c0:a8:31:04", "C": "02:42:c0:a8:31:02"}


def heard(order: str) -> list[Heard]:
    """One a second, from second 0 on."""
    return [Heard(float(at), NAMES[name]) for at, name in enumerate(order)]


@pytest.mark.parametrize("order", ["", "A", "AAAA", "AABBB", "AABBCC"])
def test_one_after_the_other_is_a_move(order: str) -> None:
    assert two_at_once(heard(order)) == []


@pytest.mark.parametrize(("order", "times"), [("ABA", 1), ("AABBAB", 2), ("ABABAB", 4), ("ABCA", 1)])
def test_one_who_is_heard_again_never_stopped(order: str, times: int) -> None:
    assert len(two_at_once(heard(order))) == times


def test_it_says_who_and_when() -> None:
    assert two_at_once(heard("AABBA")) == [f"{NAMES['A']} again after 3.000 s, in which {NAMES['B']} spoke"]


def test_the_address_may_go_back_to_a_node_that_was_started_again() -> None:
    assert two_at_once(heard("AABBAA"), until=4.0) == []
    assert two_at_once(heard("AABABBAA"), until=6.0) != []


def arp(operation: int, sender: str, ip: bytes) -> bytes:
    mac = bytes.fromhex(sender.replace(":", ""))
    head = struct.pack("!6s6sH", b"\xff" * 6, mac, 0x0806)
    return head + struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, mac, ip, bytes(6), ip) + bytes(18)


SERVICE_BYTES = bytes([192, 168, 49, 200])


@pytest.mark.parametrize("operation", [1, 2])
def test_an_answer_and_an_announcement_name_the_sender(operation: int) -> None:
    frame = arp(operation, NAMES["B"], SERVICE_BYTES)
    assert announcers.claimant(frame, SERVICE) == NAMES["B"]


def test_what_says_nothing_of_the_address() -> None:
    assert announcers.claimant(arp(2, NAMES["A"], bytes([192, 168, 49, 2])), SERVICE) is None
    assert announcers.claimant(arp(2, NAMES["A"], SERVICE_BYTES)[:30], SERVICE) is None
    another = arp(2, NAMES["A"], SERVICE_BYTES).replace(b"\x08\x06", b"\x86\xdd", 1)
    assert announcers.claimant(another, SERVICE) is None
    # The question itself claims nothing.
    assert announcers.claimant(announcers.question(SERVICE), SERVICE) is None


def test_the_question_is_one() -> None:
    frame = announcers.question(SERVICE)
    assert frame[:6] == b"\xff" * 6
    assert frame[12:22] == bytes.fromhex("08060001080006040001")
    assert frame[-4:] == SERVICE_BYTES
    assert len(frame) == 42
