"""What there is to go by when failed requests are explained."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.faults import kinds
from failover_lab.report import stats
from failover_lab.run.records import NEW, REUSED, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.report.cluster import Cluster, PodLife
    from failover_lab.report.rows import Rows
    from failover_lab.run.records import Record

# A watch takes a moment to reach the observer.
WATCH_S = 1.0
# A pod that counts as ready gets its share of new connections at once; silent for longer, it does not serve.
_SILENT_S = 2.0
_SILENT_REQUESTS = 8
# After a pod is gone from the list of endpoints, kube-proxy needs up to a second and connections some more.
_AFTER_S = 3.0


@dataclass(frozen=True)
class Fault:
    """What was done; ``at`` is None where nothing was, ``back`` where the node was not seen to return."""

    kind: str | None
    node: str | None
    at: float | None
    back: float | None = None

    @property
    def what(self) -> kinds.Kind:
        """The row of its kind."""
        return kinds.of(self.kind)


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
        return self.told - WATCH_S <= end and (last is None or begin <= last + _AFTER_S)


class Evidence:
    """What there is to go by: the cluster's account, the fault, and every request.

    Attributes:
        first_answers: pod to the instant of its first good answer.
    """

    def __init__(self, cluster: Cluster, fault: Fault, records: Rows) -> None:
        """The records in the order of their due times."""
        self.cluster = cluster
        self.fault = fault
        self.first_answers: dict[str, float] = {}
        self._records = records
        # Of each sort of request when it came, by the second: a day has too many to keep each instant.
        self._times = [stats.Times() for _ in records.said]
        pods = [record.pod if record.outcome is Outcome.OK else "" for record in records.said]
        for sort, due, done in records.pick("said", "due", "done"):
            self._times[sort].add(due)
            if pod := pods[sort]:
                earlier = self.first_answers.get(pod)
                if earlier is None or done < earlier:
                    self.first_answers[pod] = done

    def requests(self, kind: str, begin: float, end: float) -> int:
        """How many requests of this kind of connection were due between these instants, both included."""
        return self._count(begin, end, lambda record: record.kind == kind)

    def answers(self, kind: str, pod: str, begin: float, end: float) -> int:
        """How many of them this pod answered well."""
        return self._count(
            begin,
            end,
            lambda record: record.kind == kind and record.pod == pod and record.outcome is Outcome.OK,
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
            for when in (at - _AFTER_S, at)
            for endpoint in self.cluster.endpoints_or_first(when)
            if endpoint.ready
        }

    @functools.cached_property
    def not_serving(self) -> list[tuple[PodLife, float, float]]:
        """Pods that counted as ready long before they answered: (pod, ready, first answer or the end)."""
        result = []
        for life in self.cluster.pods.values():
            if life.ready is None or life.seen >= life.ready:
                continue
            until = self.first_answers.get(life.name, life.gone or life.told_to_stop or float("inf"))
            share = max(1, sum(endpoint.ready for endpoint in self.cluster.endpoints(life.ready)))
            missed = self.requests(NEW, life.ready, until) / share
            if until - life.ready > _SILENT_S and missed >= _SILENT_REQUESTS:
                result.append((life, life.ready, until))
        return result

    @functools.cached_property
    def _stops(self) -> list[Stop]:
        result = []
        for life in self.cluster.pods.values():
            if life.told_to_stop is not None:
                states = self.cluster.endpoint_states(life.told_to_stop - WATCH_S, float("inf"))
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
