"""Whether two ran at once: only what must be so counts, whatever the looks' own length."""

from __future__ import annotations

from tests.cluster.containers import Look, overlaps


def seen(node: str, container: str, *instants: float, takes: float = 0.4) -> list[Look]:
    return [Look(node, at, at + takes, frozenset({container})) for at in instants]


def test_one_after_the_other() -> None:
    assert overlaps([*seen("a", "x", 0, 1, 2), *seen("b", "y", 3, 4)]) == []


def test_two_at_once() -> None:
    looks = [*seen("a", "x", 0, 1, 2, 3), *seen("b", "y", 1, 2, 3, 4)]
    assert overlaps(looks) == ["x and y for 1.600 s"]


def test_where_the_looks_leave_it_open_nothing_is_said() -> None:
    assert overlaps([*seen("a", "x", 0, 1, 2), *seen("b", "y", 2.0, 3)]) == []
    assert overlaps([*seen("a", "x", 0), *seen("b", "y", 0)]) == []


def test_two_of_one_node_count_as_well() -> None:
    both = frozenset({"x", "y"})
    assert len(overlaps([Look("a", at, at + 0.1, both) for at in (0.0, 1.0)])) == 1


def test_nothing_was_seen() -> None:
    assert overlaps([Look("a", 0, 1, frozenset())]) == []
