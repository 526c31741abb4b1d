"""The clocks of a recovery: from the instant at which it struck, beside the prediction, with reasons."""

from __future__ import annotations

from typing import Any

import pytest


def kill(made_up: Any, **predicted: float | None) -> dict[str, Any]:
    made_up.observed_kill()
    made_up.change(-0.4, "Lease", "lab-m02", stamped="2026-11-23T18:59:59.600000Z")
    for pod, made, up in (("site-x", 8.0, 11.0), ("site-y", 8.1, 12.0)):
        made_up.change(made, "Pod", pod, "ADDED", uid=f"uid-{pod[-1]}", node="lab", ready=False)
        made_up.change(up, "Pod", pod, uid=f"uid-{pod[-1]}", node="lab", ready=True)
    made_up.play["predicted_s"] = predicted
    return dict(made_up.content())


def test_from_the_instant_at_which_it_struck(made_up: Any) -> None:
    made_up.marks.append((0.5, "injected"))
    found = kill(made_up)
    assert found["clocks_s"]["endpoints"] == 5.5
    assert found["clocks_s"]["capacity"] == 11.5
    assert found["fault"]["injected_at"].endswith("19:00:00.500000Z")


def test_nothing_to_explain_where_it_came_as_predicted(made_up: Any) -> None:
    found = kill(made_up, endpoints=4.7, capacity=9.5)
    assert set(found["clock_reasons"].values()) == {None}


def test_what_the_time_was_made_of_where_it_did_not(made_up: Any) -> None:
    found = kill(made_up, endpoints=4.5, capacity=9.0)
    assert found["clock_reasons"]["endpoints"] == (
        "the node's last sign of life was at -0.4\u00a0s, it was declared not ready at +5.0\u00a0s, "
        "its endpoints were out of the list at +6.0\u00a0s"
    )
    assert found["clock_reasons"]["capacity"] == (
        "the node was declared not ready at +5.0\u00a0s, the last replacement, site-y, was made at "
        "+8.1\u00a0s, it was ready 3.9\u00a0s later"
    )
    assert found["clock_reasons"]["address"] is None


def test_sooner_than_predicted_is_explained_as_well(made_up: Any) -> None:
    found = kill(made_up, endpoints=9.0, capacity=None)
    assert found["clock_reasons"]["endpoints"] is not None
    # Nobody could say when, and it came: that wants a reason as well.
    assert found["clock_reasons"]["capacity"] is not None


def test_the_operator_s_time(made_up: Any) -> None:
    made_up.marks += [(1.0, "operator_called"), (4.5, "operator_done")]
    assert kill(made_up)["operator_s"] == 3.5


@pytest.mark.parametrize("only", ["operator_called", "operator_done"])
def test_no_operator_no_time(made_up: Any, only: str) -> None:
    made_up.marks.append((1.0, only))
    assert kill(made_up)["operator_s"] is None


def test_the_address_moved_late(made_up: Any) -> None:
    made_up.change(-20, "ServiceL2Status", "l2-1", "LISTED", service="site", node="lab-m02")
    made_up.change(4.5, "ServiceL2Status", "l2-1", service="site", node="lab")
    found = kill(made_up, address=3.0)
    assert found["clocks_s"]["address"] == 4.5
    assert found["clock_reasons"]["address"] == (
        "the speakers gave the node up, and lab announced the address at +4.5\u00a0s"
    )
    # As the node comes back, it gets the address again; that is another move.
    made_up.change(30.0, "ServiceL2Status", "l2-1", service="site", node="lab-m02")
    assert made_up.content()["clock_reasons"]["address"] == found["clock_reasons"]["address"]


def test_a_node_that_did_not_announce_has_no_clock_of_the_address(made_up: Any) -> None:
    for at, node in ((-20, "lab"), (30.0, "lab-m02"), (30.05, "lab")):
        made_up.change(at, "ServiceL2Status", "l2-1", service="site", node=node)
    assert kill(made_up)["clocks_s"]["address"] is None


def test_where_one_pod_was_killed_the_others_of_its_node_do_not_count(made_up: Any) -> None:
    made_up.play["fault"]["kind"] = "pod"
    made_up.play["displaced"] = made_up.play["displaced"][:1]
    made_up.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")
    made_up.endpoints(0.2, site_b="ready", site_c="ready", site_d="ready")
    made_up.endpoints(2.4, site_b="ready", site_c="ready", site_d="ready", site_x="ready")
    found = made_up.content()["clocks_s"]
    assert (found["endpoints"], found["capacity"]) == (0.2, 2.4)
