"""Which node announces the address: this machine's kernel knows best, MetalLB's objects come second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failover_lab.kube import announcer

HEAD = "IP address       HW type     Flags       HW address            Mask     Device\n"
SITE = {
    "metadata": {"name": "site"},
    "status": {"loadBalancer": {"ingress": [{"ip": "127.9.0.200"}]}},
}


def node(name: str, address: str) -> dict[str, Any]:
    addresses = [
        {"type": "Hostname", "address": name},
        {"type": "InternalIP", "address": address},
    ]
    return {"metadata": {"name": name}, "status": {"addresses": addresses}}


NODES = [node("lab", "127.9.0.2"), node("lab-m02", "127.9.0.3")]


def table(path: Path, **hardware: str) -> Path:
    rows = [f"127.9.0.{last[1:]} 0x1 0x2 {at} * br-1\n" for last, at in hardware.items()]
    path.write_text(HEAD + "".join(rows) + "127.9.0.77 0x1 0x0 00:00:00:00:00:00 * br-1\n")
    return path


def test_the_kernel_s_table(tmp_path: Path) -> None:
    path = table(tmp_path / "arp", _2="aa", _3="bb", _200="bb")
    assert announcer.here("127.9.0.200", NODES, path) == "lab-m02"
    assert announcer.here("127.9.0.77", NODES, path) is None, "it was asked for and nobody answered"
    assert announcer.here("127.9.0.200", NODES[:1], path) is None, "no node of ours"
    assert announcer.here("127.9.0.200", NODES, tmp_path / "none") is None, "not Linux"


class MetalLB:
    """What its status objects say."""

    def __init__(self, *nodes: str) -> None:
        self._nodes = nodes

    def announcers(self, _namespace: str, service: str) -> list[str]:
        assert service == "site"
        return list(self._nodes)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (("lab-m09", "lab"), "lab"),  # of a node that was replaced, the object stays
        (("lab-m09",), None),
        ((), None),
    ],
)
def test_metallb_s_own_account(said: tuple[str, ...], found: str | None) -> None:
    assert announcer.announcer(MetalLB(*said), NODES, "site", SITE) == found  # type: ignore[arg-type]


def test_the_kernel_is_believed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        announcer, "here", lambda address, _nodes: "lab" if address == "127.9.0.200" else None
    )
    assert announcer.announcer(MetalLB("lab-m02"), NODES, "site", SITE) == "lab"  # type: ignore[arg-type]
