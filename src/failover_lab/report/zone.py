"""Where a zone was lost: which pods had to fit where, and how Kubernetes' limits held evictions back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from failover_lab.report.cluster import Cluster
    from failover_lab.report.fault import Fault
    from failover_lab.report.load import RunData


def described(data: RunData, seen: Cluster, fault: Fault) -> dict[str, Any] | None:
    """What the report says of it; None: no zone was lost."""
    if not fault.target.zone:
        return None
    play = data.play or {}
    displaced, replacements = (play.get(of) or [] for of in ("displaced", "replacements"))
    stopped: dict[str, float | None] = {}
    for node in fault.target.nodes:
        lives = [seen.life(entry["uid"]) for entry in displaced if entry.get("node") == node]
        told = [life.told_to_stop for life in lives if life is not None and life.told_to_stop is not None]
        # A node's pods are told together.
        stopped[node] = round(min(told) - fault.at, 3) if told and fault.at is not None else None
    return {
        "name": fault.target.zone,
        "nodes": list(fault.target.nodes),
        "carried": sorted(str(entry["pod"]) for entry in displaced),
        "now_on": sorted({str(entry["node"]) for entry in replacements if entry.get("node")}),
        "evicted_s": stopped,
        "eviction_wait_s": play.get("eviction_wait_s"),
    }
