"""Which node leads: of several control planes one at a time does the work of each part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.kube.detection import PROGRAM
from failover_lab.kube.objects import name_of, of

if TYPE_CHECKING:
    from collections.abc import Container

    from failover_lab.kube.objects import Object

MANAGER, SCHEDULER = PROGRAM, "kube-scheduler"
PROGRAMS = (MANAGER, SCHEDULER)
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
# Of a Lease that does not say: the programs' own.
_LASTS_S = 15.0


@dataclass(frozen=True)
class Leader:
    """Who leads.

    Attributes:
        node: whose instance does; empty: nobody says.
        lasts_s: without a renewal for so long, another one takes over.
    """

    node: str = ""
    lasts_s: float = _LASTS_S


def holder_of(lease: Object) -> str:
    """The node that a Lease is held by: its holder is called ``NODE_UID``."""
    return str(of(lease, "spec", "holderIdentity", default="")).rpartition("_")[0]


def leaders_of(leases: list[Object]) -> dict[str, Leader]:
    """Who leads in each of ``PROGRAMS``, as far as the Leases of kube-system say."""
    return dict.fromkeys(PROGRAMS, Leader()) | {
        name_of(lease): Leader(
            holder_of(lease), float(of(lease, "spec", "leaseDurationSeconds", default=_LASTS_S))
        )
        for lease in leases
        if name_of(lease) in PROGRAMS
    }


def takeovers_of(leaders: dict[str, Leader], nodes: Container[str]) -> Object:
    """For how long the lease of each program lasts that one of these nodes leads in; 0: it does not.

    Args:
        leaders: as from ``leaders_of``.
        nodes: that are to be lost.
    """
    return {
        f"{name}_s": leaders[program].lasts_s if leaders[program].node in nodes else 0.0
        for name, program in (("manager", MANAGER), ("scheduler", SCHEDULER))
    }
