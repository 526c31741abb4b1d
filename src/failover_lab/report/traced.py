"""What the nodes' kernels say of a run's requests: who answered, and where a lost one went."""

from __future__ import annotations

import collections
import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from failover_lab.report import words
from failover_lab.run import instants
from failover_lab.run.counts import commonest
from failover_lab.run.records import REUSED, Outcome
from failover_lab.trace import log
from failover_lab.trace.join import Join

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from failover_lab.report.cluster import Cluster, PodLife
    from failover_lab.report.rows import Rows
    from failover_lab.run.records import Record
    from failover_lab.trace.join import Entry, Way

# A pod's address is known to its node before it is to the observer.
_EARLY_S = 5.0
# Of the answered connections at least so many are in the trace, or it is not one of this probe's connections.
_MOST_MISSED = 0.01
# A node whose processes have ended may have said something that nobody heard any more.
_LAST_LINES_S = 1.0
_MOST_TOLD = 20


@dataclass(frozen=True)
class _Held:
    """A pod had an address from then to then."""

    life: PodLife
    begin: float
    end: float


class Addresses:
    """Which pod had an address at an instant.

    Args:
        lives: of the pods that the observer has seen.
    """

    def __init__(self, lives: Iterable[PodLife]) -> None:
        """Sort them by their addresses."""
        self._by_address: dict[str, list[_Held]] = collections.defaultdict(list)
        for life in lives:
            ends = [*(begin for begin, _ in life.addresses[1:]), life.gone or math.inf]
            # One that waits for a node has none, and its end is nobody's.
            for (begin, address), end in zip(life.addresses, ends, strict=False):
                self._by_address[address].append(_Held(life, begin, end))
        for held in self._by_address.values():
            held.sort(key=lambda one: one.begin)

    def at(self, address: str, at: float) -> PodLife | None:
        """The pod that had it; None: nobody knows."""
        held = self._by_address.get(address, ())
        # One that has ended still has what is sent to it, until another has its address. Whose it will
        # be is known to its node before the observer hears of it.
        there = (
            next((one for one in reversed(held) if one.begin <= at < one.end), None)
            or next((one for one in held if at < one.begin <= at + _EARLY_S), None)
            or next((one for one in reversed(held) if one.begin <= at), None)
        )
        return None if there is None else there.life


@dataclass(frozen=True)
class Disagreement:
    """An answer that says another name than the pod to which the kernel sent the request."""

    at: float
    said: str
    sent_to: str


@dataclass
class Trace:
    """What is known by the trace of a run.

    Attributes:
        about: how it was traced; None: it was not.
        ways: of the lost requests, by their numbers.
        matched: answered connections that are in the trace.
        missed: answered connections that are not, although every node was heard.
        unheard: those that are not, while not every node was heard.
        compared: answers of which both the kernel and the application say who gave them.
        named: answers of which the kernel alone says so.
        disagreements: between the two.
        received: node to how many connections it received.
        receivers: (instant, node) whenever another node received a connection, the first included.
    """

    about: log.About | None = None
    ways: dict[int, Way] = field(default_factory=dict)
    matched: int = 0
    missed: int = 0
    unheard: int = 0
    compared: int = 0
    named: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)
    received: collections.Counter[str] = field(default_factory=collections.Counter)
    receivers: list[tuple[float, str]] = field(default_factory=list)
    addresses: Addresses = field(default_factory=lambda: Addresses([]))
    nodes: list[str] = field(default_factory=list)

    @property
    def proven(self) -> bool:
        """Whether the answered connections show that the trace has this probe's connections."""
        return self.matched > 0 and self.missed <= _MOST_MISSED * (self.matched + self.missed)

    def doubt(self, begin: float, end: float, dead: Collection[str]) -> str:
        """Why a connection may have been received by a node though no line says so; empty: it was not.

        Args:
            begin: when it was opened.
            end: until when a node could have received it.
            dead: nodes that were dead then, whatever is known of them.
        """
        about = self.about
        if about is None:
            return "the run was not traced"
        if not self.by_any:
            return about.trouble or "no node was heard"
        if not self.proven:
            return f"{words.number(self.missed)} answered connections are not in the trace either"
        for loss in about.losses:
            if loss.begin <= end and begin <= loss.end:
                return f"the kernel of {loss.node} said more than could be read just then"
        for node in self.nodes:
            if node in dead:
                continue
            spans = [span for span in about.spans if span.node == node]
            if not any(s.begin <= begin and (s.end is None or end <= s.end) for s in spans):
                why = about.unheard.get(node, "")
                return f"{node} was not heard just then{f' ({why})' if why and not spans else ''}"
        return ""

    def last_lines(self, begin: float) -> str | None:
        """The node that took what it would have said of a connection opened then along when it died."""
        if self.about is None:
            return None
        for span in self.about.spans:
            # By its own socket this machine hears a node to the end.
            heard_to_the_end = self.about.by.get(span.node) == "netlink"
            if (
                span.end is not None
                and not heard_to_the_end
                and span.begin <= begin <= span.end <= begin + _LAST_LINES_S
            ):
                return span.node
        return None

    @property
    def by_any(self) -> bool:
        """Whether any node was heard at all."""
        return self.about is not None and bool(self.about.spans)

    def is_heard_anew(self, node: str, since: float, at: float) -> bool:
        """Whether a node was started again between two instants, and is heard since."""
        spans = self.about.spans if self.about is not None else []
        return any(span.node == node and since < span.begin <= at for span in spans)

    def next_receiver(self, at: float, but: str) -> tuple[float, str] | None:
        """From when on which other node received connections, after an instant; None: no other did."""
        return next((one for one in self.receivers if one[0] >= at and one[1] != but), None)

    def name(self, entry: Entry) -> str:
        """The pod to which an entry sends; its address where nobody knows its name."""
        life = self.addresses.at(entry.pod, entry.at)
        return life.name if life is not None else entry.pod


def follow(
    directory: Path | None,
    records: Rows,
    seen: Cluster,
    nodes: list[str],
    again: Callable[[Iterable[Record]], Rows],
) -> tuple[Trace, Rows]:
    """The trace of a run, and its records, in which answers without a name have the traced one.

    Args:
        directory: the run's; None: it has none.
        records: in the order of their due times.
        seen: the cluster's account, for the names of pods.
        nodes: of the cluster.
        again: keeps records, one by one, as these are kept.

    Raises:
        UserError: a file of the trace is damaged, or another version's.
    """
    about = None if directory is None else log.about(directory)
    result = Trace(about, addresses=Addresses(seen.lives), nodes=nodes)
    if directory is None or about is None or not about.spans:
        return result, records
    join = Join(log.lines(directory), about.spans, about.clients)
    looked = (_look(result, record, join.way(record)) for record in records)
    if any(record.outcome is Outcome.OK and not record.pod for record in records.said):
        records = again(looked)
    else:
        # Each answer says itself who gave it: they stay what they are.
        collections.deque(looked, maxlen=0)
    result.receivers = join.receivers
    return result, records


def _look(trace: Trace, record: Record, way: Way) -> Record:
    opens = not (record.kind == REUSED and record.prior)
    if opens and way.entries:
        trace.received[way.entries[-1].node] += 1
    if record.failed:
        trace.ways[record.number] = way
    if record.outcome is not Outcome.OK:
        return record
    if carriers := way.carriers:
        trace.matched += opens
        return _named(trace, record, carriers)
    if opens and _all_heard(trace, record.due, record.done):
        trace.missed += 1
    else:
        trace.unheard += opens
    return record


def _named(trace: Trace, record: Record, carriers: tuple[Entry, ...]) -> Record:
    lives = [trace.addresses.at(one.pod, one.at) for one in carriers]
    # The nodes do not say which of two carried it; where the application does, it is one of them.
    life = next((one for one in lives if one is not None and one.name == record.pod), lives[0])
    if life is None:
        return record
    if not record.pod:
        if any(one is not life for one in lives):
            return record
        trace.named += 1
        return dataclasses.replace(record, pod=life.name, node=record.node or life.node)
    trace.compared += 1
    if record.pod != life.name:
        trace.disagreements.append(Disagreement(record.due, record.pod, life.name))
    return record


def _all_heard(trace: Trace, begin: float, end: float) -> bool:
    assert trace.about is not None  # noqa: S101
    if any(loss.begin <= end and begin <= loss.end for loss in trace.about.losses):
        return False
    heard = {s.node for s in trace.about.spans if s.begin <= begin and (s.end is None or end <= s.end)}
    return heard >= set(trace.nodes)


def described(trace: Trace, lost: dict[str, int], reasons: collections.Counter[str]) -> dict[str, Any] | None:
    """The section of report.json; None where the run was not traced.

    Args:
        trace: of the run.
        lost: how many lost requests have evidence, and how many a guess.
        reasons: why the others have none, with how many.
    """
    about = trace.about
    if about is None:
        return None
    return {
        "by": about.by,
        "trouble": about.trouble or None,
        "unheard": about.unheard,
        "losses": [
            {"node": loss.node, "begin": instants.text(loss.begin), "end": instants.text(loss.end)}
            for loss in about.losses
        ],
        "connections": {"matched": trace.matched, "missed": trace.missed, "unheard": trace.unheard},
        "received": dict(commonest(trace.received)),
        "answers": {
            "compared": trace.compared,
            "named": trace.named,
            "disagreements": len(trace.disagreements),
            "examples": [
                {"at": instants.text(one.at), "said": one.said, "sent_to": one.sent_to}
                for one in trace.disagreements[:_MOST_TOLD]
            ],
        },
        "lost": lost,
        "guessed_because": dict(commonest(reasons)),
    }
