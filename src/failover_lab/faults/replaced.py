"""Who comes in the place of a pod that a fault takes; what cannot be proven of that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab.kube.application import KINDS, keeper_of
from failover_lab.kube.objects import controller_of, is_daemons, is_orphan, name_of

if TYPE_CHECKING:
    from failover_lab.faults.kinds import Kind
    from failover_lab.kube.objects import Object


def is_held(pod: Object, fault: Kind, recovery: str) -> bool:
    """Whether its place stays empty while its node is lost: nobody knows that it has ended."""
    controller = controller_of(pod) or {}
    return fault.loses_node and recovery == "automatic" and controller.get("kind") == "StatefulSet"


def never(pod: Object, fault: Kind, recovery: str) -> str:
    """Why nobody comes in a struck pod's place; empty: somebody does, or it keeps it itself."""
    if not fault.replaces_pods:
        return ""
    if is_orphan(pod):
        return f"{name_of(pod)} has no controller: nobody comes in its place"
    if is_daemons(pod) and fault.loses_node:
        return f"{name_of(pod)} belongs to a DaemonSet: nobody comes in its place before its node is back"
    if is_held(pod, fault, recovery):
        return f"{name_of(pod)} belongs to a StatefulSet: nobody comes in its place before its node is back"
    return ""


def unknown(pod: Object) -> str:
    """That its controller is of a kind of which nobody here can say what comes in its place; or empty."""
    kind, name = keeper_of(pod)
    if kind in KINDS or is_orphan(pod):
        return ""
    return (
        f"{name_of(pod)} belongs to the {kind} {name}, which does not say "
        "here how many pods it wants: as many as before are waited for"
    )
