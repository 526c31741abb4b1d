"""The rules by which failed requests are explained, the surest first."""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from failover_lab.probe.ports import TRACKED_S
from failover_lab.report import words
from failover_lab.report.address import MARGIN_S
from failover_lab.report.evidence import AFTER_S, RULES_S, STALE_FLOW_S, WATCH_S
from failover_lab.run import instants
from failover_lab.run.records import REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.report.cluster import Cluster
    from failover_lab.report.evidence import Evidence
    from failover_lab.report.groups import Group
    from failover_lab.run.records import Record

# A failure that a flaky endpoint may have caused; the sentence on it needs all of them together.
REFUSES = "endpoint_refuses"
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


class Finding(NamedTuple):
    """What a group of failures is put down to.

    Attributes:
        cause: one of those that report.schema.json lists.
        evidence: the sentence that supports it.
        of: which of several such things it was, where the sentence says more than that; failures of the same
            row that were caused by the same thing are one group of the report.
    """

    cause: str
    evidence: str
    of: str | float | None = None

    @property
    def thing(self) -> str | float:
        """What it was, to be compared with what another was."""
        return self.evidence if self.of is None else self.of


def attribute(group: Group, evidence: Evidence, only: Collection[str] | None = None) -> Finding:
    """The cause and the sentence that supports it; ``unexplained`` where nothing does.

    Args:
        group: failures of one situation (``Evidence.situation``): a rule holds for all or none of them.
        evidence: what there is to go by.
        only: the causes that come into question; None: all.
    """
    # What a request shows by itself; then what was so when it came, the surest first.
    rules: tuple[Callable[[Group, Evidence], Finding | None], ...] = (
        _bad_answer,
        _moved_away_from,
        _killed_in_place,
        _stale_reused,
        _no_endpoint,
        _address_moved,
        _endpoint_dead,
        _stale_flow,
        _not_serving_yet,
        _stopped_at_work,
        _hampered,
        _shutdown_race,
        _just_ready,
        _endpoint_refuses,
    )
    for rule in rules:
        finding = rule(group, evidence)
        if finding is not None and (only is None or finding.cause in only):
            return finding
    return Finding("unexplained", f"{_known(group, evidence)}nothing that the cluster reported goes with it")


def _clock(at: float) -> str:
    return instants.text(at)[11:23]


def _bad_answer(group: Group, _evidence: Evidence) -> Finding | None:
    if group.first.outcome not in {Outcome.WRONG_STATUS, Outcome.WRONG_BODY}:
        return None
    statuses = sorted({str(r.status) for r in group.records if r.status is not None})
    who = ", ".join(group.pods) or "a server that did not say who it was"
    what = f"status {', '.join(statuses)}" if statuses else "something that is no HTTP answer"
    return Finding("bad_answer", f"{who} answered with {what}")


def _stale_reused(group: Group, evidence: Evidence) -> Finding | None:
    if group.kind != REUSED or group.first.outcome not in {Outcome.RESET, Outcome.CLOSED_EARLY}:
        return None
    # A connection that broke within an answer was not stale: somebody was at work at the other end.
    if group.at_work:
        return None
    stopping = {stop.life.name: stop for stop in evidence.stops(REUSED, group.began, group.ended)}
    known = [stopping[name] for name in group.pods if name in stopping]
    if known:
        why = ", ".join(f"{stop.life.name} (told to stop at {_clock(stop.told)})" for stop in known)
        return Finding(
            "stale_reused_connection",
            f"the connection led to {why} and was closed as the request was sent",
        )
    who = f" by {', '.join(group.pods)}" if group.pods else ""
    return Finding(
        "stale_reused_connection",
        f"the connection had served before and was closed{who} as the request was sent",
    )


def _no_endpoint(group: Group, evidence: Evidence) -> Finding | None:
    # Who was at work on a request was there as it came, whatever the list says by now.
    if group.first.outcome not in _NO_ANSWER or group.at_work:
        return None
    for begin, end in evidence.cluster.spells_without_ready:
        if not begin - WATCH_S <= group.began < end + RULES_S:
            continue
        at = min(max(group.began, begin), end)
        state = evidence.cluster.endpoints(at if at < end else begin)
        # Endpoints that are stopping still serve when none is ready; only without either is nobody there.
        what = (
            "no ready endpoint" if any(endpoint.terminating for endpoint in state) else "no endpoint at all"
        )
        told = sorted(
            life.name
            for life in evidence.cluster.lives
            if life.told_to_stop is not None
            and life.told_to_stop <= at + WATCH_S
            and (life.gone is None or life.gone >= group.began - AFTER_S)
        )
        why = f": {', '.join(told)} had been told to stop before another was ready" if told else ""
        return Finding("no_endpoint", f"at {_clock(at)} the Service had {what}{why}", begin)
    return None


def _moved_away_from(group: Group, evidence: Evidence) -> Finding | None:
    """A connection that is open when the address moves: its new node knows nothing of it, and resets it."""
    return _address_moved(group, evidence) if group.first.kind == REUSED else None


def _address_moved(group: Group, evidence: Evidence) -> Finding | None:
    move = evidence.address.move(group.first)
    if group.first.outcome not in _NO_ANSWER or move is None:
        return None
    at, before, after = move
    # A row of time-outs that was there before the address moved does not come from that. Where it moved away
    # from a node that was dead, it led nowhere from that instant on.
    if not evidence.address.led_nowhere_until(move) and group.goes_on_since(at - WATCH_S):
        return None
    return Finding("address_moved", f"the address moved from {before} to {after} at {_clock(at)}")


def _endpoint_dead(group: Group, evidence: Evidence) -> Finding | None:
    fault = evidence.fault
    if fault.what.takes != "machine" or fault.at is None or group.ended < fault.at:
        return None
    # Pods that are listed on the node once it is back live.
    if group.first.outcome not in _NO_ANSWER or (fault.back is not None and group.began >= fault.back):
        return None
    if evidence.led_to_the_living(group.first) or evidence.leads_elsewhere(group):
        return None
    # As the nodes know it, which have a new list written into their rules a moment later.
    for begin, end in evidence.spells_of_the_dead:
        if begin <= group.began < end + RULES_S:
            times = (max(begin, group.began - RULES_S), group.began)
            dead = sorted(evidence.on_node(e for at in times for e in evidence.cluster.endpoints(at)))
            gap = evidence.cluster.gap_of_slices(group.began)
            by = ", by the last list before the observer was cut off" if gap else ""
            sentence = f"the Service still sent to {', '.join(dead)} on {fault.target}{by}"
            return Finding("endpoint_dead", sentence, None if gap is None else gap.begin)
    return None


def _stale_flow(group: Group, evidence: Evidence) -> Finding | None:
    gone = _without_the_dead(group, evidence)
    if gone is None:
        return None
    if group.kind == REUSED:
        if group.first.outcome is Outcome.READ_TIMEOUT and all(map(evidence.was_on_node, group.pods or [""])):
            led = f"the connections had been opened to {', '.join(group.pods)}"
            return Finding("stale_flow", f"{gone}: {led}, and still led there", "")
    elif evidence.may_be_tracked(group.first):
        used = f"each came from a source port that had been used less than {TRACKED_S:.0f} s before"
        return Finding("stale_flow", f"{gone}: connections tracked before still led there ({used})", "")
    return None


def _without_the_dead(group: Group, evidence: Evidence) -> str | None:
    """That a node was lost and no endpoint on it left, where so much is known of the time of a group."""
    fault = evidence.fault
    if fault.what.takes != "machine" or fault.at is None or not evidence.cluster.slices_known:
        return None
    if not fault.at <= group.began < fault.at + STALE_FLOW_S:
        return None
    if group.first.outcome not in {Outcome.CONNECT_TIMEOUT, Outcome.READ_TIMEOUT, Outcome.UNREACHABLE}:
        return None
    if fault.back is not None and group.began >= fault.back:
        return f"{fault.target} was back without the pods that it had had"
    return f"no endpoint on {fault.target} was left"


def _known(group: Group, evidence: Evidence) -> str:
    """What is known of failures after a loss that nothing explains: why they are none of its tail."""
    gone = _without_the_dead(group, evidence)
    if gone is None:
        return ""
    if group.kind == REUSED:
        why = (
            "the connections led to pods that lived"
            if group.pods
            else "where the connections led is not known"
        )
    elif group.first.outcome is Outcome.READ_TIMEOUT:
        why = "the connections were made, so a pod that lived had taken them"
    elif evidence.may_be_tracked(group.first) is None:
        why = "from which source ports they came was not recorded"
    else:
        why = f"no source port had been used in the {TRACKED_S:.0f} s before"
    return f"{gone}, and {why}: "


def is_near_a_move(record: Record, cluster: Cluster) -> bool:
    """Whether the address moved while this request was under way, or so near that it may be why."""
    return any(record.due - MARGIN_S <= at <= record.done + MARGIN_S for at, _, _ in cluster.moves())


def _not_serving_yet(group: Group, evidence: Evidence) -> Finding | None:
    """Pods that were ready and silent: while they were, and only then, requests failed."""
    if group.first.outcome not in _NO_ANSWER or group.at_work:
        return None
    for begin, end, silent in evidence.spells_not_serving:
        if not begin <= group.began < end:
            continue
        told = []
        for life, ready, _ in silent:
            answered = evidence.first_answer(life)
            then = "never answered" if answered is None else f"first answered at {_clock(answered)}"
            told.append(f"{life.name} counted as ready from {_clock(ready)} on and {then}")
        return Finding("not_serving_yet", "; ".join(told))
    return None


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
    return Finding("ungraceful_stop", sentence, nearest.told)


def _killed_in_place(group: Group, evidence: Evidence) -> Finding | None:
    """Pods that start again where they are; where nobody says who was asked, one of them may have been."""
    fault = evidence.fault
    if group.first.outcome not in _NO_ANSWER or not set(group.pods) <= fault.struck:
        return None
    for pod in sorted(group.pods or fault.struck):
        if (what := fault.killed(pod, group.began, group.ended)) is not None:
            return Finding("killed_in_place", f"{what} of {pod} was killed at {_clock(fault.at or 0.0)}", "")
    return None


def _hampered(group: Group, evidence: Evidence) -> Finding | None:
    """A node that goes on, short of something; where nobody says who was asked, it may have been it."""
    fault = evidence.fault
    short = fault.hampered(next(iter(fault.target.nodes), None), group.ended)
    if short is None or group.first.outcome not in _NO_ANSWER or group.breaks:
        return None
    announced = evidence.cluster.announcer(group.began) in fault.target
    if group.pods and not announced and not any(map(evidence.was_on_node, group.pods)):
        return None
    return Finding(short.cause, f"{fault.target} {short.words} from {_clock(fault.at or 0.0)} on", "")


def _shutdown_race(group: Group, evidence: Evidence) -> Finding | None:
    stops = evidence.stops(group.kind, group.began)
    if group.first.outcome not in _NO_ANSWER or not stops:
        return None
    nearest = min(stops, key=lambda stop: abs(stop.told - group.began))
    gone = f", gone at {_clock(nearest.life.gone)}" if nearest.life.gone else ""
    listed = ""
    if nearest.unlisted is not None and nearest.unlisted > nearest.told - WATCH_S:
        listed = f"; the Service listed it until {_clock(nearest.unlisted)}"
    told = _clock(nearest.told)
    sentence = f"{nearest.life.name} was told to stop at {told}{gone}, while requests still came{listed}"
    return Finding("shutdown_race", sentence, nearest.told)


def _just_ready(group: Group, evidence: Evidence) -> Finding | None:
    if group.first.outcome not in _NO_ANSWER:
        return None
    for life in evidence.cluster.lives:
        ready = life.ready
        if ready is None or life.seen >= ready:
            continue
        # What was there before it was ready, or went on once it served, does not come from it.
        until = evidence.first_answer(life) or ready + AFTER_S
        if not ready - WATCH_S <= group.began < until or group.goes_on_since(ready - WATCH_S):
            continue
        sentence = f"{life.name} counted as ready from {_clock(ready)} on, before it served"
        return Finding("not_serving_yet", sentence)
    return None


def _endpoint_refuses(group: Group, evidence: Evidence) -> Finding | None:
    if not group.breaks or not candidates(group, evidence):
        return None
    return Finding(REFUSES, "")


def candidates(group: Group, evidence: Evidence) -> list[str]:
    """Who may have refused: the known other ends, or else the pods that were listed each time."""
    if group.pods:
        return sorted(group.pods)
    times = collections.Counter(pod for record in group.records for pod in evidence.listed(record.due))
    always = [pod for pod, count in times.items() if count >= _MOST * len(group.records)]
    return sorted(always or times)
