"""A namespace of somebody else's stays, and pods that are spread are left where they are."""

from __future__ import annotations

from typing import Any

import pytest
from tests.role_variables import holds, task


def namespace(owner: str | None) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": owner} if owner else {}
    return {"resources": [{"metadata": {"labels": labels}}]}


@pytest.mark.parametrize(("owner", "goes"), [("failover-lab", True), ("Helm", False), (None, False)])
def test_only_the_labs_own_namespace_goes(owner: str | None, *, goes: bool) -> None:
    removal = task("site", "absent", "Absent | Remove it, if it is the lab's")
    assert holds("site", removal["when"], __site_found=namespace(owner)) is goes


@pytest.mark.parametrize(("skew", "moved"), [(0, False), (1, False), (2, True)])
def test_only_pods_that_lie_together_are_spread_anew(skew: int, *, moved: bool) -> None:
    spread = task("site", "serve", "Serve | Spread the pods anew")
    seen = {"__site_rollout": {"skew": skew}, "site_rebalance": True, "ansible_check_mode": False}
    assert holds("site", spread["when"], **seen) is moved
