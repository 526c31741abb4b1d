"""Running counts of a probe, and the status that others wait on while it runs."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Any

from failover_lab.run import instants
from failover_lab.run.records import NOT_SEEN_BY_USERS, Outcome

# A site has a handful of pods; a server that invents names must not fill the memory.
_MOST_PODS = 512


@dataclass(slots=True)
class PodTally:
    """What one pod answered; instants in UTC seconds."""

    node: str
    answers: int
    first: float
    last: float
    answers_in_phase: int


class Tally:
    """Counts of one run so far.

    Attributes:
        sent: requests begun.
        ended: requests that have an outcome.
        phase: the event last marked.
        began: when the first request was due, in UTC seconds; None before that is known.
        oldest_open: when the oldest request was due that has no outcome yet; None where there is none. How
            those that were due from then on will end, nobody knows.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self.sent = 0
        self.ended = 0
        self.phase = ""
        self.began: float | None = None
        self.oldest_open: float | None = None
        self._outcomes: collections.Counter[str] = collections.Counter()
        self._failed = 0
        self._last_ok: float | None = None
        self._last_failure: float | None = None
        self._slowest_ms = 0.0
        self._latest_ms = 0.0
        self._pods: dict[str, PodTally] = {}

    def begin_phase(self, name: str) -> None:
        """Count pods anew under this name."""
        self.phase = name
        for pod in self._pods.values():
            pod.answers_in_phase = 0

    def add(
        self, outcome: Outcome, *, done: float, latency_ms: float, late_ms: float, pod: str, node: str
    ) -> None:
        """Count one request that has ended; pod and node are empty where unknown."""
        self.ended += 1
        self._outcomes[outcome] += 1
        self._latest_ms = max(self._latest_ms, late_ms)
        if outcome is not Outcome.OK:
            if outcome not in NOT_SEEN_BY_USERS:
                self._failed += 1
                self._last_failure = done
            return
        self._last_ok = done
        self._slowest_ms = max(self._slowest_ms, latency_ms)
        known = self._pods.get(pod)
        if known is not None:
            known.answers += 1
            known.answers_in_phase += 1
            known.last = done
        elif pod and len(self._pods) < _MOST_PODS:
            self._pods[pod] = PodTally(node, 1, done, done, 1)

    def status(self, *, now: float, state: str) -> dict[str, Any]:
        """What ``status.json`` holds (instants as text, null where nothing happened yet)."""
        return {
            "updated": instants.text(now),
            "state": state,
            "elapsed_s": 0.0 if self.began is None else round(max(0.0, now - self.began), 3),
            "sent": self.sent,
            "ok": self._outcomes[Outcome.OK],
            "failed": self._failed,
            "in_flight": self.sent - self.ended,
            "oldest_open": _text(self.oldest_open),
            "outcomes": {str(name): count for name, count in sorted(self._outcomes.items())},
            "last_ok": _text(self._last_ok),
            "last_failure": _text(self._last_failure),
            "since_last_failure_s": None
            if self._last_failure is None
            else round(now - self._last_failure, 3),
            "slowest_ms": round(self._slowest_ms, 3),
            "latest_ms": round(self._latest_ms, 3),
            "phase": self.phase,
            "pods": {
                name: {
                    "node": pod.node,
                    "answers": pod.answers,
                    "first": instants.text(pod.first),
                    "last": instants.text(pod.last),
                    "answers_in_phase": pod.answers_in_phase,
                }
                for name, pod in sorted(self._pods.items())
            },
        }


def _text(at: float | None) -> str | None:
    return None if at is None else instants.text(at)
