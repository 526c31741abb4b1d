"""Who holds the address of a control plane of several nodes: no two of them are of one rank."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).parents[3]
MANAGER = REPO / "roles" / "toolchain" / "files" / "images" / "keepalived" / "manager"
SHARED = "192.168.49.254"


def configured(tmp_path: Path, *addresses: str) -> str:
    """What keepalived is told on a node with these addresses; a shared one has been moved there before."""
    tmp_path.mkdir(exist_ok=True)
    conf = tmp_path / "keepalived.conf"
    lines = "".join(f"9: eth0    inet {one} scope global eth0\\\\n" for one in addresses)
    for name, does in (("ip", f"printf '{lines}'"), ("keepalived", ":")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        program.chmod(0o755)
    script = MANAGER.read_text(encoding="utf-8").replace("/run/keepalived.conf", str(conf))
    subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "address": SHARED, "vip_interface": "eth0"},
        check=True,
    )
    return conf.read_text(encoding="utf-8")


def rank(text: str) -> int:
    return int(text.partition("priority ")[2].split()[0])


def test_three_nodes_in_a_row_are_of_three_ranks_far_apart(tmp_path: Path) -> None:
    ranks = [rank(configured(tmp_path, f"192.168.49.{number}/24")) for number in (2, 3, 4)]
    assert sorted(ranks) == [50, 150, 250]


@pytest.mark.parametrize("first", ["192.168.49.3/24", f"{SHARED}/32"])
def test_the_shared_address_is_not_its_own(tmp_path: Path, first: str) -> None:
    other = {"192.168.49.3/24", f"{SHARED}/32"} - {first}
    text = configured(tmp_path, first, *other)
    assert rank(text) == rank(configured(tmp_path / "alone", "192.168.49.3/24"))
    assert f"{SHARED}/32 dev eth0" in text
