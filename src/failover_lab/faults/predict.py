"""``predict``: how long a failover should take, by the settings in force.

Four clocks, each from the fault on. Where an event falls at random between two ticks, there is a range; what
is reported is its middle, which for these sums of uniform delays is the median.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, fields, replace

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.faults import kinds
from failover_lab.nodes.pace import Pace
from failover_lab.probe import ports
from failover_lab.run import files

CLOCKS = ("address", "endpoints", "capacity", "stale_flows")
# From a change in the cluster until another node's speaker has announced the address.
_SPEAKER_S = (0.1, 0.6)
# From a pod's loss of readiness, or its deletion, until it is out of the list of endpoints.
_SLICE_S = (0.05, 0.3)
# A kubelet looks this often which of its containers have ended.
_RELIST_S = (0.0, 1.0)
# From a node's start until its kubelet tells of its pods.
_BOOT_S = (3.0, 10.0)
# A killed container's end, as the engine tells it.
_FENCE_S = (0.1, 0.5)
# The present pods' times of start are known in whole seconds.
_SECOND_S = 1.0
# A leader renews its lease this often, and who waits for it looks as often or a little later.
_RENEWED_S, _JITTER = 2.0, 1.2
# A controller that begins lists everything first.
_LISTS_S = (0.3, 1.5)
# Longer than anybody waits.
_MOST_S = 366 * 86400.0


@dataclass(frozen=True)
class Range:
    """From the earliest to the latest, in seconds."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        """One after the other."""
        return Range(self.low + other.low, self.high + other.high)

    @property
    def middle(self) -> float:
        """The median of a symmetric delay."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Timings:
    """What the cluster is set to, in seconds.

    Attributes:
        grace_s: without a sign of life for so long, a node is not ready.
        monitor_period_s: the controller manager looks this often.
        lease_s: a kubelet renews its lease after a quarter of this.
        toleration_s: a pod stays bound to a lost node for so long; None: for ever.
        pod_start_s: from a pod's creation until it is ready, in whole seconds; None: not known.
        probe_s: MetalLB's speakers ask each other this often (memberlist), and whoever has not answered by
            the next time is suspected.
        suspicion_s: whoever is suspected for so long is given up, and another speaker announces.
        half_open_s: for so long a kernel remembers a connection that nobody has answered; None: not known.
        port_rest_s: the client uses a port again after so long; None: not known.
        backoff_s: for so long a container that has ended before is not started again, at most.
        stop_s: a container that is told to stop serves on for so long.
        waves: so often new pods start one after the other in a rolling update.
        manager_s: the lease of the controller manager lasts so long, where the node has it; 0: it has not.
        scheduler_s: likewise of the scheduler.
        eviction_wait_s: of several nodes lost at once, Kubernetes empties the last so long after the first.
    """

    grace_s: float
    monitor_period_s: float
    lease_s: float
    toleration_s: float | None
    pod_start_s: float | None
    probe_s: float = 1.0
    suspicion_s: float = 4.0
    half_open_s: float | None = None
    port_rest_s: float | None = None
    backoff_s: float = 0.0
    stop_s: float = 0.0
    waves: float = 1
    manager_s: float = 0.0
    scheduler_s: float = 0.0
    eviction_wait_s: float = 0.0

    @property
    def leaves_a_tail(self) -> bool:
        """Whether a new connection may meet what is remembered of one to a pod that is gone."""
        if self.half_open_s is None or self.port_rest_s is None:
            return False
        return self.port_rest_s < self.half_open_s


def fixed(seconds: float) -> Range:
    """No range at all."""
    return Range(seconds, seconds)


def taken_over(lasts_s: float) -> Range:
    """From the loss of a leader until another one has its lease, and works; nothing where it did not lead.

    It was renewed up to some seconds before, and who waits for it looks as often; then it lists what there
    is.
    """
    if not lasts_s:
        return fixed(0.0)
    return Range(lasts_s - _RENEWED_S, lasts_s + _RENEWED_S * _JITTER) + Range(*_LISTS_S)


def not_ready(timings: Timings) -> Range:
    """From the last breath of a kubelet until its node is not ready.

    The lease was renewed up to a quarter of its length before the fault. The controller manager sees a
    renewal at its next look, and counts the grace period from that look. One that has only just taken over
    counts from when it began.
    """
    if timings.manager_s:
        return taken_over(timings.manager_s) + Range(
            timings.grace_s, timings.grace_s + timings.monitor_period_s
        )
    return Range(timings.grace_s - timings.lease_s / 4, timings.grace_s + timings.monitor_period_s)


def given_up(timings: Timings) -> Range:
    """From a speaker's last answer until another one announces the address."""
    return Range(timings.probe_s + timings.suspicion_s, 2 * timings.probe_s + timings.suspicion_s)


def given_away(kind: str, pace: Pace) -> Range | None:
    """From the fault until the watchdog has fenced the node; None: it would not act.

    It goes by what the node shows, whatever was done to it.
    """
    fault = kinds.of(kind)
    if "watchdog" not in fault.recoveries:
        return None
    looks_s = (pace.confirm - 1) * pace.fact_s
    # Whoever is silent is asked for longer; the last answer came up to a look before the fault.
    silence = Range(pace.silence_s - pace.interval_s, pace.silence_s + pace.ask_s)
    shown = {
        "exited": Range(looks_s, looks_s + 2 * pace.fact_s),
        "paused": Range(pace.pause_s, pace.pause_s + pace.interval_s) + Range(*_FENCE_S),
    }
    return shown.get(fault.symptom or "", silence + Range(*_FENCE_S))


def predict(
    kind: str,
    recovery: str,
    timings: Timings,
    *,
    announcer: bool | None,
    pace: Pace | None = None,
    off_s: float = 0.0,
) -> dict[str, Range | None]:
    """The four clocks; None where nothing of the kind is to happen, or nobody can say when.

    Args:
        kind: of the fault.
        recovery: who gives the node's work away.
        timings: what the cluster is set to.
        announcer: whether the node announces the address; None: not known.
        pace: of the watchdog; its own unless given.
        off_s: for how long a machine is off that comes back by itself.
    """
    fault = kinds.of(kind)
    clocks: dict[str, Range | None] = dict.fromkeys(CLOCKS)
    start = None
    if timings.pod_start_s is not None:
        start = Range(max(0.0, timings.pod_start_s - _SECOND_S), timings.pod_start_s + _SECOND_S)
    if fault.spares_node:
        clocks["endpoints"], clocks["capacity"] = _without_a_loss(fault, timings, start)
        return clocks
    fenced = given_away(kind, pace or Pace()) if recovery == "watchdog" else None
    # Of a stopped kubelet nobody notices but the control plane.
    if fault.silent and announcer is not None:
        clocks["address"] = fixed(0.0)
        if announcer:
            clocks["address"] = given_up(timings) if fenced is None else fenced + Range(*_SPEAKER_S)
    if fault.comes_back:
        clocks["endpoints"], clocks["capacity"] = _back(timings, start, off_s)
    elif fenced is not None:
        # What the watchdog says is written at once; who acts on it may have to be found first.
        managed = _both(fenced, taken_over(timings.manager_s))
        clocks["endpoints"] = managed + Range(*_SLICE_S)
        placed = _both(managed, taken_over(timings.scheduler_s))
        clocks["capacity"] = None if start is None else placed + start
    elif fault.loses_node and recovery != "manual":
        clocks |= _lost(fault, timings, start)
    return clocks


def _lost(fault: kinds.Kind, timings: Timings, start: Range | None) -> dict[str, Range | None]:
    """What comes of it that Kubernetes alone believes a silence."""
    lost = not_ready(timings)
    clocks: dict[str, Range | None] = {"endpoints": lost + Range(*_SLICE_S)}
    if start is not None and timings.toleration_s is not None:
        evicted = lost + fixed(timings.toleration_s + timings.eviction_wait_s)
        clocks["capacity"] = _both(evicted, taken_over(timings.scheduler_s)) + start
    if fault.silent and timings.leaves_a_tail and timings.half_open_s is not None:
        # A connection that was begun just before the endpoint was gone.
        clocks["stale_flows"] = lost + Range(*_SLICE_S) + fixed(timings.half_open_s)
    return clocks


def _without_a_loss(
    fault: kinds.Kind, timings: Timings, start: Range | None
) -> tuple[Range | None, Range | None]:
    """The same two clocks where the node goes on, and whoever strikes its pods tells the API server."""
    if fault.in_place:
        return _again(fault, timings, start)
    if fault.takes != "application":
        return Range(*_SLICE_S), start
    if start is None:
        return None, None
    # A wave of new pods is ready before the next one is made.
    whole = Range(start.low * timings.waves, start.high * timings.waves) + Range(*_SLICE_S)
    return whole, whole


def _again(fault: kinds.Kind, timings: Timings, start: Range | None) -> tuple[Range, Range | None]:
    """Until pods whose containers have to start again are off the list, and until they serve again.

    Where the program itself has ended, its pod is not ready at the kubelet's next look. Without its sandbox
    it is told to stop like any other, and serves on until it does.
    """
    noticed = Range(*_RELIST_S)
    if fault.takes == "namespaces":
        noticed += fixed(timings.stop_s)
    again = None if start is None else noticed + fixed(timings.backoff_s) + start
    return noticed + Range(*_SLICE_S), again


def _back(timings: Timings, start: Range | None, off_s: float) -> tuple[Range, Range | None]:
    """Until the pods of a machine that comes back are off the list, and until they or others serve.

    Whichever is first: the machine is held for lost, or its kubelet is back and says that nothing of them
    runs.
    """
    lost, back = not_ready(timings), fixed(off_s) + Range(*_BOOT_S)
    clean = _first(lost, back) + Range(*_SLICE_S)
    if start is None:
        return clean, None
    again = back + start
    if timings.toleration_s is None:
        return clean, again
    return clean, _first(again, lost + fixed(timings.toleration_s) + start)


def _first(one: Range, other: Range) -> Range:
    """The first of two."""
    return Range(min(one.low, other.low), min(one.high, other.high))


def _both(one: Range, other: Range) -> Range:
    """Once both have come about."""
    return Range(max(one.low, other.low), max(one.high, other.high))


def timings_from(text: str) -> Timings:
    """A type for the timings as a JSON object; what is not a timing is passed over."""
    try:
        content = files.parse(text)
        found = Timings(**{f.name: content[f.name] for f in fields(Timings) if f.name in content})
        _may_be(found)
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"no timings: {error}") from None
    return found


def _may_be(timings: Timings) -> None:
    """See that a cluster may be set so.

    Raises:
        ValueError: it may not.
    """
    for name, value in asdict(timings).items():
        if value is None and name not in {"grace_s", "monitor_period_s", "lease_s"}:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST_S:
            raise ValueError(f"{name} is {str(value)[:40]!r}; give seconds, 0 to {_MOST_S:g}")
    if timings.grace_s < timings.lease_s / 4:
        raise ValueError(
            f"a lease of {timings.lease_s:g} s is renewed each {timings.lease_s / 4:g} s, and a node without "
            f"a sign of life for {timings.grace_s:g} s (grace_s) is not ready: it hardly ever would be"
        )


def known(text: str) -> str:
    """A type for the name of a kind; not choices, for which each command would read the table."""
    try:
        return kinds.of(text).name
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_parser(commands: arguments.Commands) -> None:
    """Add ``predict`` to the command line."""
    parser = arguments.command(commands, "predict", run)
    parser.add_argument("--kind", required=True, type=known, help="of the fault")
    parser.add_argument("--recovery", default="automatic", choices=kinds.RECOVERIES)
    parser.add_argument(
        "--announcer",
        choices=("yes", "no"),
        help="whether the node announces the address; default: not known",
    )
    parser.add_argument(
        "--timings",
        required=True,
        type=timings_from,
        metavar="JSON",
        help=f"an object with {', '.join(field.name for field in fields(Timings))}",
    )
    arguments.add_seconds(
        parser, "--away", 0.0, "for how long a machine is off that comes back by itself", high=3600
    )
    parser.add_argument(
        "--rate",
        type=arguments.number(0.1, 20_000, " requests/s"),
        metavar="N",
        help="of the client's new connections, which says how long its ports rest",
    )


def run(options: argparse.Namespace) -> Answer:
    """Say how long a failover should take.

    Prints, as JSON, the predicted clocks in seconds from the fault on (the middle of each range; null
    where nothing of the kind is to happen, or nobody can say when), and the ranges.
    """
    announcer = None if options.announcer is None else options.announcer == "yes"
    timings = options.timings
    if options.rate is not None:
        timings = replace(timings, port_rest_s=len(ports.usable()) / options.rate)
    clocks = predict(options.kind, options.recovery, timings, announcer=announcer, off_s=options.away)
    data = {
        "predicted_s": {name: None if c is None else round(c.middle, 2) for name, c in clocks.items()},
        "ranges_s": {
            name: None if c is None else [round(c.low, 2), round(c.high, 2)] for name, c in clocks.items()
        },
    }
    print(json.dumps(data))
    return Answer(data)
