"""Requests in pieces: the same as a list of them, in a memory that does not grow with them."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from failover_lab.errors import UserError
from failover_lab.faults.target import Target
from failover_lab.report import evidence, groups, rows, stats
from failover_lab.report.cluster import Cluster
from failover_lab.report.fault import Fault
from failover_lab.report.rows import Rows
from failover_lab.run.records import NEW, REUSED, Outcome, Record

ZERO = 1_795_000_000.0


def made(number: int, due: float, chance: random.Random) -> Record:
    outcome = chance.choice([Outcome.OK] * 9 + [Outcome.RESET])
    return Record(
        number=number,
        kind=NEW if number % 3 else REUSED,
        due=due,
        connected=due + 0.1 if number % 3 else None,
        sent=due + 0.2 if number % 5 else None,
        done=due + chance.random(),
        outcome=outcome,
        status=200 if outcome is Outcome.OK else None,
        pod=f"site-{number % 4}" if outcome is Outcome.OK else "",
        node="lab",
        local_port=1024 + number if number % 11 else None,
        prior=number % 4,
        late_ms=chance.randrange(1000) / 1000,
        retransmits=chance.choice([None, 0, 2]),
        detail="",
    )


@pytest.fixture(params=[0.0, 0.5, 100.0], ids=["in order", "nearly", "none at all"])
def found(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Rows, list[Record]]:
    monkeypatch.setattr(rows, "_BLOCK", 64)
    monkeypatch.setattr(rows, "_WINDOW", 150)
    monkeypatch.setattr(rows, "_IN_MEMORY_BYTES", 1000)
    chance = random.Random(1)  # noqa: S311
    records = [made(n, ZERO + n / 50 + request.param * chance.random(), chance) for n in range(1, 1500)]
    result = Rows.of(records, tmp_path)
    # What is on disk has no name there.
    assert list(tmp_path.iterdir()) == []
    return result, sorted(records, key=lambda record: record.due)


def test_they_are_the_same_as_a_list(found: tuple[Rows, list[Record]]) -> None:
    kept, listed = found
    assert list(kept) == listed
    assert len(kept) == len(listed)
    assert kept[0] == listed[0]
    assert kept[-1] == listed[-1]
    assert kept[700:900:7] == listed[700:900:7]
    with pytest.raises(IndexError):
        kept[len(listed)]
    assert kept.ended == max(record.done for record in listed)
    assert list(kept.where(lambda r: r.failed)) == [r for r in listed if r.failed]
    assert list(kept.where(lambda _: False)) == []
    assert kept.count(lambda r: r.pod == "site-1") == sum(r.pod == "site-1" for r in listed)
    picked = [(r.due, r.sent, r.local_port, r.failed) for r in listed]
    assert list(kept.pick("due", "sent", "local_port", "failed")) == picked
    assert list(kept.late_ms) == sorted(r.late_ms for r in listed)
    figures = [
        (r.number, -1 if r.local_port is None else r.local_port, kept.said[sort].outcome, r.outcome)
        for r, (sort,) in zip(listed, kept.pick("said"), strict=True)
    ]
    assert all(said is outcome for _, _, said, outcome in figures)
    assert [row for part in kept.columns("number", "local_port") for row in zip(*part, strict=True)] == [
        (number, port) for number, port, _, _ in figures
    ]
    for begin, end in (
        (-math.inf, math.inf),
        (ZERO + 3, ZERO + 9.5),
        (listed[64].due, listed[64].due),
        (0, 1),
    ):
        inside = [r for r in listed if begin <= r.due <= end]
        assert list(kept.between(begin, end)) == inside
        dues = [due for (dues,) in kept.columns("due", begin=begin, end=end) for due in dues]
        assert dues == [r.due for r in inside]


def test_none_at_all() -> None:
    kept = Rows.of([])
    assert not kept
    assert list(kept) == []
    assert list(kept.late_ms) == []
    assert kept.ended is None
    assert evidence.Evidence(Cluster(), Fault(None, Target(), None), kept, {}).requests(NEW, 0, 1) == 0


def test_how_many_in_a_stretch_is_exact(found: tuple[Rows, list[Record]]) -> None:
    kept, listed = found
    seen = evidence.Evidence(Cluster(), Fault(None, Target(), None), kept, {})
    chance = random.Random(2)  # noqa: S311
    stretches = [(at := ZERO + chance.random() * 40 - 5, at + chance.random() * 20) for _ in range(50)]
    for begin, end in [*stretches, (ZERO + 2, ZERO + 3), (-math.inf, math.inf)]:
        for kind in (NEW, REUSED):
            inside = [r for r in listed if groups.connection(r) == kind and begin <= r.due <= end]
            assert seen.requests(kind, begin, end) == len(inside)
            good = [r for r in inside if r.pod == "site-1" and r.outcome is Outcome.OK]
            assert seen.answers(kind, "site-1", begin, end) == len(good)


def test_values_in_their_order() -> None:
    values = [3.0, 1.0, 2.0, 1.0]
    kept = stats.Ordered(values)
    assert list(kept) == sorted(values)
    assert kept[-1] == 3.0
    assert kept[1:3] == [1.0, 2.0]
    assert stats.percentile(kept, 0.5) == stats.percentile(sorted(values), 0.5)
    with pytest.raises(IndexError):
        kept[4]
    assert stats.percentile(stats.Ordered([]), 0.5) is None


def test_values_at_places_of_their_order_without_keeping_them() -> None:
    chance = random.Random(3)  # noqa: S311
    values = [
        *(chance.lognormvariate(0, 2) for _ in range(2000)),
        *(0.001 * n for n in range(50)),
        *[7.5] * 40,
    ]
    parts = [values[begin : begin + 300] for begin in range(0, len(values), 300)]
    ranked = stats.Ranked(lambda: map(iter, parts))
    assert len(ranked) == len(values)
    places = [*range(-2, len(values) + 2)]
    assert ranked.at(places) == dict(enumerate(sorted(values)))
    assert ranked.at([]) == {}
    assert stats.Ranked(lambda: iter([])).at([0, -1]) == {}


def test_no_room_for_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rows, "_IN_MEMORY_BYTES", 1)
    with pytest.raises(
        UserError, match=r"cannot keep the requests in .*none while they are looked at: No such"
    ):
        Rows.of([made(1, ZERO, random.Random(1))], tmp_path / "none")  # noqa: S311
