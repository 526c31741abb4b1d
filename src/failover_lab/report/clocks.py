"""How long each part of the recovery took, from the instant at which the fault struck."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from failover_lab.run import marks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_lab.report.cluster import Cluster, Endpoint
    from failover_lab.report.fault import Fault
    from failover_lab.report.groups import Group
    from failover_lab.report.load import RunData

CLOCKS = ("address", "endpoints", "capacity", "stale_flows")
# The causes of a tail: whoever asked was still sent to a pod that was gone.
_TO_THE_DEAD = frozenset({"endpoint_dead", "stale_flow"})


def address_move(seen: Cluster, fault: Fault) -> tuple[float, str, str] | None:
    """When the address left what was struck for the first time after the fault: (instant, from, to)."""
    moves = (move for move in seen.moves() if move[0] >= (fault.at or 0.0) and move[1] in fault.target)
    return next(moves, None)


def lost_endpoints(data: RunData, seen: Cluster, fault: Fault) -> list[tuple[float, set[str]]]:
    """What the fault took that was listed as ready, at each change of the list from the fault on."""
    # Of a node, everything; where pods alone were killed, those.
    play = data.play or {}
    displaced = {entry["pod"] for of in ("displaced", "struck") for entry in play.get(of) or []}
    pods = displaced if fault.what.spares_node else None
    return [
        (
            at,
            {e.pod for e in state if e.ready and (e.node in fault.target if pods is None else e.pod in pods)},
        )
        for at, state in seen.endpoint_states(fault.at or 0.0, float("inf"))
    ]


def clean_since(listed: list[tuple[float, set[str]]]) -> float | None:
    """From when on nothing that the fault took was listed, to the microsecond; None: some of it stayed.

    Args:
        listed: as from ``lost_endpoints``.
    """
    first = next((at for at, pods in listed if pods), None)
    return next((at for at, pods in listed if not pods and (first is None or at > first)), None)


def served_again(data: RunData, seen: Cluster, fault: Fault) -> float | None:
    """When all that had been listed as the fault struck was so again; None: that was not seen."""
    listed = lost_endpoints(data, seen, fault)
    clean = clean_since(listed)
    if clean is None:
        return None
    before = next((pods for _, pods in listed if pods), set())
    return _since(((at, pods >= before) for at, pods in listed if at > clean), _unsettled_until(data, fault))


def _unsettled_until(data: RunData, fault: Fault) -> float:
    """Until when what is well again may cease to be so by the same fault.

    Of a pod whose containers start again where they are the kubelet may say for a moment that it is ready,
    by what it knew of the ones before. A pod that takes another's place knows of none.
    """
    if not fault.what.in_place:
        return -math.inf
    healed = data.mark(marks.HEALED)
    return math.inf if healed is None else healed


def _since(states: Iterable[tuple[float, bool]], unsettled_until: float) -> float | None:
    """From when on it held, and did not cease until then; None: it never did."""
    since = None
    for at, holds in states:
        if holds:
            since = at if since is None else since
        elif at < unsettled_until:
            since = None
    return since


def late(failures: list[tuple[Group, str]], clean: float) -> list[float]:
    """Due times of requests that were sent to a pod that was gone, though no list named it any more."""
    return [
        record.due
        for group, cause in failures
        if cause in _TO_THE_DEAD
        for record in group.records
        if record.due > clean
    ]


def between(data: RunData, seen: Cluster, fault: Fault) -> dict[str, list[float] | None]:
    """Of a clock that ended while the observer was cut off: from when to when that may have been."""
    result: dict[str, list[float] | None] = dict.fromkeys(CLOCKS)
    if fault.at is None:
        return result
    move, clean = address_move(seen, fault), clean_since(lost_endpoints(data, seen, fault))
    whole = None if clean is None else _whole(data, seen, fault, clean)
    for name, at, of in (
        ("address", None if move is None else move[0], seen.gap_of_moves),
        ("endpoints", clean, seen.gap_of_slices),
        ("capacity", whole, seen.gap_of_slices),
    ):
        gap = None if at is None else of(at)
        if at is not None and gap is not None:
            result[name] = [round(max(0.0, gap.begin - fault.at), 3), round(at - fault.at, 3)]
    return result


def _whole(data: RunData, seen: Cluster, fault: Fault, clean: float) -> float | None:
    """When as many were ready as there should be, from when the list was clean on."""
    expected = data.settings["expected_replicas"]
    states = seen.endpoint_states(clean, float("inf"))

    def ready(state: list[Endpoint]) -> int:
        # A pod may be behind two Services, or have an address of each family.
        return len({endpoint.pod or index for index, endpoint in enumerate(state) if endpoint.ready})

    whole = ((at, bool(expected) and ready(state) >= expected) for at, state in states)
    return _since(whole, _unsettled_until(data, fault))


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
    move = address_move(seen, fault)
    # A node that did not announce may for a moment as it comes back, before it has found the others.
    if move is not None and seen.announcer(fault.at) in fault.target:
        result["address"] = round(move[0] - fault.at, 3)
    listed = lost_endpoints(data, seen, fault)
    clean = clean_since(listed)
    if clean is None:
        return result
    if any(pods for _, pods in listed):
        result["endpoints"] = round(clean - fault.at, 3)
        if (whole := _whole(data, seen, fault, clean)) is not None:
            result["capacity"] = round(whole - fault.at, 3)
    if fault.what.takes_node and (dues := late(failures, clean)):
        result["stale_flows"] = round(max(dues) - fault.at, 3)
    return result


def known(
    measured_s: dict[str, float | None], between_s: dict[str, list[float] | None]
) -> dict[str, float | None]:
    """The clocks whose end was seen as it came; that of a gap's end is the instant of the next look."""
    return {name: None if between_s[name] else took for name, took in measured_s.items()}


def operator_s(data: RunData) -> float | None:
    """How long an operator took, from the call until the node's work was given away; None: not called."""
    called, done = data.mark(marks.OPERATOR_CALLED), data.mark(marks.OPERATOR_DONE)
    return None if called is None or done is None else round(done - called, 3)
