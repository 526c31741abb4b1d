"""What a run waits for: since when, and about how long by the prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.faults import kinds, target
from failover_lab.run import marks

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.faults.target import Target
    from failover_lab.report.load import RunData

_RECOVER = "ansible-playbook recover.yml"


@dataclass(frozen=True)
class Wait:
    """What is waited for.

    Attributes:
        text: as in "Waiting for TEXT".
        since: when that began; None: nobody knows.
        about: how many seconds it should take; None: nobody knows.
        type: what a person is asked to type; empty: nobody is asked.
    """

    text: str
    since: float | None = None
    about: float | None = None
    type: str = ""


@dataclass(frozen=True)
class Ahead:
    """How far a run has come.

    Attributes:
        data: what the play knows, and its marks.
        done: those marks that have been made by then.
        clocks: seconds after the fault; None: it still runs.
        scene: of the cluster by then.
    """

    data: RunData
    done: set[str]
    clocks: dict[str, float | None]
    scene: dict[str, Any]

    def told(self, second: Callable[[float], float]) -> dict[str, Any]:
        """The same as the page has it.

        Args:
            second: an instant in seconds after the film's zero.
        """
        wait = self._after_the_fault() if marks.FAULT_BEGIN in self.done else self._before_the_fault()
        since = None if wait.since is None else second(wait.since)
        told: dict[str, Any] = {"text": wait.text, "since": since, "about": wait.about}
        return told | {"type": wait.type} if wait.type else told

    def _since(self, *events: str) -> float | None:
        """When the first of these was marked that was."""
        marked = (self.data.mark(event) for event in events if event in self.done)
        return next((at for at in marked if at is not None), None)

    @property
    def _window_s(self) -> float:
        return float(self.data.settings["steady_window_s"])

    def _before_the_fault(self) -> Wait:
        if marks.ABORTED in self.done:
            return Wait("the report", self._since(marks.ABORTED))
        return Wait("a steady state, before anything is broken", None, self._window_s)

    def _after_the_fault(self) -> Wait:
        if {marks.STEADY_AFTER, marks.ABORTED} & self.done:
            return Wait("the report", self._since(marks.STEADY_AFTER, marks.ABORTED))
        if marks.HEALED in self.done:
            return Wait("a steady state again", self._since(marks.HEALED), self._window_s)
        if marks.RETURNED in self.done:
            return Wait("the pods to be spread over all nodes again", self._since(marks.RETURNED))
        return self._recovery()

    def _recovery(self) -> Wait:
        play = self.data.play or {}
        told, predicted = play.get("fault") or {}, play.get("predicted_s") or {}
        kind, struck = kinds.of(told.get("kind")), target.of(told)
        began = self._since(marks.INJECTED, marks.FAULT_BEGIN)
        open_clocks = [name for name in ("address", "endpoints", "capacity") if self.clocks.get(name) is None]
        if kind.silent and marks.INJECTED not in self.done:
            return Wait("the fault to strike", self._since(marks.FAULT_BEGIN))
        if marks.OPERATOR_CALLED in self.done and marks.OPERATOR_DONE not in self.done:
            return self._operator()
        if "address" in open_clocks and predicted.get("address"):
            return Wait("another node to announce the address", began, predicted["address"])
        if "endpoints" in open_clocks and (kind.loses_node or predicted.get("endpoints")):
            return Wait(self._endpoints(kind, struck), began, predicted.get("endpoints"))
        # Of a node that is short of something, nobody loses anything whole.
        if "capacity" in open_clocks and kind.takes != "share":
            expected = self.data.settings["expected_replicas"]
            who = f"all {expected} replicas" if expected else "all replicas"
            where = f" without {struck}" if kind.evicts else " again"
            return Wait(f"{who} to be ready{where}", began, predicted.get("capacity"))
        return Wait("what was broken to be put right", began)

    def _endpoints(self, kind: kinds.Kind, struck: Target) -> str:
        if kind.spares_node:
            which = "deleted pods" if kind.takes == "pods" else "pods of before"
            return f"the {'killed pods' if kind.in_place else which} to leave the list of endpoints"
        states = [one["states"] for one in self.scene["nodes"] if one["name"] in struck]
        return (
            "its pods to leave the list of endpoints"
            if (states and all("NotReady" in one for one in states)) or not kind.loses_node
            else f"{struck or 'the node'} to be found dead"
        )

    def _operator(self) -> Wait:
        called = next(mark for mark in self.data.marks if mark.event == marks.OPERATOR_CALLED)
        typed = str(called.details.get("type") or _RECOVER)
        return Wait("you, the operator: give the lost node's work away", called.at, None, typed)
