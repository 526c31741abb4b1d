"""The rules by which failed requests are explained, the surest first."""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from failover_lab.report import words
from failover_lab.report.evidence import WATCH_S
from failover_lab.run import instants
from failover_lab.run.records import REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.report.cluster import Cluster
    from failover_lab.report.evidence import Evidence
    from failover_lab.report.groups import Group
    from failover_lab.run.records import Record

# A failure that a flaky endpoint may have caused; the sentence on it needs all of them together.
REFUSES = "endpoint_refuses"
# kube-proxy gathers changes for up to a second, and needs a moment to write its rules.
RULES_S = 1.5
# What the cluster says and what a user sees need not come in this order; so far apart they may still belong
# together: an announcement takes a moment to reach the neighbours.
_MARGIN_S = 2.0
# After a pod is gone from the list of endpoints, kube-proxy needs up to a second and connections some more.
_AFTER_GONE_S = 3.0
_STALE_FLOW_S = 180.0
# So large a part of the failures has to fall into a time for that to explain all.
_MOST = 0.9
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
# What a flaky endpoint does.
REFUSED = frozenset({Outcome.REFUSED, Outcome.RESET, Outcome.CLOSED_EARLY})

Finding = tuple[str, str]


def attribute(group: Group, evidence: Evidence, only: Collection[str] | None = None) -> Finding:
    """The cause and the sentence that supports it; ``unexplained`` where nothing does.

    Args:
        group: failures that come together.
        evidence: what there is to go by.
        only: the causes that come into question; None: all.
    """
    rules: tuple[Callable[[Group, Evidence], Finding | None], ...] = (
        _bad_answer,
        _moved_away_from,
        _stale_reused,
        _no_endpoint,
        _address_moved,
        _endpoint_dead,
        _stale_flow,
        _not_serving_yet,
        _stopped_at_work,
        _shutdown_race,
        _just_ready,
        _endpoint_refuses,
    )
    for rule in rules:
        finding = rule(group, evidence)
        if finding is not None and (only is None or finding[0] in only):
            return finding
    return "unexplained", "nothing that the cluster reported goes with it"


def _clock(at: float) -> str:
    return instants.text(at)[11:23]


def _bad_answer(group: Group, _evidence: Evidence) -> Finding | None:
    if group.first.outcome not in {Outcome.WRONG_STATUS, Outcome.WRONG_BODY}:
        return None
    statuses = sorted({str(r.status) for r in group.records if r.status is not None})
    who = ", ".join(group.pods) or "a server that did not say who it was"
    what = f"status {', '.join(statuses)}" if statuses else "something that is no HTTP answer"
    return "bad_answer", f"{who} answered with {what}"


def _stale_reused(group: Group, evidence: Evidence) -> Finding | None:
    first = group.first
    if first.kind != REUSED or first.outcome not in {Outcome.RESET, Outcome.CLOSED_EARLY}:
        return None
    # A connection that broke within an answer was not stale: somebody was at work at the other end.
    if group.at_work or not all(record.prior for record in group.records):
        return None
    stopping = {stop.life.name: stop for stop in evidence.stops(REUSED, group.began, group.ended)}
    known = [stopping[name] for name in group.pods if name in stopping]
    if known:
        why = ", ".join(f"{stop.life.name} (told to stop at {_clock(stop.told)})" for stop in known)
        return (
            "stale_reused_connection",
            f"the connection led to {why} and was closed as the request was sent",
        )
    who = f" by {', '.join(group.pods)}" if group.pods else ""
    return (
        "stale_reused_connection",
        f"the connection had served before and was closed{who} as the request was sent",
    )


def _no_endpoint(group: Group, evidence: Evidence) -> Finding | None:
    # Who was at work on a request was there as it came, whatever the list says by now.
    if group.first.outcome not in _NO_ANSWER or group.at_work:
        return None
    for at, state in evidence.cluster.endpoint_states(group.began, group.ended):
        if any(endpoint.ready for endpoint in state):
            continue
        # Endpoints that are stopping still serve when none is ready; only without either is nobody there.
        what = (
            "no ready endpoint" if any(endpoint.terminating for endpoint in state) else "no endpoint at all"
        )
        told = sorted(
            life.name
            for life in evidence.cluster.pods.values()
            if life.told_to_stop is not None
            and life.told_to_stop <= at + WATCH_S
            and (life.gone is None or life.gone >= group.began - _AFTER_GONE_S)
        )
        why = f": {', '.join(told)} had been told to stop before another was ready" if told else ""
        return "no_endpoint", f"at {_clock(at)} the Service had {what}{why}"
    return None


def _moved_away_from(group: Group, evidence: Evidence) -> Finding | None:
    """A connection that is open when the address moves: its new node knows nothing of it, and resets it."""
    return _address_moved(group, evidence) if group.first.kind == REUSED else None


def _address_moved(group: Group, evidence: Evidence) -> Finding | None:
    if group.first.outcome not in _NO_ANSWER:
        return None
    for at, before, after in evidence.cluster.moves():
        if group.began - _MARGIN_S <= at <= group.ended + _MARGIN_S:
            return "address_moved", f"the address moved from {before} to {after} at {_clock(at)}"
    return None


def _endpoint_dead(group: Group, evidence: Evidence) -> Finding | None:
    fault = evidence.fault
    if not fault.what.takes_node or fault.at is None or group.ended < fault.at:
        return None
    # Pods that are listed on the node once it is back live.
    if group.first.outcome not in _NO_ANSWER or (fault.back is not None and group.began >= fault.back):
        return None
    # As the nodes know it, which have a new list written into their rules a moment later.
    listed = [e for at in (group.began - RULES_S, group.began) for e in evidence.cluster.endpoints(at)]
    dead = sorted({e.pod for e in listed if e.node == fault.node and e.ready})
    if not dead:
        return None
    return "endpoint_dead", f"the Service still sent to {', '.join(dead)} on {fault.node}"


def _stale_flow(group: Group, evidence: Evidence) -> Finding | None:
    fault = evidence.fault
    if not fault.what.takes_node or fault.at is None or not evidence.cluster.slices_known:
        return None
    if group.first.outcome not in {Outcome.CONNECT_TIMEOUT, Outcome.READ_TIMEOUT, Outcome.UNREACHABLE}:
        return None
    if not fault.at <= group.began <= fault.at + _STALE_FLOW_S:
        return None
    gone = f"no endpoint on {fault.node} was left"
    if fault.back is not None and group.began >= fault.back:
        gone = f"{fault.node} was back without the pods that it had had"
    return "stale_flow", f"{gone}: connections tracked before still led there"


def is_near_a_move(record: Record, cluster: Cluster) -> bool:
    """Whether the address moved while this request was under way, or so near that it may be why."""
    return any(record.due - _MARGIN_S <= at <= record.done + _MARGIN_S for at, _, _ in cluster.moves())


def _not_serving_yet(group: Group, evidence: Evidence) -> Finding | None:
    """Pods that were ready and silent: while they were, and only then, requests failed."""
    if group.first.outcome not in _NO_ANSWER or group.at_work:
        return None
    silent = evidence.not_serving
    dues = [record.due for record in group.records]
    inside = [due for due in dues if any(begin - WATCH_S <= due <= end + WATCH_S for _, begin, end in silent)]
    if len(inside) < _MOST * len(dues):
        return None
    told = []
    for life, begin, end in silent:
        if begin - WATCH_S <= dues[-1] and dues[0] <= end + WATCH_S:
            answered = evidence.first_answers.get(life.name)
            then = "never answered" if answered is None else f"first answered at {_clock(answered)}"
            told.append(f"{life.name} counted as ready from {_clock(begin)} on and {then}")
    return "not_serving_yet", "; ".join(told)


def _stopped_at_work(group: Group, evidence: Evidence) -> Finding | None:
    if not group.at_work:
        return None
    # Whatever the connection, what was under way when the order came is like what a reused one carried.
    stops = [
        stop
        for stop in evidence.stops(REUSED, group.began, group.ended)
        if not group.pods or stop.life.name in group.pods
    ]
    if not stops:
        return None
    nearest = min(stops, key=lambda stop: abs(stop.told - group.ended))
    first = group.first
    since = words.seconds(first.done - (first.sent or first.due))
    sentence = (
        f"{nearest.life.name} was told to stop at {_clock(nearest.told)} and broke off what it was at work "
        f"on: it had had the first of these requests for {since}"
    )
    return "ungraceful_stop", sentence


def _shutdown_race(group: Group, evidence: Evidence) -> Finding | None:
    stops = evidence.stops(group.first.kind, group.began)
    if group.first.outcome not in _NO_ANSWER or not stops:
        return None
    nearest = min(stops, key=lambda stop: abs(stop.told - group.began))
    gone = f", gone at {_clock(nearest.life.gone)}" if nearest.life.gone else ""
    listed = ""
    if nearest.unlisted is not None and nearest.unlisted > nearest.told - WATCH_S:
        listed = f"; the Service listed it until {_clock(nearest.unlisted)}"
    told = _clock(nearest.told)
    sentence = f"{nearest.life.name} was told to stop at {told}{gone}, while requests still came{listed}"
    return "shutdown_race", sentence


def _just_ready(group: Group, evidence: Evidence) -> Finding | None:
    if group.first.outcome not in _NO_ANSWER:
        return None
    for life in evidence.cluster.pods.values():
        if (
            life.ready is not None
            and life.seen < life.ready
            and -WATCH_S <= group.began - life.ready <= _AFTER_GONE_S
        ):
            return (
                "not_serving_yet",
                f"{life.name} counted as ready from {_clock(life.ready)} on, before it served",
            )
    return None


def _endpoint_refuses(group: Group, evidence: Evidence) -> Finding | None:
    if group.first.outcome not in REFUSED or not candidates(group, evidence):
        return None
    return REFUSES, ""


def candidates(group: Group, evidence: Evidence) -> list[str]:
    """Who may have refused: the known other ends, or else the pods that were listed each time."""
    if group.pods:
        return sorted(group.pods)
    times = collections.Counter(pod for record in group.records for pod in evidence.listed(record.due))
    always = [pod for pod, count in times.items() if count >= _MOST * len(group.records)]
    return sorted(always or times)
