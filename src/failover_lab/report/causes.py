"""Why requests failed, as far as the evidence goes."""

from __future__ import annotations

import collections
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab import instants
from failover_lab.probe.records import REUSED, Outcome, Record

if TYPE_CHECKING:
    from failover_lab.report.cluster import Cluster, PodLife

SUDDEN = frozenset({"kill", "freeze", "partition", "kubelet"})
# What the cluster says and what a user sees need not come in this order; so far apart they may still belong
# together: an announcement takes a moment to reach the neighbours, a watch a moment to reach the observer.
_MARGIN_S = 2.0
# After a pod is gone from the list of endpoints, kube-proxy needs up to a second and connections some more.
_AFTER_GONE_S = 3.0
_GROUP_GAP_S = 2.0
_STALE_FLOW_S = 180.0
_NO_ANSWER = frozenset(
    {
        Outcome.REFUSED,
        Outcome.UNREACHABLE,
        Outcome.RESET,
        Outcome.CONNECT_TIMEOUT,
        Outcome.READ_TIMEOUT,
        Outcome.CLOSED_EARLY,
    }
)


@dataclass(frozen=True)
class Fault:
    """What was done; ``at`` is None where nothing was."""

    kind: str | None
    node: str | None
    at: float | None


@dataclass(frozen=True)
class Group:
    """Failures of one kind that came together.

    Attributes:
        pods: who answered wrongly, or who was at the other end of a reused connection, with counts.
    """

    records: list[Record]
    pods: dict[str, int]

    @property
    def first(self) -> Record:
        """The earliest by due time; its outcome and kind are everyone's."""
        return self.records[0]

    @property
    def began(self) -> float:
        """The first due time."""
        return self.first.due

    @property
    def ended(self) -> float:
        """When the last one was known to have failed."""
        return max(record.done for record in self.records)

    @property
    def last_due(self) -> float:
        """The last due time."""
        return self.records[-1].due


def groups(records: list[Record]) -> list[Group]:
    """Failures in groups: same outcome, same kind of connection, less than two seconds apart."""
    open_groups: dict[tuple[str, Outcome], list[Record]] = {}
    result: list[list[Record]] = []
    # Which pod a reused connection led to: known from its earlier answers.
    behind: dict[int, str] = {}
    other_end: dict[int, str] = {}
    for record in records:
        if record.kind == REUSED and record.local_port is not None:
            if record.pod:
                behind[record.local_port] = record.pod
            elif record.prior:
                other_end[record.number] = behind.get(record.local_port, "")
        if not record.failed:
            continue
        key = (record.kind, record.outcome)
        current = open_groups.get(key)
        if current is None or record.due - current[-1].due > _GROUP_GAP_S:
            current = open_groups[key] = []
            result.append(current)
        current.append(record)
    found = []
    for members in result:
        pods = collections.Counter(m.pod or other_end.get(m.number, "") for m in members)
        pods.pop("", None)
        found.append(Group(members, dict(pods.most_common())))
    return sorted(found, key=lambda group: group.began)


Finding = tuple[str, str]


def attribute(group: Group, cluster: Cluster, fault: Fault) -> Finding:
    """The cause and the sentence that supports it; ``unexplained`` where nothing does."""
    rules: tuple[Callable[[Group, Cluster, Fault], Finding | None], ...] = (
        _bad_answer,
        _stale_reused,
        _no_endpoint,
        _address_moved,
        _endpoint_dead,
        _stale_flow,
        _shutdown_race,
        _not_serving_yet,
        _endpoint_refuses,
    )
    for rule in rules:
        finding = rule(group, cluster, fault)
        if finding is not None:
            return finding
    return "unexplained", "nothing that the cluster reported goes with it"


def _clock(at: float) -> str:
    return instants.text(at)[11:23]


def _stopping(cluster: Cluster, begin: float, end: float) -> list[PodLife]:
    """Pods that were being stopped at some time between these instants."""
    return [
        life
        for life in cluster.pods.values()
        if life.told_to_stop is not None
        and life.told_to_stop - _MARGIN_S <= end
        and (life.gone is None or begin <= life.gone + _AFTER_GONE_S)
    ]


def _bad_answer(group: Group, _cluster: Cluster, _fault: Fault) -> Finding | None:
    if group.first.outcome not in {Outcome.WRONG_STATUS, Outcome.WRONG_BODY}:
        return None
    statuses = sorted({str(r.status) for r in group.records if r.status is not None})
    who = ", ".join(group.pods) or "a server that did not say who it was"
    what = f"status {', '.join(statuses)}" if statuses else "something that is no HTTP answer"
    return "bad_answer", f"{who} answered with {what}"


def _stale_reused(group: Group, cluster: Cluster, _fault: Fault) -> Finding | None:
    first = group.first
    if first.kind != REUSED or first.outcome not in {Outcome.RESET, Outcome.CLOSED_EARLY}:
        return None
    # A connection that broke within an answer was not stale: somebody was at work at the other end.
    if not all(record.prior and record.detail != "after_part" for record in group.records):
        return None
    stopping = {life.name: life for life in _stopping(cluster, group.began, group.ended)}
    known = [stopping[name] for name in group.pods if name in stopping]
    if known:
        why = ", ".join(f"{life.name} (told to stop at {_clock(life.told_to_stop or 0)})" for life in known)
        return (
            "stale_reused_connection",
            f"the connection led to {why} and was closed as the request was sent",
        )
    who = f" by {', '.join(group.pods)}" if group.pods else ""
    return (
        "stale_reused_connection",
        f"the connection had served before and was closed{who} as the request was sent",
    )


def _no_endpoint(group: Group, cluster: Cluster, _fault: Fault) -> Finding | None:
    if group.first.outcome not in _NO_ANSWER:
        return None
    for at, state in cluster.endpoint_states(group.began, group.ended):
        # Endpoints that are stopping still serve when none is ready; only without either is nobody there.
        if not any(endpoint.ready or endpoint.terminating for endpoint in state):
            return "no_endpoint", f"at {_clock(at)} the Service had no endpoint at all"
        if not any(endpoint.ready for endpoint in state):
            return "no_endpoint", f"at {_clock(at)} the Service had no ready endpoint"
    return None


def _address_moved(group: Group, cluster: Cluster, _fault: Fault) -> Finding | None:
    if group.first.outcome not in _NO_ANSWER:
        return None
    for at, before, after in cluster.moves():
        if group.began - _MARGIN_S <= at <= group.ended + _MARGIN_S:
            return "address_moved", f"the address moved from {before} to {after} at {_clock(at)}"
    return None


def _endpoint_dead(group: Group, cluster: Cluster, fault: Fault) -> Finding | None:
    if fault.kind not in SUDDEN or fault.at is None or group.ended < fault.at:
        return None
    if group.first.outcome not in _NO_ANSWER:
        return None
    dead = sorted({e.pod for e in cluster.endpoints(group.began) if e.node == fault.node and e.ready})
    if not dead:
        return None
    return "endpoint_dead", f"the Service still sent to {', '.join(dead)} on {fault.node}"


def _stale_flow(group: Group, cluster: Cluster, fault: Fault) -> Finding | None:
    if fault.kind not in SUDDEN or fault.at is None or not cluster.slices_known:
        return None
    if group.first.outcome not in {Outcome.CONNECT_TIMEOUT, Outcome.READ_TIMEOUT, Outcome.UNREACHABLE}:
        return None
    if not fault.at <= group.began <= fault.at + _STALE_FLOW_S:
        return None
    return "stale_flow", f"no endpoint on {fault.node} was left: connections tracked before still led there"


def _shutdown_race(group: Group, cluster: Cluster, _fault: Fault) -> Finding | None:
    if group.first.outcome not in _NO_ANSWER:
        return None
    stopping = _stopping(cluster, group.began, group.last_due)
    if not stopping:
        return None
    nearest = min(stopping, key=lambda life: abs((life.told_to_stop or 0.0) - group.began))
    gone = f", gone at {_clock(nearest.gone)}" if nearest.gone else ""
    return (
        "shutdown_race",
        (
            f"{nearest.name} was told to stop at {_clock(nearest.told_to_stop or 0.0)}{gone}, "
            "while requests still came"
        ),
    )


def _not_serving_yet(group: Group, cluster: Cluster, _fault: Fault) -> Finding | None:
    if group.first.outcome not in _NO_ANSWER:
        return None
    for life in cluster.pods.values():
        if (
            life.ready is not None
            and life.seen < life.ready
            and -_MARGIN_S <= group.began - life.ready <= _AFTER_GONE_S
        ):
            return (
                "not_serving_yet",
                f"{life.name} counted as ready from {_clock(life.ready)} on, before it served",
            )
    return None


def _endpoint_refuses(group: Group, cluster: Cluster, _fault: Fault) -> Finding | None:
    if group.first.outcome not in {Outcome.REFUSED, Outcome.RESET} or not cluster.slices_known:
        return None
    states = cluster.endpoint_states(group.began, group.ended)
    if any(endpoint.terminating for _, state in states for endpoint in state):
        return None
    names = sorted({endpoint.pod for _, state in states for endpoint in state if endpoint.ready})
    return (
        "endpoint_refuses",
        f"one of {', '.join(names)} refused, though all counted as ready and none was stopping",
    )


def describe(group: Group, cluster: Cluster, fault: Fault) -> dict[str, Any]:
    """The group as report.json has it."""
    cause, evidence = attribute(group, cluster, fault)
    return {
        "began": instants.text(group.began),
        "ended": instants.text(group.ended),
        "after_fault_s": None if fault.at is None else round(group.began - fault.at, 3),
        "count": len(group.records),
        "outcome": str(group.first.outcome),
        "connection_kind": group.first.kind,
        "cause": cause,
        "evidence": evidence,
        "pods": group.pods,
    }
