"""What a node shows of what was done to it: names that the table of fault kinds goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_lab.nodes.driver import ENDED

if TYPE_CHECKING:
    from collections.abc import Mapping

# Who shows a symptom, in the order in which they are asked: the cluster, by a mark on the node's object; the
# engine, by the state of the node's container; the node itself, which answers once its container is well.
CLUSTER, ENGINE, NODE = SHOWN_BY = ("cluster", "engine", "node")
SYMPTOMS = {
    "cordoned": CLUSTER,
    "rolled_out": CLUSTER,
    "paused": ENGINE,
    # Or it was started and not told where the control plane is: a run may have been killed between the two.
    "exited": ENGINE,
    "cut_off": NODE,
    "no_kubelet": NODE,
    "lossy": NODE,
    "slow": NODE,
}
#: What brings a node into such a state, and out of it again: actions of the role ``node``, with hyphens.
VERBS = {
    "paused": ("pause", "resume"),
    "exited": ("kill", "start"),
    "cut_off": ("cut-off", "join"),
    "no_kubelet": ("stop-kubelet", "start-kubelet"),
    "lossy": ("drop-some", "drop-none"),
    "slow": ("slow-down", "speed-up"),
}
_NOT_ACTIVE = ("inactive", "failed")


def of(row: Mapping[str, Any]) -> list[str]:
    """The symptoms that a row of ``nodes`` shows; what the cluster shows is not in it."""
    shown = {
        "paused": row["state"] == "paused",
        "exited": row["state"] in ENDED or row.get("nameless"),
        "cut_off": row.get("incoming") or row.get("outgoing"),
        "no_kubelet": row.get("kubelet") in _NOT_ACTIVE,
        "lossy": row.get("lossy"),
        "slow": row.get("slow"),
    }
    return [name for name, is_shown in shown.items() if is_shown]
