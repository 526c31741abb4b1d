"""What there is to go by when failed requests are explained."""

from __future__ import annotations

import bisect
import collections
import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.probe.ports import TRACKED_S
from failover_lab.report import stats
from failover_lab.report.address import ESTABLISHED, Address
from failover_lab.report.groups import connection, was_at_work
from failover_lab.report.rows import only
from failover_lab.run.records import NEW, REUSED, Outcome

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

    from failover_lab.report.cluster import Cluster, Endpoint, PodLife
    from failover_lab.report.fault import Fault
    from failover_lab.report.groups import Group
    from failover_lab.report.rows import Rows
    from failover_lab.run.records import Record

# A watch takes a moment to reach the observer.
WATCH_S = 1.0
# A pod that counts as ready gets its share of new connections at once; silent for longer, it does not serve.
_SILENT_S = 2.0
_SILENT_REQUESTS = 8
# After a pod is gone from the list of endpoints, kube-proxy needs up to a second and connections some more.
AFTER_S = 3.0
# kube-proxy gathers changes for up to a second, and needs a moment to write its rules.
RULES_S = 1.5
# For so long after a loss a kernel may remember where a connection led: for two minutes after the last use.
STALE_FLOW_S = 180.0
# The kernel needs a second or so to end the many processes of a node that is killed.
_DYING_S = 2.0
# These come where none is made.
_NO_CONNECTION = frozenset({Outcome.CONNECT_TIMEOUT, Outcome.UNREACHABLE})
# From a fault on, the address is away for minutes at most.
_AROUND_S = 3600.0


@dataclass(frozen=True)
class Stop:
    """A pod that was told to stop; instants in UTC seconds.

    Attributes:
        unlisted: when the Service ceased to list it as ready; None: not seen.
    """

    life: PodLife
    told: float
    unlisted: float | None

    def may_concern(self, kind: str, begin: float, end: float) -> bool:
        """Whether requests between these instants may have met it."""
        last = self.life.gone if kind == REUSED or self.unlisted is None else self.unlisted
        return self.told - WATCH_S <= end and (last is None or begin < last + AFTER_S)


class Evidence:
    """What there is to go by: the cluster's account, the fault, and every request.

    Args:
        cluster: as the observer saw it.
        fault: what was done.
        records: all, in the order of their due times.
        port_rests: as from ``ports.rests``.

    Attributes:
        address: its moves.
    """

    def __init__(
        self, cluster: Cluster, fault: Fault, records: Rows, port_rests: Mapping[int, float]
    ) -> None:
        """The records in the order of their due times."""
        self.cluster = cluster
        self.fault = fault
        self._port_rests = port_rests
        self._records = records
        # Of each sort of request when it came, by the second: a day has too many to keep each instant.
        self._times = [stats.Times() for _ in records.said]
        self._first_answers: dict[int, float] = {}
        self._were_on_node: set[str] = set()
        self.address = Address(cluster, fault, sorted(self._look()))

    def _look(self) -> Iterator[float]:
        """Look at each request once; gives the instants at which those who were answered had been connected.

        Those around the fault will do: a day has too many, and the address is away for minutes at most.
        """
        fault, records = self.fault, self._records
        at = math.inf if fault.at is None else fault.at
        lives: dict[str, list[PodLife]] = collections.defaultdict(list)
        for life in self.cluster.lives:
            lives[life.name].append(life)
        good = [record.outcome is Outcome.OK for record in records.said]
        for sorts, dues, dones, connected in records.columns("said", "due", "done", "connected"):
            self._count_by_second(sorts, dues)
            if fault.at is not None:
                begin, end = at - _AROUND_S, at + _AROUND_S
                yield from [when for when in only(connected, sorts, good) if begin <= when <= end]
            there = [sort for sort in set(sorts) if good[sort]]
            for pod in {records.said[sort].pod for sort in there} & lives.keys():
                answered = [ok and record.pod == pod for ok, record in zip(good, records.said, strict=True)]
                self._find_first_answers(lives[pod], dones, sorts, answered)
            before = set(sorts[: bisect.bisect_right(dues, at)])
            self._were_on_node.update(
                records.said[sort].pod
                for sort in before.intersection(there)
                if records.said[sort].pod and records.said[sort].node in fault.target
            )

    def _count_by_second(self, sorts: array[int], dues: array[float]) -> None:
        begin = 0
        while begin < len(dues):
            second = math.floor(dues[begin])
            end = bisect.bisect_left(dues, second + 1, begin)
            for sort, count in collections.Counter(sorts[begin:end]).items():
                self._times[sort].add(second, count)
            begin = end

    def _find_first_answers(
        self, lives: list[PodLife], dones: array[float], sorts: array[int], answered: list[bool]
    ) -> None:
        earliest, latest = min(dones), max(dones)
        for life in lives:
            first = self._first_answers.get(id(life), math.inf)
            # Whatever came later than one that is known is not looked at.
            if life.seen <= latest and earliest < first:
                ended = [done for done in only(dones, sorts, answered) if life.seen <= done < first]
                if ended:
                    self._first_answers[id(life)] = min(ended)

    def requests(self, kind: str, begin: float, end: float) -> int:
        """How many requests of this kind of connection were due between these instants, both included."""
        return self._count(begin, end, lambda record: connection(record) == kind)

    def answers(self, kind: str, pod: str, begin: float, end: float) -> int:
        """How many of them this pod answered well."""
        return self._count(
            begin,
            end,
            lambda record: connection(record) == kind and record.pod == pod and record.outcome is Outcome.OK,
        )

    def _count(self, begin: float, end: float, test: Callable[[Record], bool]) -> int:
        if not len(self._records):
            return 0
        begin = max(begin, self._records[0].due)
        end = min(end, self._records[-1].due)
        if begin > end:
            return 0
        first, last = math.ceil(begin), math.floor(end)
        if first >= last:
            return sum(test(record) for record in self._records.between(begin, end))
        whole = sum(
            self._times[sort].whole_seconds(first, last)
            for sort, record in enumerate(self._records.said)
            if test(record)
        )
        edges = itertools.chain(
            (record for record in self._records.between(begin, first) if record.due < first),
            self._records.between(last, end),
        )
        return whole + sum(test(record) for record in edges)

    def listed(self, at: float) -> set[str]:
        """The pods to which new connections went, by the list or by rules that had yet to follow it."""
        return {
            endpoint.pod
            for when in (at - AFTER_S, at)
            for endpoint in self.cluster.endpoints_or_first(when)
            if endpoint.ready
        }

    def first_answer(self, life: PodLife) -> float | None:
        """When this pod, and none that had its name before, first answered well."""
        return self._first_answers.get(id(life))

    def situation(self, record: Record, pod: str) -> Hashable:
        """What was so for a failed request; failures that differ in it are explained one by one.

        Whatever a rule asks has to be the same for all requests of one situation: a row of failures goes on
        while what it comes from changes, and what explains its first need not explain its last.

        Args:
            record: the request.
            pod: at the other end of its connection, as far as that is known.
        """
        if record.outcome in {Outcome.WRONG_STATUS, Outcome.WRONG_BODY}:
            return None
        at = record.done if was_at_work(record) else record.due
        fault_at = math.inf if self.fault.at is None else self.fault.at
        move = self.address.move(record)
        return (
            bisect.bisect_right(self._turns, at),
            record.done >= fault_at,
            move,
            move is not None and record.done < move[0],
            self.may_be_tracked(record),
            pod in self._were_on_node if pod else None,
            pod in self.fault.struck if pod else None,
        )

    @functools.cached_property
    def _turns(self) -> list[float]:
        """The instants at which what may explain a failure begins or ends to be so."""
        found: set[float | None] = {self.fault.at, self.fault.back}
        for begin, end in self.cluster.spells_without_ready:
            found |= {begin - WATCH_S, end + RULES_S}
        for begin, end in self.spells_of_the_dead:
            found |= {begin, end, end + RULES_S}
        for gap in self.cluster.gaps:
            found |= {gap.begin, gap.end}
        for stop in self._stops:
            ends = (stop.unlisted, stop.life.gone)
            found |= {stop.told - WATCH_S, *(end + AFTER_S for end in ends if end is not None)}
        for begin, end, _ in self.spells_not_serving:
            found |= {begin, end}
        for life in self.cluster.lives:
            if life.ready is not None:
                found |= {life.ready - WATCH_S, life.ready + AFTER_S, self.first_answer(life)}
        if self.fault.at is not None:
            found |= {self.fault.at + _DYING_S, self.fault.at + STALE_FLOW_S}
        return sorted(at for at in found if at is not None)

    @functools.cached_property
    def spells_of_the_dead(self) -> list[tuple[float, float]]:
        """When the list had a ready endpoint on the node of the fault."""
        return self.cluster.spells(lambda state: bool(self.on_node(state)))

    def on_node(self, state: Iterable[Endpoint]) -> set[str]:
        """The ready pods of the list that are on the node of the fault."""
        return {e.pod for e in state if e.ready and e.node in self.fault.target}

    # Tracked connections

    def may_be_tracked(self, record: Record) -> bool | None:
        """Whether a kernel may have remembered where this connection led before it; None: not known."""
        if connection(record) == REUSED or record.outcome not in _NO_CONNECTION:
            return False
        if record.local_port is None:
            return None
        rest_s = self._port_rests.get(record.number)
        return rest_s is not None and rest_s < TRACKED_S

    def led_to_the_living(self, record: Record) -> bool:
        """Whether the connection was made when no dead pod could have made it any more."""
        at = self.fault.at
        if at is None or self.fault.takes_connections or connection(record) == REUSED:
            return False
        return record.outcome in ESTABLISHED and record.due >= at + _DYING_S

    def was_on_node(self, pod: str) -> bool:
        """Whether this pod answered from the node of the fault before it."""
        return pod in self._were_on_node

    def leads_elsewhere(self, group: Group) -> bool:
        """Whether the connections are known to have led to pods on other nodes."""
        return bool(group.pods) and not any(map(self.was_on_node, group.pods))

    # Pods that come and go

    @functools.cached_property
    def spells_not_serving(self) -> list[tuple[float, float, list[tuple[PodLife, float, float]]]]:
        """When pods that counted as ready did not answer: (begin, end, pods), what overlaps being one."""
        result: list[tuple[float, float, list[tuple[PodLife, float, float]]]] = []
        for life, ready, until in sorted(self.not_serving, key=lambda entry: entry[1]):
            begin, end = ready - WATCH_S, until + WATCH_S
            if result and begin <= result[-1][1]:
                before = result[-1]
                result[-1] = (before[0], max(end, before[1]), [*before[2], (life, ready, until)])
            else:
                result.append((begin, end, [(life, ready, until)]))
        return result

    @functools.cached_property
    def not_serving(self) -> list[tuple[PodLife, float, float]]:
        """Pods that counted as ready long before they answered: (pod, ready, first answer or the end)."""
        result = []
        for life in self.cluster.lives:
            if life.ready is None or life.seen >= life.ready:
                continue
            until = self.first_answer(life) or life.gone or life.told_to_stop or math.inf
            share = max(1, sum(endpoint.ready for endpoint in self.cluster.endpoints(life.ready)))
            missed = self.requests(NEW, life.ready, until) / share
            if until - life.ready > _SILENT_S and missed >= _SILENT_REQUESTS:
                result.append((life, life.ready, until))
        return result

    @functools.cached_property
    def _stops(self) -> list[Stop]:
        result = []
        for life in self.cluster.lives:
            if life.told_to_stop is not None:
                states = self.cluster.endpoint_states(life.told_to_stop - WATCH_S, math.inf)
                listed = ((at, any(e.pod == life.name and e.ready for e in state)) for at, state in states)
                unlisted = next((at for at, there in listed if not there), None)
                result.append(Stop(life, life.told_to_stop, unlisted))
        return result

    def stops(self, kind: str, begin: float, end: float | None = None) -> list[Stop]:
        """The stops of pods to which this kind of connection may still have led.

        Args:
            kind: new connections go to a pod for as long as the rules on the nodes say so, which follow the
                list of endpoints; reused ones for as long as it is there.
            begin: an instant, or the first of a time.
            end: the last of that time.
        """
        return [stop for stop in self._stops if stop.may_concern(kind, begin, begin if end is None else end)]
