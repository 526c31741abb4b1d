"""The watchdog's mark on a node: one patch puts it on, one takes it off, and both touch only what is ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from failover_lab.kube.names import EXCLUDE, OUT_OF_SERVICE, OUT_OF_SERVICE_BY
from failover_lab.kube.objects import of

if TYPE_CHECKING:
    from failover_lab.kube.objects import Object

TAINT = {"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}
_CORDON, _TAINT, _LABEL = "cordon", "taint", "label"


def _is_ours(taint: Object) -> bool:
    return {key: taint.get(key) for key in TAINT} == TAINT


def _taints(node: Object) -> list[Object]:
    return list(of(node, "spec", "taints", default=[]))


def _owned(node: Object) -> list[str] | None:
    """What the mark says was changed; None: there is no mark."""
    mark = of(node, "metadata", "annotations", OUT_OF_SERVICE_BY)
    if mark is None:
        return None
    try:
        changed = json.loads(mark)["changed"]
    except (ValueError, KeyError, TypeError):
        # Somebody has edited it. That we marked the node is sure; a taint of this meaning nobody else puts
        # on.
        return [_TAINT]
    return [str(word) for word in changed] if isinstance(changed, list) else [_TAINT]


def marking(node: Object, by: str, since: str) -> Object | None:
    """The patch that marks a node out of service; None: it bears the whole mark already.

    What somebody else has done before (cordoned it, say) is not claimed, and will not be taken back.

    Args:
        node: as the API server has it now; the patch fails with 409 where it has changed since.
        by: who does it, for those who read the mark.
        since: the instant, as text.
    """
    taints = _taints(node)
    labels = of(node, "metadata", "labels", default={})
    to_do = []
    if not of(node, "spec", "unschedulable"):
        to_do.append(_CORDON)
    if not any(_is_ours(taint) for taint in taints):
        to_do.append(_TAINT)
    if EXCLUDE not in labels:
        to_do.append(_LABEL)
    owned = _owned(node)
    if owned is not None and not to_do:
        return None
    mark = {"by": by, "since": since, "changed": sorted({*(owned or ()), *to_do})}
    meta: Object = {
        "resourceVersion": node["metadata"]["resourceVersion"],
        "annotations": {OUT_OF_SERVICE_BY: json.dumps(mark)},
    }
    spec: Object = {"unschedulable": True}
    if _TAINT in to_do:
        spec["taints"] = [*taints, TAINT]
    if _LABEL in to_do:
        meta["labels"] = {EXCLUDE: ""}
    return {"metadata": meta, "spec": spec}


def unmarking(node: Object) -> Object | None:
    """The patch that takes the mark off and puts back what it says was changed; None: there is no mark.

    Args:
        node: as the API server has it now; the patch fails with 409 where it has changed since.
    """
    owned = _owned(node)
    if owned is None:
        return None
    meta: Object = {
        "resourceVersion": node["metadata"]["resourceVersion"],
        "annotations": {OUT_OF_SERVICE_BY: None},
    }
    spec: Object = {}
    if _LABEL in owned:
        meta["labels"] = {EXCLUDE: None}
    if _CORDON in owned:
        spec["unschedulable"] = None
    if _TAINT in owned:
        spec["taints"] = [taint for taint in _taints(node) if not _is_ours(taint)] or None
    return {"metadata": meta, "spec": spec}
