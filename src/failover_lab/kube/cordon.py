"""Cordoning a node, and uncordoning those that bear the mark of who did it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.client import found, items
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import CORDONED_BY
from failover_lab.kube.objects import name_of, of

if TYPE_CHECKING:
    from failover_lab.kube.client import Api


def cordon(api: Api, name: str, uid: str, by: str) -> bool:
    """Cordon a node; gives back False where somebody else had done so, which is left as it is.

    Args:
        api: the cluster.
        name: of the node.
        uid: its own; one of the same name that has come in its place is none of ours. Empty: any.
        by: who does it.

    Raises:
        UserError: it is gone, or the API server said no.
    """
    try:
        node = found(api.request, f"/api/v1/nodes/{name}")
        if node is None or (uid and node["metadata"]["uid"] != uid):
            raise UserError(
                f"{name} has vanished since it was chosen: the cluster has "
                f"{'none' if node is None else 'another one'} of that name. Nothing was evicted from it"
            )
        if of(node, "spec", "unschedulable"):
            return False
        # One request: no moment in which the node is cordoned and nobody knows by whom.
        change = {
            "metadata": {"uid": node["metadata"]["uid"], "annotations": {CORDONED_BY: by}},
            "spec": {"unschedulable": True},
        }
        api.request("patch", f"/api/v1/nodes/{name}", change)
    except RefusedError as refusal:
        raise UserError(f"the cluster refused to cordon {name}: {refusal}") from refusal
    return True


def exists(api: Api, name: str) -> None:
    """Make sure of a node that is not cordoned here: of one that nobody knows, no pods are listed either.

    Raises:
        UserError: there is none of this name, or the API server said no.
    """
    try:
        node = found(api.request, f"/api/v1/nodes/{name}")
    except RefusedError as refusal:
        raise UserError(f"the cluster refused to tell of {name}: {refusal}") from refusal
    if node is None:
        raise UserError(f"there is no node {name}; give one that `kubectl get nodes` lists")


def uncordon(api: Api) -> list[str]:
    """Uncordon each node that bears the mark, and take it off; gives back their names.

    Raises:
        UserError: the API server said no.
    """
    done = []
    try:
        for node in items(api.request("get", "/api/v1/nodes")):
            if CORDONED_BY in of(node, "metadata", "annotations", default={}):
                name = name_of(node)
                change = {"metadata": {"annotations": {CORDONED_BY: None}}, "spec": {"unschedulable": None}}
                api.request("patch", f"/api/v1/nodes/{name}", change)
                done.append(name)
    except RefusedError as refusal:
        raise UserError(f"the cluster refused to uncordon its nodes: {refusal}") from refusal
    return done
