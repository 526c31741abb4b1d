"""May this be called a pass? Measured, nothing lost beyond what is allowed, everything back in its place."""

from __future__ import annotations

import collections
import itertools
import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.faults import kinds, target
from failover_lab.host.priority import REAL_TIME
from failover_lab.probe.ports import TRACKED_S
from failover_lab.report import instrument, ports, rules, stats, words
from failover_lab.report.by_trace import NOT_RECEIVED
from failover_lab.report.rows import only
from failover_lab.run import instants, marks
from failover_lab.run.records import NEW, NOT_SEEN_BY_USERS, REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.report.cluster import Cluster
    from failover_lab.report.groups import Group
    from failover_lab.report.load import RunData
    from failover_lab.report.rows import Rows
    from failover_lab.run.records import Record

# The probe's own lateness beyond which its figures say more about the probe's machine than about the site.
LATE_P99_MS = 20.0
LATE_MOST_MS = 250.0
# Linux sends a SYN again after 1 s, and data of a young connection after 0.2 s or a little more.
_SYN_AGAIN_S = 0.9
_REMEDY = "; as root, or allowed an rtprio of 2 (limits.conf), it is scheduled in real time"


class Follows(str):
    """A sentence on what is missing only because the run did not get so far: told if nothing graver is."""

    __slots__ = ()


@dataclass(frozen=True)
class Judged:
    """The parts of a verdict.

    Attributes:
        checks: what may be asked, in order, and for each the sentences on why not; none: it is well; and None
            in their place: it was not asked.
        unproven: what could not be asked, a sentence each.
    """

    checks: dict[str, list[str] | None]
    steady_before: bool | None
    steady_after: bool | None
    aborted: bool
    unproven: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against it."""
        return not any(self.checks.values())

    @property
    def reasons(self) -> list[str]:
        """Every sentence, the gravest first; of one cause, not what follows from it."""
        graver = any(not isinstance(reason, Follows) for reason in self.checks[RUN_FINISHED] or [])
        told = [reason for found in self.checks.values() for reason in found or []]
        return [reason for reason in told if not (graver and isinstance(reason, Follows))]


def lateness(records: Rows) -> dict[str, float | None]:
    """By how much the probe missed its own due times, in milliseconds."""
    late = records.late_ms
    return {
        "p50": stats.percentile(late, 0.5),
        "p99": stats.percentile(late, 0.99),
        "max": late[-1] if late else None,
    }


def not_measured(data: RunData) -> list[str]:
    """Why the figures cannot be relied on; empty when they can."""
    if not data.records:
        return ["no request was recorded"]
    reasons = []
    if all(record.outcome in NOT_SEEN_BY_USERS for record in data.records.said):
        reasons.append("no request was recorded of which a user saw the end")
    if not data.whole:
        reasons.append("the record was cut off before the probe's end")
    late = lateness(data.records)
    if (late["p99"] or 0.0) > LATE_P99_MS or (late["max"] or 0.0) > LATE_MOST_MS:
        reasons.append(
            f"the probe could not keep its schedule: 1% of requests were {late['p99']:.0f} ms late or more, "
            f"the latest {late['max']:.0f} ms (allowed {LATE_P99_MS:g} and {LATE_MOST_MS:g})"
            + ("" if data.about.get("scheduling") == REAL_TIME else _REMEDY)
        )
    reasons += instrument.reasons(data.records, instrument.spells(data.about))
    if unfinished := data.records.count(lambda record: record.outcome is Outcome.UNFINISHED):
        # How they would have ended nobody knows: where the site hangs, they are what it would have lost.
        reasons.append(
            f"{unfinished} requests were still open when the probe was hurried to its end; "
            "stop it once, and it waits for them"
        )
    fault_at = data.mark(marks.FAULT_BEGIN)
    if fault_at is not None and not data.records[0].due <= fault_at <= data.records[-1].due:
        reasons.append("the probe was not running at the fault")
    # What was not asked cannot have failed.
    over = data.mark(marks.STEADY_AFTER) or data.records[-1].due
    if hole := _hole(data, data.records[0].due, max(over, data.records[-1].due)):
        reasons.append(f"no request was due {_from_to(hole)}, where the probe should have asked")
    return reasons


def _hole(data: RunData, begin: float, end: float) -> tuple[float, float] | None:
    """The first stretch between these instants in which requests should have been due and none was."""
    rates = {NEW: data.about.get("new_rate"), REUSED: data.about.get("reused_rate")}
    for kind, rate in rates.items():
        if not rate:
            continue
        # Between two requests there may be more than a second.
        most = max(1.0, 1.5 / rate)
        mine = [record.kind == kind for record in data.records.said]
        asked = [begin]
        for sorts, dues in data.records.columns("said", "due", begin=begin, end=end):
            asked = [asked[-1], *only(dues, sorts, mine)]
            if hole := _first_hole(asked, most):
                return hole
        if hole := _first_hole([asked[-1], end], most):
            return hole
    return None


def _first_hole(asked: list[float], most: float) -> tuple[float, float] | None:
    if max(map(operator.sub, asked[1:], asked), default=0.0) <= most:
        return None
    return next((before, after) for before, after in itertools.pairwise(asked) if after - before > most)


def _from_to(stretch: tuple[float, float]) -> str:
    begin, end = (instants.text(at)[11:21] for at in stretch)
    return f"from {begin} to {end}"


def steady(data: RunData, begin: float, end: float, pods: list[str], *, named: bool = True) -> str | None:
    """What was not steady between these instants, or None: it was."""
    inside = list(data.records.between(begin, end))
    hole = _hole(data, begin, end)
    if hole or not inside:
        return f"the probe did not cover it{f': nothing was due {_from_to(hole)}' if hole else ''}"
    failed = sum(record.failed for record in inside)
    if failed:
        return f"{failed} of {len(inside)} requests failed"
    answered = {record.pod for record in inside}
    silent = sorted(set(pods) - answered) if named else []
    return f"no answer of {', '.join(silent)}" if silent else None


def says_who(data: RunData) -> bool:
    """Whether anybody, the application or a node's kernel, says of any answer which pod gave it."""
    answered = False
    for outcome, pod in data.records.pick("outcome", "pod"):
        if outcome is Outcome.OK:
            if pod:
                return True
            answered = True
    return not answered


def _unasked(data: RunData) -> set[str]:
    """The pods to which the address does not lead."""
    return {*((data.play or {}).get("unasked") or [])}


def _unproven(data: RunData, *, named: bool) -> tuple[str, ...]:
    """What the play knew that it would not see, and what nobody said."""
    told = tuple((data.play or {}).get("unproven") or ())
    if data.play is None or named:
        return told
    nameless = (
        "no answer says which pod gave it, and no node's kernel was heard: that the replacements serve is "
        "known by their readiness alone (witness_identity says how an application names its pods)"
    )
    return (*told, nameless)


def _steady_states(
    data: RunData, checks: dict[str, list[str]], *, named: bool
) -> tuple[bool | None, bool | None]:
    window_s = data.settings["steady_window_s"]
    spread = (data.play or {}).get("spread") or {}
    states: list[bool | None] = []
    fault_at = data.mark(marks.FAULT_BEGIN)
    for name, event, placement, reasons in (
        ("before the fault", marks.STEADY_BEFORE, spread.get("before"), checks["steady before"]),
        ("after it", marks.STEADY_AFTER, spread.get("after"), checks["steady after"]),
    ):
        at = data.mark(event)
        if at is None:
            if fault_at is not None:
                reasons.append(Follows(f"no steady state {name} was reached"))
            states.append(None)
            continue
        end = fault_at if event == marks.STEADY_BEFORE and fault_at is not None else at
        pods = [pod for pod in placement or {} if pod not in _unasked(data)]
        problem = steady(data, at - window_s, end, pods, named=named)
        healed_at = data.mark(marks.HEALED)
        if event == marks.STEADY_AFTER and healed_at is not None and at - healed_at < window_s:
            problem = (
                f"it was watched for {max(0.0, at - healed_at):.1f} s after the healing, not {window_s:g}"
            )
        if problem is not None:
            reasons.append(f"not steady {name}: {problem}")
        states.append(problem is None)
    return states[0], states[1]


def _losses(data: RunData, reasons: list[str]) -> None:
    failed = data.records.count(lambda record: record.failed)
    allowed = data.settings["max_lost"]
    if allowed is not None and failed > allowed:
        reasons.append(f"{failed} requests were lost, {allowed} are allowed")
    limit = data.settings["max_slowest_ms"]
    if limit is None:
        return
    slow, slowest, worst = 0, limit, -1
    for index, (outcome, due, done) in enumerate(data.records.pick("outcome", "due", "done")):
        took_ms = (done - due) * 1000.0
        if outcome is Outcome.OK and took_ms > limit:
            slow += 1
            if took_ms > slowest:
                slowest, worst = took_ms, index
    if slow:
        record = data.records[worst]
        _, port_rests = ports.rests(data.records, {record.number})
        reasons.append(_too_slow(record, slow, limit, port_rests))


def _too_slow(worst: Record, slow: int, limit: float, port_rests: dict[int, float]) -> str:
    """Which answer was the slowest, and what the connection itself says of why."""
    others = f" ({slow} took longer)" if slow > 1 else ""
    node = f" on {worst.node}" if worst.node else ""
    rest_s = port_rests.get(worst.number)
    port = ""
    if rest_s is not None and rest_s < TRACKED_S:
        port = f"; its source port had been used {rest_s:.0f} s before"
    return (
        f"the slowest answer took {worst.latency_ms:.0f} ms, {limit:g} are allowed{others}: due at "
        f"{instants.text(worst.due)[11:23]} on a {worst.kind} connection, answered by {worst.pod}{node}; "
        f"{_sent_again(worst)}{port}"
    )


def _sent_again(record: Record) -> str:
    if not record.retransmits:
        unknown = record.retransmits is None
        return "whether anything was sent again is unknown" if unknown else "nothing was sent again"
    if record.prior:
        # The system counts for a connection, and this one has a past.
        return "on its connection, at any time since that was opened, its data were sent again"
    connecting_s = 0.0
    if record.connected is not None:
        connecting_s = record.connected - record.due - record.late_ms / 1000.0
    if connecting_s < _SYN_AGAIN_S:
        return "its data were sent again"
    return f"its SYN was sent again, and {connecting_s:.2f} s passed until it was connected"


def _replacements(data: RunData, found: list[dict[str, Any]], reasons: list[str], *, named: bool) -> None:
    play = data.play or {}
    displaced = play.get("displaced") or []
    if len(found) < len(displaced):
        were = f"{words.many(len(displaced), 'pod')} {'was' if len(displaced) == 1 else 'were'}"
        are = f"{words.many(len(found), 'replacement')} {'is' if len(found) == 1 else 'are'}"
        few = f"{were} displaced and only {are} known"
        reasons.append(Follows(few))
    silent = [
        entry["pod"]
        for entry in found
        if entry["first_answer_at"] is None and entry["pod"] not in _unasked(data)
    ]
    if silent and named and play.get("meets_all") is not False:
        reasons.append(f"no answer through the address came from {', '.join(silent)}")
    old = {entry["uid"] for entry in displaced}
    same = [entry["pod"] for entry in found if entry["uid"] in old]
    if same:
        reasons.append(f"{', '.join(same)} is no new pod: its UID was there before")
    for entry in found:
        seen = {c.facts.get("uid") for c in data.changes if c.kind == "Pod" and c.name == entry["pod"]} - {
            None
        }
        if seen and entry["uid"] not in seen:
            reasons.append(
                f"{entry['pod']} has UID {entry['uid']} in run.json, and the cluster reported another"
            )


def _skew(counts: collections.Counter[str], nodes: set[str]) -> int:
    per_node = [counts[node] for node in nodes]
    return max(per_node) - min(per_node) if per_node else 0


def _broken(play: dict[str, Any]) -> list[str]:
    return [*target.of(play.get("fault") or {}).nodes]


def _spread(data: RunData, reasons: list[str]) -> None:
    play = data.play or {}
    left = play.get("left_on_node")
    if left:
        reasons.append(Follows(f"{', '.join(left)} stayed on {target.of(play['fault'])}"))
    spread = play.get("spread") or {}
    after: dict[str, str] | None = spread.get("after")
    if after is None:
        if play:
            reasons.append(Follows("where the pods are afterwards is unknown"))
        return
    eligible = spread.get("eligible_nodes")
    if eligible is None:
        moves_pods = kinds.of(play["fault"]["kind"]).moves_pods
        lost = target.of(play["fault"] if moves_pods else {})
        eligible = [node for node in (play.get("lab") or {}).get("nodes") or [] if node not in lost]
    counts = collections.Counter(after.values())
    expected = data.settings["expected_replicas"]
    if expected is not None and len(after) != expected:
        serve = f"{words.many(len(after), 'pod')} {'serves' if len(after) == 1 else 'serve'}"
        reasons.append(f"{serve} afterwards, and {expected} should")
    # Who was there before has stayed: what was so then is none of the fault's doing.
    before: dict[str, str] = spread.get("before") or {}
    moved = {node for pod, node in after.items() if before.get(pod) != node}
    elsewhere = sorted(moved - set(eligible)) if eligible else []
    if elsewhere:
        reasons.append(f"pods run on {', '.join(elsewhere)}, where they should not")
    most = data.settings["max_skew"]
    if most is None:
        return
    uneven_before = _skew(collections.Counter(before.values()), {*eligible, *_broken(play)}) > most
    if _skew(counts, set(eligible)) > most and not uneven_before:
        shares = ", ".join(f"{node} {counts[node]}" for node in eligible)
        reasons.append(f"the pods are spread unevenly afterwards: {shares}")


def _spreading(data: RunData, seen: Cluster, failures: list[tuple[Group, str]], reasons: list[str]) -> None:
    """However sudden the fault was, the pods are spread again in peace: that loses nothing."""
    begin, end = data.mark(marks.RETURNED), data.mark(marks.HEALED)
    if begin is None:
        return

    until = math.inf if end is None else end

    def concerns(record: Record) -> bool:
        return record.kind == NEW and begin <= record.due < until

    def is_its_doing(record: Record, cause: str) -> bool:
        # A node that is back gets the address back from MetalLB, which resets what is being opened just then.
        if cause in {"address_moved", NOT_RECEIVED}:
            return not rules.is_near_a_move(record, seen)
        # Where ports come round so soon that a tail was predicted, the fault itself still costs requests.
        tail = ((data.play or {}).get("predicted_s") or {}).get("stale_flows")
        return cause != "stale_flow" or tail is None

    asked = sum(
        concerns(record) and record.outcome not in NOT_SEEN_BY_USERS
        for record in data.records.between(begin, until)
    )
    lost = sum(
        concerns(record) and is_its_doing(record, cause)
        for group, cause in failures
        for record in group.records
    )
    if lost:
        reasons.append(
            f"{lost} of {asked} requests on new connections were lost while the pods were spread again"
        )


RUN_FINISHED = "run finished"
CHECKS = (
    RUN_FINISHED,
    "measured",
    "requests answered",
    "replacements answered",
    "pods spread",
    "steady before",
    "steady after",
)


def judge(
    data: RunData,
    replacements: list[dict[str, Any]],
    seen: Cluster,
    failures: list[tuple[Group, str]],
) -> Judged:
    """Ask everything that a pass needs.

    Args:
        data: the run's.
        replacements: as in report.json.
        seen: the cluster's account.
        failures: each group of lost requests with its cause.
    """
    checks: dict[str, list[str]] = {name: [] for name in CHECKS}
    finished = checks[RUN_FINISHED]
    aborts = [mark for mark in data.marks if mark.event == marks.ABORTED]
    if aborts:
        why = aborts[0].details.get("reason")
        finished.append(f"the run was aborted{f': {why}' if why else ''}")
    finished += (data.play or {}).get("errors") or []
    if data.play is None and data.marks:
        finished.append("run.json is missing: what was displaced and what replaced it is unknown")
    if data.play is not None and data.mark(marks.FAULT_BEGIN) is None:
        finished.append(Follows("no fault was marked"))
    checks["measured"] += [f"not measured: {reason}" for reason in not_measured(data)]
    _losses(data, checks["requests answered"])
    named = says_who(data)
    _replacements(data, replacements, checks["replacements answered"], named=named)
    _spread(data, checks["pods spread"])
    _spreading(data, seen, failures, checks["pods spread"])
    before, after = _steady_states(data, checks, named=named)
    asked = _asked(data, named=named)
    answered = {name: found if found or asked[name] else None for name, found in checks.items()}
    return Judged(answered, before, after, bool(aborts), _unproven(data, named=named))


def _asked(data: RunData, *, named: bool) -> dict[str, bool]:
    """Which of the checks this run asks: nobody awaits a replacement where nothing was displaced."""
    play, struck = data.play or {}, data.mark(marks.FAULT_BEGIN) is not None
    limits = (data.settings["max_lost"], data.settings["max_slowest_ms"])
    return {
        RUN_FINISHED: data.play is not None or bool(data.marks),
        "measured": True,
        "requests answered": any(limit is not None for limit in limits),
        "replacements answered": bool(play.get("displaced") or play.get("replacements")) and named,
        "pods spread": data.play is not None,
        "steady before": struck or data.mark(marks.STEADY_BEFORE) is not None,
        "steady after": struck or data.mark(marks.STEADY_AFTER) is not None,
    }
