"""Which container is which node of a cluster, proven by what both say of themselves.

A name proves nothing: every cluster of kind that nobody has named calls its first node alike, on whatever
machine it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab.kube.objects import internal_address, name_of, of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_lab.kube.objects import Object

#: What a kubelet tells of its machine is read from here.
MACHINE_ID = "/etc/machine-id"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Member:
    """A node as its cluster knows it.

    Attributes:
        address: within the cluster.
        machine_id: as its kubelet has told it last.
        boot_id: of its kernel, which all containers of a machine share.
    """

    name: str
    address: str
    machine_id: str
    boot_id: str


@dataclass(frozen=True)
class Candidate:
    """A container that may be a node.

    Attributes:
        addresses: that it has now; one that has ended has none.
        here: whether its processes are seen to be this machine's own kernel's.
    """

    id: str
    name: str
    addresses: frozenset[str]
    here: bool = False


def member(node: Object) -> Member:
    """What the API says of a node."""
    info = ("status", "nodeInfo")
    return Member(
        name_of(node),
        internal_address(node),
        str(of(node, *info, "machineID", default="")),
        str(of(node, *info, "bootID", default="")),
    )


def own_boot_id() -> str:
    """That of this machine's kernel; empty where it has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def proven(
    node: Member,
    candidates: Iterable[Candidate],
    *,
    hostname: Callable[[str], str],
    machine_id: Callable[[str], str],
    boot_id: str,
) -> Candidate | None:
    """The container that is the node; None: nobody can say so.

    It is called like the node, and has the node's address or its machine's id, which survives in one that has
    ended; and where its kernel is known, it is the node's.

    Args:
        node: as the cluster knows it.
        candidates: the engine's containers.
        hostname: of a container, by its id.
        machine_id: of a container, by its id; empty if it has none.
        boot_id: of this machine's kernel.
    """
    every = list(candidates)
    for one in every:
        has_address = bool(node.address) and node.address in one.addresses
        if one.name != node.name and not (has_address and hostname(one.id) == node.name):
            continue
        if one.here and boot_id and node.boot_id and node.boot_id != boot_id:
            # Another machine's, where the same was made: names and addresses are equal there.
            continue
        if has_address or (node.machine_id and machine_id(one.id) == node.machine_id):
            return one
    return None
