"""A long row of failures: each part is put down to what was so then, and no cause comes after its effect."""

from __future__ import annotations

from typing import Any

import pytest


def found(made_up: Any) -> dict[str, int]:
    """How many failures were put down to each cause."""
    made_up.play["settings"]["max_lost"] = None
    counts: dict[str, int] = {}
    for group in made_up.content()["failures"]:
        counts[group["cause"]] = counts.get(group["cause"], 0) + group["count"]
    return counts


def killed(made_up: Any, clean: float) -> None:
    """lab-m02 is killed; its endpoints stay in the list for long."""
    made_up.play["fault"]["kind"] = "kill"
    made_up.end = 80.0
    made_up.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")
    made_up.endpoints(clean, site_c="ready", site_d="ready")
    made_up.endpoints(clean + 3, site_c="ready", site_d="ready", site_x="ready", site_y="ready")
    living, new = ["site-c", "site-d"], ["site-x", "site-y"]
    made_up.pods_at = lambda at: living + (["site-a", "site-b"] if at < 0 else new if at > clean + 3 else [])


def announced(made_up: Any, *moves: tuple[float, str], by: str = "lab-m02") -> None:
    for at, node in ((-20.0, by), *moves):
        made_up.change(at, "ServiceL2Status", "l2-1", service="site", node=node)


def test_half_fails_for_long_after_the_address_has_moved(made_up: Any) -> None:
    killed(made_up, 45.0)
    announced(made_up, (5.4, "lab"))
    made_up.lose(0.0, 5.4, "connect_timeout", took=3.0)
    made_up.lose(5.4, 46.0, "connect_timeout", every=2, took=3.0)
    # Two of four pods are dead: as many as before, while the address is where it was.
    assert found(made_up) == {
        "address_moved": pytest.approx(540, abs=1),
        "endpoint_dead": pytest.approx(2030, abs=5),
    }
    content = made_up.content()
    assert content["clocks_s"]["address"] == 5.4
    assert content["clocks_s"]["stale_flows"] == pytest.approx(46.0, abs=0.03)
    assert [group["evidence"] for group in content["failures"]] == [
        "the address moved from lab-m02 to lab at 19:00:05.400",
        "the Service still sent to site-a, site-b on lab-m02",
    ]


def test_who_was_told_of_a_move_late_knows_it_by_what_got_through(made_up: Any) -> None:
    killed(made_up, 30.0)
    announced(made_up, (6.2, "lab"))
    made_up.lose(0.0, 5.4, "connect_timeout", took=3.0)
    made_up.lose(5.4, 20.0, "connect_timeout", every=2, took=3.0)
    assert found(made_up)["address_moved"] == pytest.approx(540, abs=1)


def test_a_move_after_the_last_loss_did_not_cause_it(made_up: Any) -> None:
    killed(made_up, 34.0)
    # A node that announced nothing; MetalLB gives the address away, whyever, as it is over.
    announced(made_up, (31.0, "lab"), by="lab-m03")
    made_up.lose(0.0, 30.0, "connect_timeout", every=2, took=0.5)
    assert found(made_up) == {"endpoint_dead": 1500}


def test_a_move_within_a_row_that_goes_on_as_before_did_not_cause_it(made_up: Any) -> None:
    killed(made_up, 34.0)
    announced(made_up, (15.0, "lab"), by="lab-m03")
    made_up.lose(0.0, 30.0, "connect_timeout", every=2, took=3.0)
    made_up.lose(15.0, 15.2, "reset")
    assert found(made_up) == {"endpoint_dead": pytest.approx(1490, abs=2), "address_moved": 20}


def test_a_stop_explains_nothing_long_after_the_pod_was_gone(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.lose(7.0, 30.0, "read_timeout", every=2, took=5.0)
    # Three seconds after the list was without it, no rule leads to site-b any more.
    assert found(made_up) == {
        "shutdown_race": pytest.approx(150, abs=3),
        "unexplained": pytest.approx(1000, abs=3),
    }


def test_no_endpoint_explains_its_own_time(made_up: Any) -> None:
    for at, pods in ((-20, {"site_c": "ready"}), (10.0, {}), (12.0, {"site_x": "ready"})):
        made_up.endpoints(at, **pods)
    made_up.lose(10.0, 30.0, "connect_timeout", every=2, took=3.0)
    assert found(made_up) == {
        "no_endpoint": pytest.approx(175, abs=2),
        "unexplained": pytest.approx(825, abs=2),
    }


def test_a_node_that_is_back_ends_what_its_loss_explains(made_up: Any) -> None:
    killed(made_up, 50.0)
    made_up.marks.append((20.0, "returned"))
    made_up.lose(1.0, 30.0, "connect_timeout", every=2, took=3.0)
    counts = found(made_up)
    assert counts["endpoint_dead"] == pytest.approx(950, abs=2)
    assert counts["unexplained"] == pytest.approx(500, abs=2)


# What is left over is no evidence


@pytest.mark.parametrize(
    ("outcome", "more", "why"),
    [
        ("read_timeout", {"port": 30010}, "the connections were made, so a pod that lived had taken them"),
        ("connect_timeout", {}, "no source port had been used in the 120 s before"),
        ("connect_timeout", {"port": ""}, "from which source ports they came was not recorded"),
    ],
)
def test_a_tail_needs_a_port_that_may_be_remembered(
    made_up: Any, outcome: str, more: dict[str, Any], why: str
) -> None:
    made_up.observed_kill()
    made_up.play["settings"]["max_lost"] = None
    made_up.lose(24.0, 34.0, outcome, every=4, took=5.0, **more)
    content = made_up.content()
    assert [(group["cause"], group["evidence"]) for group in content["failures"]] == [
        (
            "unexplained",
            f"no endpoint on lab-m02 was left, and {why}: nothing that the cluster reported goes with it",
        )
    ]
    assert content["clocks_s"]["stale_flows"] is None


def test_a_dead_pod_takes_no_connection(made_up: Any) -> None:
    killed(made_up, 45.0)
    made_up.lose(5.0, 15.0, "read_timeout", every=2, took=5.0)
    assert found(made_up) == {"unexplained": 500}
    # But the kernel of a node that is frozen lives, and takes them.
    made_up.play["fault"]["kind"] = "freeze"
    assert found(made_up) == {"endpoint_dead": 500}


def test_the_pods_of_a_node_whose_kubelet_stopped_live(made_up: Any) -> None:
    killed(made_up, 45.0)
    made_up.play["fault"]["kind"] = "kubelet"
    made_up.lose(5.0, 15.0, "connect_timeout", every=2, took=3.0)
    assert found(made_up) == {"unexplained": 500}


@pytest.mark.parametrize(("pod", "cause"), [("site-a", "stale_flow"), ("site-c", "unexplained")])
def test_a_connection_that_was_kept_open_leads_where_it_led(made_up: Any, pod: str, cause: str) -> None:
    made_up.observed_kill()
    node = {"site-a": "lab-m02", "site-c": "lab-m03"}[pod]

    def differ(due: float, kind: str, _number: int) -> dict[str, Any]:
        if kind != "reused":
            return {}
        return {"port": 77, "pod": pod, "node": node} if due < 0 else {"port": 77, "pod": "", "node": ""}

    made_up.differ = differ
    made_up.lose(20.0, 21.0, "read_timeout", kind="reused", took=5.0, port=77)
    assert found(made_up) == {cause: 10}
