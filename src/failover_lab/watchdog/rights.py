"""Whether the API server grants what giving a node away takes: found out before anything is ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.errors import RefusedError
from failover_lab.watchdog.cluster import LEASES_IN

if TYPE_CHECKING:
    from failover_lab.watchdog.cluster import Api


@dataclass(frozen=True)
class _Rule:
    """What is to be done to one kind of thing; without a namespace, in the whole cluster."""

    resource: str
    verbs: tuple[str, ...]
    namespace: str = ""
    group: str = ""

    @property
    def where(self) -> str:
        return f" in {self.namespace}" if self.namespace else ""


def _rules(namespace: str) -> list[_Rule]:
    return [
        _Rule("nodes", ("get", "list", "patch")),
        _Rule("leases", ("list",), LEASES_IN, "coordination.k8s.io"),
        _Rule("pods", ("list", "delete"), namespace),
    ]


def missing(api: Api, namespace: str) -> str:
    """What is refused, in words; empty: nothing is, or the API server does not tell.

    Raises:
        RefusedError: it does not answer.
    """
    refused = []
    for rule in _rules(namespace):
        verbs = [verb for verb in rule.verbs if not _may(api, verb, rule)]
        if verbs:
            refused.append(f"{', '.join(verbs)} {rule.resource}{rule.where}")
    return "; ".join(refused)


def _may(api: Api, verb: str, rule: _Rule) -> bool:
    try:
        return api.may(verb, rule.resource, rule.namespace, rule.group)
    except RefusedError as error:
        if error.passing:
            raise
        # One that does not tell what it grants may grant all of it.
        return True


def refusal(refused: str, namespace: str) -> str:
    """A sentence on what is refused, with the roles that grant it."""
    cluster, *roles = _rules(namespace)
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
