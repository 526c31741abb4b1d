"""Why a clock is not as predicted: by recovery, by kind, and where one of the two is missing."""

from __future__ import annotations

import re
from typing import Any

import pytest

NODE = {"node": "lab-m02"}
CALLED = (0.5, "operator_called")


def s(sentence: str) -> str:
    """A sentence with the report's own spaces before its units."""
    return re.sub(r"(?<=\d) s\b", "\u00a0s", sentence)


def by_hand(steps: str, label: float, listed: float) -> dict[str, str | None]:
    """What the clocks are made of where somebody gives the node's work away."""
    steps = f"{steps}, marked it out of service at +{label - 0.1:.1f} s"
    deleted = f"deleted its pods at +{listed - 0.1:.1f} s"
    last = f"the last replacement, site-x, was made at +{listed:.1f} s, it was ready 2.0 s later"
    return {
        "address": s(
            f"{steps}, and at the label exclude-from-external-load-balancers lab announced the address at "
            f"+{label:.1f} s"
        ),
        "endpoints": s(f"{steps}, {deleted}, its endpoints were out of the list at +{listed:.1f} s"),
        "capacity": s(f"{steps}, {deleted}, {last}"),
        "stale_flows": None,
    }


def announced(made_up: Any, *moves: tuple[float, str]) -> None:
    for at, node in ((-20.0, "lab-m02"), *moves):
        made_up.change(at, "ServiceL2Status", "l2-1", service="site", node=node)


def given_away(made_up: Any, by: str, at: float) -> None:
    """lab-m02's work is given away: with the mark comes a cordon, the node's condition follows later."""
    made_up.play["fault"]["kind"] = "kill"
    made_up.marks += [
        (at, f"{by}_fenced", NODE | {"killed": "true"}),
        (at + 0.2, f"{by}_marked", NODE),
        (at + 0.4, f"{by}_pods_deleted", NODE),
    ]
    made_up.change(-20, "Node", "lab-m02", "LISTED", ready="True", unschedulable=False)
    made_up.change(-0.3, "Lease", "lab-m02", stamped="2026-11-23T18:59:59.700000Z")
    made_up.change(at + 0.2, "Node", "lab-m02", ready="True", unschedulable=True)
    made_up.change(at + 4.0, "Node", "lab-m02", ready="Unknown", unschedulable=True)
    made_up.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")
    made_up.endpoints(at + 0.5, site_c="ready", site_d="ready")
    made_up.endpoints(at + 2.5, site_c="ready", site_d="ready", site_x="ready", site_y="ready")
    for pod in ("site-x", "site-y"):
        made_up.change(at + 0.5, "Pod", pod, "ADDED", uid=f"uid-{pod[-1]}", node="lab", ready=False)
        made_up.change(at + 2.5, "Pod", pod, uid=f"uid-{pod[-1]}", node="lab", ready=True)


def reasons(made_up: Any, **predicted: float | None) -> dict[str, str | None]:
    made_up.play["predicted_s"] = predicted
    return dict(made_up.content()["clock_reasons"])


def test_the_watchdog_gave_it_away(made_up: Any) -> None:
    made_up.marks += [
        (-9.0, "watchdog_watching", {"nodes": "lab lab-m02"}),
        # Of another node, which does not matter here.
        (-5.0, "watchdog_dead", {"node": "lab-m03", "why": "its container has ended"}),
        (0.9, "watchdog_dead", NODE | {"why": "its container has ended"}),
    ]
    given_away(made_up, "watchdog", 1.0)
    announced(made_up, (1.3, "lab"))
    assert reasons(made_up, address=0.5, endpoints=0.4, capacity=2.0) == by_hand(
        "the watchdog found the node dead at +0.9 s, fenced the node at +1.0 s", 1.3, 1.5
    )


def test_its_cordon_is_no_loss_of_readiness(made_up: Any) -> None:
    # Nobody wrote down who: what is left is the node's condition, and that came after all of it.
    given_away(made_up, "nobody", 1.0)
    found = reasons(made_up, endpoints=0.4, capacity=2.0)
    assert found["endpoints"] == s(
        "the node's last sign of life was at -0.3 s, its pods were gone before it was declared not ready, "
        "its endpoints were out of the list at +1.5 s"
    )
    assert "not ready" not in str(found["capacity"])


def test_the_operator_gave_it_away(made_up: Any) -> None:
    made_up.marks.append(CALLED)
    given_away(made_up, "operator", 3.0)
    made_up.marks.append((4.0, "operator_done", NODE))
    announced(made_up, (3.3, "lab"))
    # Nobody predicts when an operator comes.
    assert reasons(made_up, address=5.5) == by_hand(
        "the operator was called at +0.5 s, fenced the node at +3.0 s", 3.3, 3.5
    )


def test_the_operator_came_after_the_speakers(made_up: Any) -> None:
    made_up.marks.append(CALLED)
    given_away(made_up, "operator", 12.0)
    announced(made_up, (5.4, "lab"))
    assert reasons(made_up, address=3.0)["address"] == s(
        "the speakers gave the node up, and lab announced the address at +5.4 s, "
        "the operator marked the node only at +12.2 s"
    )


def test_kubernetes_gave_it_away(made_up: Any) -> None:
    made_up.observed_kill()
    announced(made_up, (5.4, "lab"))
    found = reasons(made_up, address=3.0, endpoints=3.0, capacity=3.0)
    assert found["address"] == s("the speakers gave the node up, and lab announced the address at +5.4 s")
    assert found["endpoints"] == s(
        "it was declared not ready at +5.0 s, its endpoints were out of the list at +6.0 s"
    )
    assert found["capacity"] == "the replacements were not observed"


@pytest.mark.parametrize(
    ("said", "why"),
    [([], ""), ([(1.0, "watchdog_refused", NODE | {"why": "too few live"})], " (too few live)")],
)
def test_the_watchdog_left_it_to_kubernetes(made_up: Any, said: list[Any], why: str) -> None:
    made_up.marks += [(-9.0, "watchdog_watching"), *said]
    made_up.observed_kill()
    announced(made_up, (5.4, "lab"))
    found = reasons(made_up, address=1.0, endpoints=1.0)
    for name in ("address", "endpoints"):
        assert str(found[name]).endswith(f"\u00a0s, the watchdog did not act{why}")


def test_pods_that_were_killed(made_up: Any) -> None:
    made_up.fault_kind = made_up.play["fault"]["kind"] = "pod"
    for pod, at in (("site-a", 0.4), ("site-b", 0.6)):
        made_up.change(-20, "Pod", pod, "LISTED", uid=f"uid-{pod[-1]}", node="lab-m02", ready=True)
        made_up.change(at, "Pod", pod, "DELETED", uid=f"uid-{pod[-1]}", node="lab-m02")
    made_up.change(-20, "Lease", "lab-m02", stamped="2026-11-23T18:59:59.700000Z")
    made_up.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")
    made_up.endpoints(0.7, site_c="ready", site_d="ready")
    made_up.endpoints(4.0, site_c="ready", site_d="ready", site_x="ready", site_y="ready")
    for pod in ("site-x", "site-y"):
        made_up.change(0.8, "Pod", pod, "ADDED", uid=f"uid-{pod[-1]}", node="lab", ready=False)
        made_up.change(4.0, "Pod", pod, uid=f"uid-{pod[-1]}", node="lab", ready=True)
    assert reasons(made_up, endpoints=0.175, capacity=2.0) == {
        "address": None,
        "endpoints": s(
            "site-a, site-b were told to stop, the last at +0.6 s, out of the list of endpoints at +0.7 s"
        ),
        "capacity": s("the last replacement, site-x, was made at +0.8 s, it was ready 3.2 s later"),
        "stale_flows": None,
    }
    # One alone, unseen by the observer.
    made_up.play["displaced"] = made_up.play["displaced"][:1]
    made_up.changes = [change for change in made_up.changes if change["kind"] != "Pod"]
    assert reasons(made_up, endpoints=0.175)["endpoints"] == s(
        "when the pods were told to stop was not observed, out of the list of endpoints at +0.7 s"
    )


# Where one of the two is missing


def test_a_drain_is_not_predicted_and_needs_no_reason(made_up: Any) -> None:
    made_up.observed_drain()
    assert set(reasons(made_up).values()) == {None}
    # But in it the address is to stay.
    made_up.change(0.4, "ServiceL2Status", "l2-1", service="site", node="lab")
    assert reasons(made_up)["address"] == s(
        "lab announced the address at +0.4 s, and nothing that was done to the node says why"
    )


def test_a_tail_that_nobody_predicted(made_up: Any) -> None:
    made_up.observed_kill()
    made_up.lose(16.0, 17.0, "connect_timeout", every=7, took=3.0, port=30010)
    found = made_up.content()
    lost = found["requests"]["failed"]
    told = s(
        f"{lost} requests due after the endpoints were out of the list still went to a pod that was gone, "
        f"the last at {found['clocks_s']['stale_flows']:+.1f} s"
    )
    assert found["clock_reasons"]["stale_flows"] == f"{told}: kernels remembered connections to it"
    made_up.marks += [
        (-9.0, "watchdog_watching"),
        (3.0, "watchdog_flows_cleared", {"entries": "7", "failed_on": "lab-m03"}),
    ]
    assert reasons(made_up)["stale_flows"] == (
        f"{told}: kernels remembered connections to it, the watchdog cleared the other nodes' flows to it at "
        "+3.0\u00a0s, but not on lab-m03"
    )


def test_what_the_rules_need_to_follow_the_list_is_no_remembered_connection(made_up: Any) -> None:
    made_up.observed_kill()
    made_up.lose(0.5, 6.6, "connect_timeout", every=2, took=3.0)
    assert str(reasons(made_up)["stale_flows"]).endswith(
        "+6.6\u00a0s: the rules on the nodes follow the list within about a second"
    )


def test_a_tail_that_did_not_come(made_up: Any) -> None:
    made_up.observed_kill()
    assert reasons(made_up, stale_flows=60.0)["stale_flows"] == (
        "no request that was due after the endpoints were out of the list met a pod that was gone"
    )


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([], "who announced the address was not observed"),
        (["lab"], "lab announced the address when it struck, not lab-m02"),
        (["lab-m02"], "lab-m02 announced the address, and no other node was seen to take it over"),
    ],
)
def test_an_address_that_was_to_move_and_did_not(made_up: Any, nodes: list[str], why: str) -> None:
    made_up.observed_kill()
    for node in nodes:
        made_up.change(-20, "ServiceL2Status", "l2-1", service="site", node=node)
    assert reasons(made_up, address=5.5)["address"] == why
    # After 0 s means: not at all.
    assert reasons(made_up, address=0.0)["address"] is None


def test_endpoints_that_stayed(made_up: Any) -> None:
    made_up.play["fault"]["kind"] = "kill"
    predicted = {"endpoints": 4.0, "capacity": 9.0, "stale_flows": 60.0}
    assert reasons(made_up, **predicted) == {
        "address": None,
        "endpoints": "the Service's endpoints were not observed",
        "capacity": "the Service's endpoints were not observed",
        "stale_flows": "it counts from when the endpoints were out of the list, which was not seen",
    }
    made_up.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")
    made_up.endpoints(6.0, site_b="ready", site_c="ready", site_d="ready")
    found = reasons(made_up, **predicted)
    assert found["endpoints"] == "site-b stayed in the list of endpoints"
    assert found["capacity"] == "it counts from when no pod that was lost is listed, which was not seen"
    made_up.endpoints(-19, site_c="ready", site_d="ready")
    made_up.endpoints(6.0, site_c="ready", site_d="ready")
    assert reasons(made_up, **predicted)["endpoints"] == (
        "none of the pods was in the list of endpoints when it struck"
    )


def test_a_capacity_that_was_never_reached(made_up: Any) -> None:
    made_up.play["fault"]["kind"] = "kill"
    made_up.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")
    made_up.endpoints(6.0, site_c="ready", site_d="ready")
    made_up.endpoints(12.0, site_c="ready", site_d="ready", site_x="ready")
    for pod in ("site-x", "site-y"):
        made_up.change(8.0, "Pod", pod, "ADDED", uid=f"uid-{pod[-1]}", node="lab", ready=False)
    made_up.change(12.0, "Pod", "site-x", uid="uid-x", node="lab", ready=True)
    assert reasons(made_up, capacity=9.0)["capacity"] == (
        "no more than 3 of 4 replicas were ready at any time after it, site-y never"
    )
    made_up.play["settings"]["expected_replicas"] = None
    assert reasons(made_up, capacity=9.0)["capacity"] == "how many replicas there should be is not known"


@pytest.mark.parametrize("after", [0.0, 0.0004, 0.0006], ids=["exact", "rounded down", "rounded up"])
def test_what_was_ready_before_the_list_was_clean_does_not_count(made_up: Any, after: float) -> None:
    made_up.play["fault"]["kind"] = "kill"
    made_up.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")
    made_up.endpoints(6.0 + after, site_c="ready", site_d="ready")
    found = reasons(made_up, capacity=9.0, stale_flows=60.0)
    assert found["capacity"] == "no more than 2 of 4 replicas were ready at any time after it"
