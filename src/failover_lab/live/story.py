"""The story of a run in sentences, each with its instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from failover_lab.faults import kinds, target
from failover_lab.kube.names import OUT_OF_SERVICE
from failover_lab.observe import resources as r
from failover_lab.report import words
from failover_lab.run import marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from failover_lab.report.cluster import Cluster, PodLife
    from failover_lab.report.load import Mark, RunData

# How a sentence is to be taken: as said, as something that is broken, or as something that is well again.
PLAIN, BAD, GOOD, DONE = "plain", "bad", "good", "done"
# No request was lost for so long: the losses have stopped.
QUIET_S = 2.0
# A new pod is bound to its node in far less; one that is not says so.
_UNBOUND_S = 1.0
# Of a mark that has no sentence, by whoever did it.
_WHO = ("watchdog", "operator")
_STEPS = {
    "dead": "holds {node} for dead",
    "fenced": "has made sure that {node} is dead",
    "not_fenced": "could not make sure that {node} is dead",
    "marked": "has marked {node} out of service; the address leaves it",
    "pods_deleted": "has deleted the pods of {node}",
    "flows_cleared": "has cleared what the other nodes remember of connections to {node}",
    "alive_again": "sees {node} alive again",
    "released": "has given {node} back its work",
    "refused": "refuses to act",
    "stuck": "does not get on",
    "called": "is called: give the lost node's work away",
    "done": "is done",
}
# So often, or of so little interest for whoever watches, that they are no sentence.
_UNTOLD = frozenset({"watchdog_watching", "watchdog_kept_on", "watchdog_closed", "watchdog_removed"})


class Sentence(NamedTuple):
    """Something that happened."""

    at: float
    text: str
    tone: str = PLAIN


def tell(data: RunData, seen: Cluster) -> list[Sentence]:
    """All that the play did and the cluster said, in the order of their instants."""
    told = (data.play or {}).get("fault") or {}
    node = str(target.of(told)) or "the node"
    said = [
        *(sentence for mark in data.marks if (sentence := _of_mark(mark, data, node)) is not None),
        *_of_nodes(data),
        *_of_address(seen),
        *(sentence for life in seen.lives for sentence in _of_pod(life, data)),
    ]
    return sorted(said, key=lambda sentence: sentence.at)


def deed(fault: Mapping[str, Any]) -> str | None:
    """What a run does, as its sentences begin; None where it breaks nothing, as far as is known."""
    kind = kinds.of(fault.get("kind"))
    return kind.says.format(node=str(target.of(fault)) or "the node") if kind.name else None


def _of_mark(mark: Mark, data: RunData, node: str) -> Sentence | None:
    fault = (data.play or {}).get("fault") or {}
    kind, told = kinds.of(fault.get("kind")), deed(fault) or "The fault"
    window = f"{data.settings['steady_window_s']:g}\u00a0s"
    text = {
        marks.STEADY_BEFORE: (f"Steady: nothing was lost for {window}.", GOOD),
        marks.FAULT_BEGIN: (f"{told} begins.", DONE),
        marks.INJECTED: (f"{node} is struck." if kind.takes_node else "The fault has struck.", BAD),
        "cordoned": (f"{node} is cordoned: no new pod goes there.", DONE),
        "drained": (f"{node} is empty.", GOOD),
        marks.RETURNED: (f"{node} is back.", GOOD),
        marks.HEALED: ("What was broken is put right.", GOOD),
        marks.STEADY_AFTER: (f"Steady again: nothing was lost for {window}.", GOOD),
        marks.ABORTED: (f"The run is aborted ({mark.details.get('by') or 'by its user'}).", BAD),
    }.get(mark.event)
    if text is not None:
        return Sentence(mark.at, *text)
    if mark.event in _UNTOLD:
        return None
    who, _, step = mark.event.partition("_")
    if who in _WHO and step:
        why = f": {mark.details['why']}" if mark.details.get("why") else ""
        does = _STEPS.get(step, step.replace("_", " ")).format(node=mark.details.get("node") or node)
        return Sentence(mark.at, f"The {who} {does}{why}.", DONE)
    return Sentence(mark.at, f"{mark.event.replace('_', ' ').capitalize()}.", DONE)


def _of_nodes(data: RunData) -> Iterator[Sentence]:
    before: dict[str, tuple[str, bool]] = {}
    for change in data.changes:
        if change.kind != r.NODE:
            continue
        name, facts = change.name, change.facts
        taints = facts.get("taints") or []
        out = any(str(taint).startswith(OUT_OF_SERVICE) for taint in taints)
        now = ("gone" if change.change == "DELETED" else str(facts.get("ready", "True")), out)
        was = before.get(name, now)
        before[name] = now
        if now[0] != was[0]:
            text, tone = {
                "gone": (f"{name} is no node of the cluster any more.", BAD),
                "True": (f"{name} is Ready again.", GOOD),
            }.get(now[0], (f"Kubernetes holds {name} for lost: NotReady.", BAD))
            yield Sentence(change.at, text, tone)
        if out and not was[1]:
            yield Sentence(change.at, f"{name} is marked out of service.", DONE)


def _of_address(seen: Cluster) -> Iterator[Sentence]:
    for at, before, after in seen.moves():
        yield Sentence(at, f"The address moves from {before} to {after}.", DONE)


def _of_pod(life: PodLife, data: RunData) -> Iterator[Sentence]:
    began = data.mark(marks.FAULT_BEGIN)
    where = f" on {life.node}" if life.node else ""
    name = f"Pod {words.short(life.name)}"
    if began is not None and life.seen > began:
        if where:
            yield Sentence(life.seen, f"{name} is made{where}.")
        elif data.changes and data.changes[-1].at - life.seen >= _UNBOUND_S:
            yield Sentence(life.seen, f"{name} is made, and bound to no node yet.")
        if life.ready is not None:
            took = f"{life.ready - life.seen:.1f}\u00a0s"
            yield Sentence(life.ready, f"{name}{where} is ready, {took} after it was made.", GOOD)
    if life.told_to_stop is not None:
        yield Sentence(life.told_to_stop, f"{name}{where} is told to stop.")
    if life.gone is not None:
        yield Sentence(life.gone, f"{name} is gone{where.replace(' on ', ' from ')}.")


class Losses:
    """Tells when requests begin to be lost, and when that stops."""

    def __init__(self) -> None:
        """Nothing is lost yet."""
        self._first: float | None = None
        self._last = 0.0
        self._lost = 0

    @property
    def go_on(self) -> bool:
        """Whether requests are being lost, as far as is known."""
        return self._first is not None

    def lose(self, due: float) -> Iterable[Sentence]:
        """A request that was due then has failed."""
        if self._first is None:
            self._first, self._last, self._lost = due, due, 1
            return [Sentence(due, "A request is lost.", BAD)]
        self._first, self._last = min(due, self._first), max(due, self._last)
        self._lost += 1
        return []

    def quiet(self, until: float) -> Iterable[Sentence]:
        """All that were due by then have ended; that is told where the losses are over."""
        if self._first is None or until - self._last < QUIET_S:
            return []
        spell = self._last - self._first
        many = f"{words.number(self._lost)} requests were" if self._lost > 1 else "one request was"
        within = f" within {words.seconds(spell)}" if self._lost > 1 else ""
        self._first = None
        return [Sentence(self._last, f"The losses stop: {many} lost{within}.", GOOD)]
