"""How fast a dead node is noticed, changed back once many were lost: nothing of it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import PROFILE
from .detection import Change, change, files, flags, leases

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]


def test_slower_again_and_nothing_is_left(lab: Lab, faster: Change) -> None:
    slower = change(lab)
    assert slower.wrong == []
    assert slower.looked_dead == {}
    assert flags(lab) == []
    assert {spec["leaseDurationSeconds"] for spec in leases(lab).values()} == {40}
    now = files(lab)
    # A node in a lost one's place may have a name of its own; its kubelet is set as any worker's was.
    worker = faster.before[f"{PROFILE}-m02"]
    assert now == {name: faster.before.get(name, worker) for name in now}
    assert lab.play("setup").changed == 0
