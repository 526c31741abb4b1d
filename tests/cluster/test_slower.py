"""How fast a dead node is noticed, changed back once many were lost: nothing of it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .detection import Change, change, files, flags, leases

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.cluster


def test_slower_again_and_nothing_is_left(lab: Lab, faster: Change) -> None:
    slower = change(lab)
    assert slower.wrong == []
    assert slower.looked_dead == []
    assert flags(lab) == []
    assert {spec["leaseDurationSeconds"] for spec in leases(lab).values()} == {40}
    now = files(lab)
    # A node that was put in a lost one's place has a name of its own.
    same = set(now) & set(faster.before)
    assert len(same) >= len(now) - 1
    assert {name: now[name] for name in same} == {name: faster.before[name] for name in same}
    assert lab.play("setup").changed == 0
