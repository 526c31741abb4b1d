"""Whether two containers that exclude each other ran at once, judged from looks that each take a moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """What ran on a node, at some instant between two."""

    node: str
    began: float
    ended: float
    running: frozenset[str]


def overlaps(looks: Iterable[Look]) -> list[str]:
    """The pairs of containers that must have run at the same time.

    One that was seen twice ran at least from the end of the first look to the beginning of the last one.
    """
    spans: dict[str, tuple[float, float]] = {}
    for look in looks:
        for container in look.running:
            since, _ = spans.get(container, (look.ended, 0.0))
            spans[container] = (since, look.began)
    rows = sorted((since, until, name) for name, (since, until) in spans.items() if since < until)
    return [
        f"{name} and {other} for {min(until, to) - start:.3f} s"
        for index, (_, until, name) in enumerate(rows)
        for start, to, other in rows[index + 1 :]
        if start < until
    ]
