"""Whether whoever asks may do what a kind of fault takes: found out before anything is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.application import KINDS, ROLLABLE
from failover_lab.kube.rights import Right

if TYPE_CHECKING:
    from collections.abc import Sequence

    from failover_lab.faults.kinds import Kind
    from failover_lab.kube.application import Owner
    from failover_lab.kube.cluster import Cluster


def needed(kind: Kind, namespace: str, owners: Sequence[Owner]) -> list[Right]:
    """What breaking it so, and undoing it, takes; what the watchdog takes it asks for itself.

    Args:
        kind: of the fault.
        namespace: the application's.
        owners: of its pods.
    """
    if kind.evicts:
        return [Right("nodes", ("patch",)), Right("pods/eviction", ("create",))]
    if kind.takes == "pods":
        return [Right("pods", ("delete",), namespace)]
    if kind.takes == "application":
        kinds = sorted({KINDS[owner.kind] for owner in owners if owner.kind in ROLLABLE})
        return [Right(plural, ("patch",), namespace, "apps") for plural in kinds]
    return []


def insist(cluster: Cluster, kind: Kind, namespace: str, owners: Sequence[Owner], context: str) -> None:
    """Complain unless all of it is granted.

    Raises:
        UserError: something is not.
        RefusedError: the API server does not answer.
    """
    refused = cluster.missing(needed(kind, namespace, owners))
    if refused:
        raise UserError(
            f"The user of the context {context} may not {refused}: fault_kind={kind.name} takes that. "
            "docs/how-to/rights.yml has the roles for it."
        )
