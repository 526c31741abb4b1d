"""What the trace says of a lost request: who received it, to whom it was sent, and what was wrong with that.

This is evidence: the kernel's own account of that very connection. Only where there is none is it left to
what the cluster said at the time (``failover_lab.report.rules``), which is a guess, however good.
"""

from __future__ import annotations

import collections
import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from failover_lab.report import words
from failover_lab.report.evidence import RULES_S
from failover_lab.report.groups import was_at_work
from failover_lab.report.rules import Finding, attribute
from failover_lab.run import instants
from failover_lab.run.counts import commonest
from failover_lab.run.records import REUSED, Outcome
from failover_lab.trace.join import NOWHERE, begun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from failover_lab.report.cluster import Cluster
    from failover_lab.report.evidence import Evidence
    from failover_lab.report.fault import Fault
    from failover_lab.report.groups import Group
    from failover_lab.report.traced import Trace
    from failover_lab.run.records import Record
    from failover_lab.trace.join import Entry, Way

#: The cause where no node received a connection, and no move of the address explains it.
NOT_RECEIVED = "not_received"
#: What may still be asked of the cluster where the trace says that a request was sent to a pod that lived.
OF_THE_LIVING = frozenset(
    {"bad_answer", "stale_reused_connection", "not_serving_yet", "ungraceful_stop", "endpoint_refuses"}
)
#: And where the connection had been there before.
OF_THE_CONNECTED = frozenset({"address_moved", "shutdown_race"})
# An answer of whatever kind shows that somebody was there.
_ANSWERED = frozenset({Outcome.WRONG_STATUS, Outcome.WRONG_BODY})
_BREAKS = frozenset({Outcome.REFUSED, Outcome.RESET, Outcome.CLOSED_EARLY})
_NO_CONNECTION = frozenset({Outcome.CONNECT_TIMEOUT, Outcome.REFUSED, Outcome.UNREACHABLE})
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
    _told: dict[int, Told] = field(default_factory=dict)

    def told(self, record: Record) -> Told:
        """What the trace says of a lost request."""
        if record.number not in self._told:
            self._told[record.number] = self._tell(record)
        return self._told[record.number]

    def _tell(self, record: Record) -> Told:
        way = self.trace.ways.get(record.number, NOWHERE)
        if way.entries:
            return (
                Told()
                if record.outcome in _ANSWERED
                else self._by_the_struck(record, way)
                or self._by_no_rule(record, way)
                or self._sent(record, way)
            )
        if way.older is not None and self._may_have(way.older, record):
            return self._by_an_old_entry(way.older)
        doubt = self._doubt(record)
        return Told(doubt=doubt) if doubt else self._not_received(record)

    def _doubt(self, record: Record) -> str:
        """Why a request may have been received though no line says so; empty: no node received it."""
        opened = begun(record)
        mute = self.trace.last_lines(opened)
        to_the_mute = mute is not None and self._led_to_the_dead(record) == mute
        if mute is not None and not to_the_mute:
            return f"{mute} took along what its kernel said last as it died"
        dead = {one for one in self.fault.target.nodes if self._dead_since(one, record.done) is not None}
        if doubt := self.trace.doubt(opened, record.done, dead):
            return doubt
        if to_the_mute:
            # To whom it led is known by others, and that it died by who killed it.
            return ""
        if _was_connected(record):
            return "the connection was there, and no node's kernel had said so"
        # A refusal is an answer too.
        return "somebody refused them, and no node's kernel had said so" if record.outcome in _BREAKS else ""

    def account(self, records: Iterable[Record]) -> tuple[dict[str, int], collections.Counter[str]]:
        """How many lost requests have evidence and how many a guess, and why those have none."""
        lost = {"evidence": 0, "guess": 0}
        reasons: collections.Counter[str] = collections.Counter()
        for record in records:
            doubt = self.told(record).doubt
            lost["guess" if doubt else "evidence"] += 1
            if doubt:
                reasons[doubt] += 1
        return lost, reasons

    def with_pods(self, group: Group) -> Group:
        """The same failures, with the pods to which the trace says that they were sent."""
        pods = self.pods(group.records)
        return dataclasses.replace(group, pods=pods) if pods else group

    def finding(self, group: Group) -> Finding | None:
        """The cause by evidence, of failures of which all the same is told; None: it has to be guessed."""
        told = self.told(group.first)
        if not told.cause:
            return None
        return Finding(told.cause, told.because.format(pods=words.listed(group.pods)), told.because)

    def guess(self, group: Group, evidence: Evidence) -> Finding:
        """The cause by what the cluster said, as far as the trace allows it."""
        if self.told(group.first).doubt:
            return attribute(group, evidence)
        only = OF_THE_LIVING | (OF_THE_CONNECTED if group.kind == REUSED else frozenset())
        finding = attribute(group, evidence, only)
        if finding.cause != "unexplained":
            return finding
        entries = filter(None, map(self._last, group.records))
        received = words.listed(dict.fromkeys(entry.node for entry in entries))
        lived = f"{received} sent them to {words.listed(group.pods)}, which lived"
        return Finding(finding.cause, f"{lived}; nothing that the cluster reported goes with it")

    def described(self, records: Sequence[Record]) -> dict[str, Any]:
        """What report.json says of a group of lost requests beside its cause."""
        entries = [entry for record in records if (entry := self._last(record)) is not None]
        received = collections.Counter(entry.node for entry in entries)
        found = {
            "traced": sum(not self.told(record).doubt for record in records),
            "received_by": dict(commonest(received)),
        }
        return found | ({"pods": self.pods(records)} if entries else {})

    def pods(self, records: Iterable[Record]) -> dict[str, int]:
        """The pods to which requests were sent, with counts."""
        return dict(commonest(collections.Counter(filter(None, map(self.pod, records)))))

    def pod(self, record: Record) -> str:
        """The pod to which a request was sent; empty: nobody knows."""
        entry = self._last(record)
        return "" if entry is None or self._leads_nowhere(record, entry) else self.trace.name(entry)

    def _last(self, record: Record) -> Entry | None:
        way = self.trace.ways.get(record.number, NOWHERE)
        # An old entry of a node that cannot have received it sends nothing.
        return (
            way.last if way.entries or (way.older is not None and self._may_have(way.older, record)) else None
        )

    def _dead_since(self, node: str | None, at: float) -> float | None:
        """Since when a node was dead at an instant; None: it was not."""
        fault = self.fault
        if not node or node not in fault.target or fault.what.takes != "machine" or fault.at is None:
            return None
        if at < fault.at or (fault.back is not None and at >= fault.back):
            return None
        return None if self.trace.is_heard_anew(node, fault.at, at) else fault.at

    def _led_to_the_dead(self, record: Record) -> str | None:
        """The node to which the address led as a request was due, if that was dead before it ended."""
        led = self.cluster.announcer(record.due)
        return None if self._dead_since(led, record.done) is None else led

    def _sent(self, record: Record, way: Way) -> Told:
        last = way.entries[-1]
        nodes = words.listed(dict.fromkeys(entry.node for entry in way.entries))
        life = self.trace.addresses.at(last.pod, last.at)
        if life is not None and (since := self._dead_since(life.node, record.done)) is not None:
            said = f"{nodes} sent them to {{pods}} on {life.node}, {self._struck} from {_clock(since)} on"
            return Told("endpoint_dead", said)
        if (since := self._dead_since(last.node, record.done)) is not None:
            said = f"{nodes} received them for {{pods}}, and was {self._struck} from {_clock(since)} on"
            return Told("address_moved", said)
        opened, then = _opened_and_followed(record, way.entries)
        if opened != then:
            knew = f"what followed, {then} received, which knew nothing of them"
            said = f"they were opened through {opened}; {knew}"
            return Told("address_moved", said)
        if record.kind == REUSED and record.prior:
            return Told()
        if life is None or life.told_to_stop is None or life.told_to_stop > record.done:
            return Told()
        said = f"{nodes} sent them to {life.name}, told to stop at {_clock(life.told_to_stop)}"
        if was_at_work(record):
            cause, then = "ungraceful_stop", ", which broke off what it was at work on"
        else:
            cause, then = "shutdown_race", "" if life.gone is None else f", gone at {_clock(life.gone)}"
        return Told(cause, said + then)

    def _by_no_rule(self, record: Record, way: Way) -> Told | None:
        """That a node took a connection while its rules led to no pod; None: they did.

        However often the connection is tried again, its node keeps to how it took it first.
        """
        last = way.entries[-1]
        if not self._leads_nowhere(record, last):
            return None
        none = self._none_ready(last.at - last.within_s, last.at)
        said = f"{last.node} took them while it had nobody to send them to, as {none}"
        return Told("no_endpoint", said) if none else None

    def _none_ready(self, begin: float, end: float) -> str:
        """That the rules may have led to no pod at some time between two instants; empty: they did to one."""
        for since, until in self.cluster.spells_without_ready:
            if since <= end and begin < until + RULES_S:
                return f"the Service had no ready endpoint from {_clock(since)} on"
        return ""

    def _leads_nowhere(self, record: Record, entry: Entry) -> bool:
        """Whether an entry sends to the address that was asked, and that is no pod's."""
        return entry.pod == record.peer and self.trace.addresses.at(entry.pod, entry.at) is None

    def _by_the_struck(self, record: Record, way: Way) -> Told | None:
        """That its pod had been killed, or a node on the way was short of something; None: neither."""
        nodes = words.listed(dict.fromkeys(entry.node for entry in way.entries))
        last = way.entries[-1]
        life = self.trace.addresses.at(last.pod, last.at)
        if life is not None and (what := self.fault.killed(life.name, record.due, record.done)) is not None:
            said = f"{nodes} sent them to {{pods}}, {what} of which was killed at {self._since}"
            return Told("killed_in_place", said)
        if record.outcome in _BREAKS:
            return None
        for node in (life.node if life is not None else None, last.node):
            if (short := self.fault.hampered(node, record.done)) is not None:
                on = f" on {node}" if node != last.node else ""
                said = f"{nodes} sent them to {{pods}}{on}, and {node} {short.words} from {self._since} on"
                return Told(short.cause, said)
        return None

    @property
    def _since(self) -> str:
        return _clock(self.fault.at or 0.0)

    @property
    def _struck(self) -> str:
        return "cut off" if self.fault.what.symptom == "cut_off" else "dead"

    def _may_have(self, older: Entry, record: Record) -> bool:
        """Whether a request may have been received by the node that has an old entry for its port."""
        if self._dead_since(older.node, record.due) is not None:
            return False
        leads = self.cluster.announcer(record.due), self.cluster.announcer(record.done)
        return older.node in leads or leads == (None, None)

    def _by_an_old_entry(self, older: Entry) -> Told:
        pod = self.trace.name(older)
        return Told(
            "stale_flow",
            f"{older.node} sent them to {pod} by entries of earlier connections from the same ports, "
            "older than its rules",
        )

    def _not_received(self, record: Record) -> Told:
        led = self.cluster.announcer(record.due)
        since = self._dead_since(led, record.done)
        if led is not None and since is not None:
            then = self.trace.next_receiver(record.due, led)
            until = "" if then is None else f"; {then[1]} received others from {_clock(then[0])} on"
            struck = f"{self._struck} from {_clock(since)} on"
            because = f"no node received them: the address led to {led}, {struck}{until}"
            if self.trace.last_lines(begun(record)) == led:
                because = (
                    f"the address led to {led}, {struck}, which took its kernel's last words along{until}"
                )
            return Told(NOT_RECEIVED if then is None else "address_moved", because)
        if (short := self.fault.hampered(led, record.done)) is not None:
            because = (
                f"no node received them: the address led to {led}, which {short.words} from {self._since} on"
            )
            return Told(short.cause, because)
        if none := self._none_ready(record.due, record.due):
            return Told("no_endpoint", f"no node received them, as {none}")
        near = [m for m in self.cluster.moves() if record.due - _MOVING_S <= m[0] <= record.done + _MOVING_S]
        if near:
            at, before, after = near[0]
            because = f"no node received them, as the address moved from {before} to {after} at {_clock(at)}"
            return Told("address_moved", because)
        where = f", while the address led to {led}" if led is not None else ""
        return Told(NOT_RECEIVED, f"no node received them{where}")


def _opened_and_followed(record: Record, entries: Sequence[Entry]) -> tuple[str, str]:
    """The node through which a connection was opened, and the one that received what came then."""
    if _followed(record, entries[-1]):
        return entries[0].node, entries[-1].node
    # Nodes are read one after the other: which of two entries was the first is not known to the millisecond.
    rest = [entry for entry in entries if entry.is_of_the_rest]
    lasting = [entry for entry in entries if not entry.is_of_the_rest]
    if rest and lasting and _was_connected(record):
        return lasting[0].node, rest[-1].node
    return entries[-1].node, entries[-1].node


def _followed(record: Record, entry: Entry) -> bool:
    """Whether an entry was made for what came once the connection was there."""
    if record.kind == REUSED and record.prior:
        return True
    return (
        _was_connected(record)
        and record.connected is not None
        and entry.at - entry.within_s > record.connected
    )


def _was_connected(record: Record) -> bool:
    """Whether the connection had come about."""
    if record.kind == REUSED and record.prior:
        return True
    return record.connected is not None and record.outcome not in _NO_CONNECTION


def _clock(at: float) -> str:
    return instants.text(at)[11:23]
