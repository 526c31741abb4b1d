"""Counts in the one order in which they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter


def commonest(counts: Counter[str]) -> list[tuple[str, int]]:
    """What was counted, the most frequent first; of those that are level, by name.

    ``Counter.most_common`` has those in the order in which they came, which is a matter of chance where
    several requests are under way.
    """
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
