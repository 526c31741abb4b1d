"""Whether the API server grants what giving a node away takes: found out before anything is ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube import rights
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.rights import Right
from failover_lab.watchdog.cluster import LEASES_IN

if TYPE_CHECKING:
    from failover_lab.watchdog.cluster import Api


def _rights(namespace: str) -> list[Right]:
    return [
        Right("nodes", ("get", "list", "patch")),
        Right("leases", ("list",), LEASES_IN, "coordination.k8s.io"),
        Right("pods", ("list", "delete"), namespace),
    ]


def missing(api: Api, namespace: str) -> str:
    """What is refused, in words; empty: nothing is, or the API server does not tell.

    Raises:
        RefusedError: it does not answer.
    """
    return rights.missing(api.may, _rights(namespace))


def refusal(refused: str, namespace: str) -> str:
    """A sentence on what is refused, with the roles that grant it."""
    cluster, *roles = _rights(namespace)
    inner = ", and ".join(f"a Role{r.where} to {', '.join(r.verbs)} {r.resource}" for r in roles)
    return (
        f"the API server would refuse to {refused}, and so no node could be given away; have this user bound "
        f"to a ClusterRole to {', '.join(cluster.verbs)} {cluster.resource}, {inner}: "
        "docs/how-to/watchdog.md has all of them"
    )


def insist(api: Api, namespace: str) -> None:
    """Complain unless all is granted.

    Raises:
        UserError: something is not, and which roles are needed; or the API server does not answer.
    """
    try:
        refused = missing(api, namespace)
    except RefusedError as error:
        raise UserError(f"the cluster cannot be asked what it grants: {error.account}") from error
    if refused:
        raise UserError(refusal(refused, namespace))
