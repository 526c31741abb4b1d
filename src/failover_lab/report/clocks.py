"""How long each part of the recovery took, beside what the settings predict, and why the two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab import instants
from failover_lab.observe import resources
from failover_lab.probe import marks
from failover_lab.report import rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.report.cluster import Cluster, Endpoint, PodLife
    from failover_lab.report.evidence import Fault
    from failover_lab.report.groups import Group
    from failover_lab.report.load import RunData

CLOCKS = ("address", "endpoints", "capacity", "stale_flows")
# The causes of a tail: whoever asked was still sent to a pod that was gone.
_TO_THE_DEAD = frozenset({"endpoint_dead", "stale_flow"})
# A difference greater than this share of what was predicted is to be explained.
WORTH_A_REASON = 0.3


def measured(
    data: RunData, seen: Cluster, fault: Fault, failures: list[tuple[Group, str]]
) -> dict[str, float | None]:
    """Seconds from the fault on; None for what was not seen.

    Args:
        data: the run's.
        seen: the cluster's account.
        fault: what was done.
        failures: each group of lost requests with its cause.
    """
    result: dict[str, float | None] = dict.fromkeys(CLOCKS)
    if fault.at is None:
        return result
    announcing = [node for at, node in seen.announcers if at <= fault.at]
    moved = [at for at, before, _ in seen.moves() if at >= fault.at and before == fault.node]
    # A node that did not announce may for a moment as it comes back, before it has found the others.
    if moved and announcing[-1:] == [fault.node]:
        result["address"] = round(moved[0] - fault.at, 3)
    states = [(at, state) for at, state in seen.endpoint_states(fault.at, float("inf")) if at >= fault.at]
    # Of a node, everything; where pods alone were killed, those.
    pods = (
        {entry["pod"] for entry in (data.play or {}).get("displaced") or []} if fault.kind == "pod" else None
    )

    def lost_ones(state: list[Endpoint]) -> bool:
        return any(e.ready and (e.node == fault.node if pods is None else e.pod in pods) for e in state)

    on_node = [at for at, state in states if lost_ones(state)]
    clean = next(
        (at for at, state in states if not on_node or at > on_node[0] if not lost_ones(state)),
        None,
    )
    if on_node and clean is not None:
        result["endpoints"] = round(clean - fault.at, 3)
    expected = data.settings["expected_replicas"]
    full = next(
        (
            at
            for at, state in states
            if expected and clean is not None and at >= clean
            if sum(e.ready for e in state) >= expected
        ),
        None,
    )
    if on_node and full is not None:
        result["capacity"] = round(full - fault.at, 3)
    if fault.kind in rules.SUDDEN and clean is not None:
        late = [
            group.last_due for group, cause in failures if cause in _TO_THE_DEAD and group.last_due > clean
        ]
        if late:
            result["stale_flows"] = round(max(late) - fault.at, 3)
    return result


def operator_s(data: RunData) -> float | None:
    """How long an operator took, from the call until the node's work was given away; None: not called."""
    called, done = data.mark(marks.OPERATOR_CALLED), data.mark(marks.OPERATOR_DONE)
    return None if called is None or done is None else round(done - called, 3)


def reasons(
    clocks: dict[str, float | None],
    predicted: dict[str, float | None],
    data: RunData,
    seen: Cluster,
    fault: Fault,
) -> dict[str, str | None]:
    """For each clock that is further from its prediction than a third or so: what the time was made of."""
    result: dict[str, str | None] = dict.fromkeys(CLOCKS)
    if fault.at is None:
        return result
    told: dict[str, Callable[[], str]] = {
        "address": lambda: _address(seen, fault),
        "endpoints": lambda: _endpoints(data, seen, fault, clocks),
        "capacity": lambda: _capacity(data, seen, fault),
        "stale_flows": lambda: "these are the connections that were asked of a pod that was gone by then",
    }
    for name, tell in told.items():
        was, should = clocks[name], predicted.get(name)
        if was is not None and should is not None and abs(was - should) > WORTH_A_REASON * should:
            result[name] = tell()
    return result


def _after(at: float, fault: Fault) -> str:
    return f"{at - (fault.at or at):+.1f}\u00a0s"


def _address(seen: Cluster, fault: Fault) -> str:
    at, _, node = next(move for move in seen.moves() if move[0] >= (fault.at or 0.0))
    return f"the speakers gave the node up, and {node} announced the address at {_after(at, fault)}"


def _last_sign(data: RunData, fault: Fault) -> float | None:
    """The last renewal of the lost node's lease."""
    stamps = [
        instants.parse(change.facts["stamped"])
        for change in data.changes
        if change.kind == resources.LEASE and change.name == fault.node and change.facts.get("stamped")
    ]
    # Once it is back, it renews again.
    return max((stamp for stamp in stamps if stamp <= (fault.at or 0.0) + 1.0), default=None)


def _not_ready(seen: Cluster, fault: Fault) -> float | None:
    states = seen.node_states.get(fault.node or "", [])
    return next((at for at, state in states if state != "ready" and at >= (fault.at or 0.0)), None)


def _endpoints(data: RunData, seen: Cluster, fault: Fault, clocks: dict[str, float | None]) -> str:
    parts = []
    sign, lost, clean = _last_sign(data, fault), _not_ready(seen, fault), clocks["endpoints"]
    if sign is not None:
        parts.append(f"the node's last sign of life was at {_after(sign, fault)}")
    if lost is not None and clean is not None and lost - (fault.at or 0.0) <= clean:
        parts.append(f"it was declared not ready at {_after(lost, fault)}")
    else:
        parts.append("its pods were gone before it was declared not ready")
    if clean is not None:
        parts.append(f"its endpoints were out of the list at +{clean:.1f}\u00a0s")
    return ", ".join(parts)


def _capacity(data: RunData, seen: Cluster, fault: Fault) -> str:
    begin = fault.at or 0.0
    names = {entry["pod"] for entry in (data.play or {}).get("replacements") or []}
    fresh: list[PodLife] = [
        life for life in seen.pods.values() if life.name in names and life.seen >= begin and life.ready
    ]
    if not fresh:
        return "the replacements were not observed"
    last = max(fresh, key=lambda life: life.ready or 0.0)
    parts = []
    lost = _not_ready(seen, fault)
    if lost is not None and lost <= last.seen:
        parts.append(f"the node was declared not ready at {_after(lost, fault)}")
    parts.append(f"the last replacement, {last.name}, was made at {_after(last.seen, fault)}")
    parts.append(f"it was ready {(last.ready or last.seen) - last.seen:.1f}\u00a0s later")
    return ", ".join(parts)
