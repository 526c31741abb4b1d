"""Who leads in a control plane of several nodes, by the Leases of kube-system."""

from __future__ import annotations

from typing import Any

from failover_lab.kube.leaders import MANAGER, SCHEDULER, Leader, leaders_of, takeovers_of


def lease(name: str, holder: str | None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"holderIdentity": holder, **spec}}


def test_the_node_that_leads_and_for_how_long_its_lease_lasts() -> None:
    found = leaders_of(
        [
            lease(MANAGER, "lab-m02_0d3c", leaseDurationSeconds=4),
            # Of a node whose name has such a stroke itself.
            lease(SCHEDULER, "lab_x_77"),
            lease("apiserver-abc", "apiserver-abc_1"),
        ]
    )
    assert found == {MANAGER: Leader("lab-m02", 4.0), SCHEDULER: Leader("lab_x", 15.0)}
    assert takeovers_of(found, ["lab-m02"]) == {"manager_s": 4.0, "scheduler_s": 0.0}


def test_nobody_leads() -> None:
    nobody = leaders_of([lease(MANAGER, None)])
    assert nobody == leaders_of([]) == {MANAGER: Leader(""), SCHEDULER: Leader("")}
    assert takeovers_of(nobody, ["lab"]) == {"manager_s": 0.0, "scheduler_s": 0.0}
