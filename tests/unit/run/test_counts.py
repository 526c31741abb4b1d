"""What was counted is told in one order, whoever came first."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import failover_lab
from failover_lab.run.counts import commonest


def test_those_that_are_level_are_told_by_name() -> None:
    for came in itertools.permutations(["reset", "wrong_status", "wrong_status", "reset", "timeout"]):
        assert commonest(Counter(came)) == [("reset", 2), ("wrong_status", 2), ("timeout", 1)]


def test_nobody_tells_counts_as_they_came() -> None:
    sources = Path(failover_lab.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if ".most_common(" in path.read_text()] == []
