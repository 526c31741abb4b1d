"""What the trace says of a lost request: who received it, to whom it was sent, and what was wrong with that.

This is evidence: the kernel's own account of that very connection. Only where there is none is it left to what
the cluster said at the time (``failover_lab.report.rules``), which is a guess, however good.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.report import words
from failover_lab.run import instants
from failover_lab.run.records import REUSED, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_lab.report.cluster import Cluster
    from failover_lab.report.evidence import Fault
    from failover_lab.report.traced import Trace
    from failover_lab.run.records import Record
    from failover_lab.trace.join import Entry, Way

#: The cause where no node received a connection, and no move of the address explains it.
NOT_RECEIVED = "not_received"
#: What may still be asked of the cluster where the trace says that a request was sent to a pod that lived.
OF_THE_LIVING = frozenset(
    {"bad_answer", "stale_reused_connection", "not_serving_yet", "ungraceful_stop", "endpoint_refuses"}
)
# An answer of whatever kind shows that somebody was there.
_ANSWERED = frozenset({Outcome.WRONG_STATUS, Outcome.WRONG_BODY})
# An address that moves takes a moment to be known to those who ask.
_MOVING_S = 2.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the trace says of a request; equal for requests that have one explanation.

    Attributes:
        cause: one of those that report.schema.json lists; empty: it was sent to a pod that lived, or, where
            there is no evidence, nobody knows.
        because: the sentence that supports it, with ``{pods}`` for those to which it was sent.
        doubt: why there is no evidence; empty: there is.
    """

    cause: str = ""
    because: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class ByTrace:
    """Asks the trace of one run.

    Attributes:
        trace: of the run.
        cluster: as the observer saw it.
        fault: what was done.
    """

    trace: Trace
    cluster: Cluster
    fault: Fault

    def told(self, record: Record) -> Told:
        """What the trace says of a lost request."""
        way = self.trace.ways.get(record.number)
        if way is None:
            return Told(doubt=self._not_traced())
        if way.entries:
            return self._sent(record, way)
        opened = record.due + record.late_ms / 1000.0
        if record.outcome in _ANSWERED:
            return Told(doubt=self.trace.doubt(opened, record.done, None) or "no line is about it")
        dead = self._dead_since(self.fault.node, record.done) is not None
        doubt = self.trace.doubt(opened, record.done, self.fault.node if dead else None)
        if way.older is not None and self._may_have(way.older, record):
            return self._by_an_old_entry(way.older)
        if (node := self.trace.last_lines(opened)) is not None:
            return Told(doubt=f"{node} took along what its kernel said last as it died")
        if doubt:
            return Told(doubt=doubt)
        if record.connected is not None or (record.kind == REUSED and record.prior):
            return Told(doubt="it was connected before the nodes were heard")
        return self._not_received(record)

    def pods(self, records: Iterable[Record]) -> dict[str, int]:
        """The pods to which requests were sent, with counts."""
        ways = (self.trace.ways.get(record.number) for record in records)
        entries = (way.last for way in ways if way is not None)
        found = collections.Counter(self.trace.name(entry) for entry in entries if entry is not None)
        return dict(found.most_common())

    def nodes(self, records: Iterable[Record]) -> dict[str, int]:
        """The nodes that received requests, with counts."""
        ways = (self.trace.ways.get(record.number) for record in records)
        entries = (way.last for way in ways if way is not None)
        return dict(collections.Counter(entry.node for entry in entries if entry is not None).most_common())

    def _not_traced(self) -> str:
        about = self.trace.about
        if about is None:
            return "the run was not traced"
        return about.trouble or "no node was heard"

    def _dead_since(self, node: str | None, at: float) -> float | None:
        """Since when a node was dead at an instant; None: it was not."""
        fault = self.fault
        if not node or node != fault.node or fault.what.takes != "machine" or fault.at is None:
            return None
        if at < fault.at or (fault.back is not None and at >= fault.back):
            return None
        return fault.at

    def _sent(self, record: Record, way: Way) -> Told:
        last = way.entries[-1]
        nodes = words.listed(dict.fromkeys(entry.node for entry in way.entries))
        life = self.trace.addresses.at(last.pod, last.at)
        if record.outcome in _ANSWERED:
            return Told()
        struck = "cut off" if self.fault.what.symptom == "cut_off" else "dead"
        if life is not None and (since := self._dead_since(life.node, record.done)) is not None:
            return Told(
                "endpoint_dead",
                f"{nodes} sent them to {{pods}} on {life.node}, which was {struck} from {_clock(since)} on",
            )
        if (since := self._dead_since(last.node, record.done)) is not None:
            return Told(
                "address_moved",
                f"{nodes} received them for {{pods}}, and was {struck} from {_clock(since)} on",
            )
        if record.kind == REUSED and record.prior and way.entries[0].node != last.node:
            return Told(
                "address_moved",
                f"the connections were opened through {way.entries[0].node}; {last.node} received what "
                "followed, and knew nothing of them",
            )
        if life is None or (record.kind == REUSED and record.prior):
            return Told()
        if life.told_to_stop is not None and life.told_to_stop <= record.done:
            gone = f", gone at {_clock(life.gone)}" if life.gone is not None else ""
            return Told(
                "shutdown_race",
                f"{nodes} sent them to {life.name}, which was told to stop at "
                f"{_clock(life.told_to_stop)}{gone}",
            )
        return Told()

    def _may_have(self, older: Entry, record: Record) -> bool:
        """Whether a request may have been received by the node that has an old entry for its port."""
        if self._dead_since(older.node, record.due) is not None:
            return False
        leads = self.trace.leads(self.cluster, record.due), self.trace.leads(self.cluster, record.done)
        return older.node in leads or leads == (None, None)

    def _by_an_old_entry(self, older: Entry) -> Told:
        pod = self.trace.name(older)
        return Told(
            "stale_flow",
            f"{older.node} sent them to {pod} by entries of earlier connections from the same ports, "
            "older than its rules",
        )

    def _not_received(self, record: Record) -> Told:
        led = self.trace.leads(self.cluster, record.due)
        since = self._dead_since(led, record.done)
        left = next((m for m in self.cluster.moves() if m[1] == led and m[0] >= record.due - _MOVING_S), None)
        if led is not None and since is not None:
            struck = "cut off" if self.fault.what.symptom == "cut_off" else "dead"
            until = f"until {_clock(left[0])}, when {left[2]} took it" if left is not None else "to the end"
            because = f"no node received them: the address led to {led}, {struck} from {_clock(since)} on, {until}"
            return Told("address_moved" if left is not None else NOT_RECEIVED, because)
        near = [m for m in self.cluster.moves() if record.due - _MOVING_S <= m[0] <= record.done + _MOVING_S]
        if near:
            at, before, after = near[0]
            because = f"no node received them, as the address moved from {before} to {after} at {_clock(at)}"
            return Told("address_moved", because)
        where = f", while the address led to {led}" if led is not None else ""
        return Told(NOT_RECEIVED, f"no node received them{where}")


def _clock(at: float) -> str:
    return instants.text(at)[11:23]
