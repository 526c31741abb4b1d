"""What is made of failures: one made-up run for each cause."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

# A source port of one of the first requests.
USED = 30010


def cause(made_up: Any) -> tuple[str, str]:
    groups = made_up.content()["failures"]
    assert len(groups) == 1, groups
    return groups[0]["cause"], groups[0]["evidence"]


def told_to_stop(pod: str, told: str, gone: str) -> str:
    """The beginning of a sentence."""
    return (
        f"{pod} was told to stop at 19:00:{told}, gone at 19:00:{gone}, while requests still came; "
        "the Service listed it until 19:00:"
    )


def test_cause_unexplained_without_evidence(made_up: Any) -> None:
    made_up.lose(8.0, 8.1, "connect_timeout")
    assert cause(made_up)[0] == "unexplained"


def test_cause_shutdown_race(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.lose(7.5, 7.6, "refused")
    assert cause(made_up) == (
        "shutdown_race",
        f"{told_to_stop('site-b', '07.000', '13.000')}07.000",
    )


def test_cause_address_moved(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.change(24.3, "ServiceL2Status", "l2-1", service="site", node="lab")
    made_up.lose(24.2, 24.4, "reset")
    assert cause(made_up) == ("address_moved", "the address moved from lab-m02 to lab at 19:00:24.300")
    assert made_up.content()["clocks_s"]["address"] == 24.3


def test_connections_that_were_open_as_the_address_moved(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.change(24.3, "ServiceL2Status", "l2-1", service="site", node="lab")
    made_up.lose(24.3, 25.1, "reset", kind="reused")
    assert cause(made_up) == ("address_moved", "the address moved from lab-m02 to lab at 19:00:24.300")


def test_cause_no_endpoint(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.change(25.0, "EndpointSlice", "site-1", endpoints=[])
    made_up.endpoints(27.0, site_x="ready")
    made_up.lose(25.1, 26.9, "refused")
    assert cause(made_up)[0] == "no_endpoint"
    made_up.change(25.0, "EndpointSlice", "site-1", "DELETED")
    made_up.endpoints(25.05, site_x="stopping")
    assert cause(made_up) == ("no_endpoint", "at 19:00:25.100 the Service had no ready endpoint")


def test_cause_not_serving_yet(made_up: Any) -> None:
    # Nothing is being stopped here: a pod is added, counts as ready, and does not serve.
    made_up.endpoints(-20, site_c="ready", site_d="ready")
    made_up.change(24.0, "Pod", "site-z", "ADDED", uid="z", node="lab", ready=False)
    made_up.change(25.0, "Pod", "site-z", uid="z", node="lab", ready=True)
    made_up.lose(25.2, 25.4, "refused")
    assert cause(made_up) == (
        "not_serving_yet",
        "site-z counted as ready from 19:00:25.000 on and never answered",
    )
    # A moment later it answers: there is less to go by, but still nothing else.
    before = made_up.pods_at
    made_up.pods_at = lambda at: [*before(at), "site-z"] if at > 25.5 else before(at)
    assert cause(made_up) == (
        "not_serving_yet",
        "site-z counted as ready from 19:00:25.000 on, before it served",
    )


def test_cause_bad_answer(made_up: Any) -> None:
    made_up.lose(8.0, 8.1, "wrong_status", status=503, pod="site-c", node="lab-m03")
    assert cause(made_up) == ("bad_answer", "site-c answered with status 503")
    made_up.lose(8.0, 8.1, "wrong_body", status="")
    assert "something that is no HTTP answer" in cause(made_up)[1]


def test_cause_stale_reused_connection(made_up: Any) -> None:
    made_up.lose(8.0, 8.3, "closed_early", kind="reused", detail="before_any_byte")
    assert cause(made_up)[0] == "stale_reused_connection"
    made_up.observed_drain()
    # The failing connections had answered from site-b before, which is being stopped.
    before = made_up.differ

    def behind_site_b(due: float, kind: str, number: int) -> dict[str, Any]:
        earlier = {"pod": "site-b"} if due < 8 else {}
        return {"port": 77, **earlier, **before(due, kind, number)} if kind == "reused" else {}

    made_up.differ = behind_site_b
    assert cause(made_up) == (
        "stale_reused_connection",
        "the connection led to site-b (told to stop at 19:00:07.000) and was closed as the request was sent",
    )
    # Broken within an answer is something else: a server that stopped in the middle of its work.
    made_up.lose(8.0, 8.3, "closed_early", kind="reused", detail="after_part")
    assert cause(made_up)[0] == "ungraceful_stop"


def test_causes_and_clocks_of_a_sudden_death(made_up: Any) -> None:
    made_up.observed_kill()
    made_up.lose(0.5, 6.0, "connect_timeout", every=2, took=3.0)
    # From a port that had been used half a minute before.
    made_up.lose(16.0, 17.0, "connect_timeout", every=7, took=3.0, port=USED)
    found = made_up.content()
    assert [group["cause"] for group in found["failures"]] == ["endpoint_dead", "stale_flow"]
    assert found["failures"][0]["evidence"] == "the Service still sent to site-a, site-b on lab-m02"
    assert found["clocks_s"] == {
        "address": None,
        "endpoints": 6.0,
        "capacity": 12.0,
        "stale_flows": pytest.approx(17.0, abs=0.1),
    }


@pytest.mark.parametrize(("begin", "expected"), [(6.2, "endpoint_dead"), (7.7, "stale_flow")])
def test_what_the_nodes_had_not_heard_of_yet_is_no_tracked_connection(
    made_up: Any, begin: float, expected: str
) -> None:
    made_up.observed_kill()
    made_up.lose(begin, begin + 0.5, "connect_timeout", every=7, took=3.0, port=USED)
    assert cause(made_up)[0] == expected


def test_groups_are_of_one_kind_and_come_together(made_up: Any) -> None:
    made_up.lose(8.0, 8.5, "refused")
    made_up.lose(12.0, 12.2, "refused")
    made_up.lose(8.0, 8.5, "reset", kind="reused", detail="after_part")
    found = made_up.content()["failures"]
    assert [(g["outcome"], g["connection_kind"], g["count"]) for g in found] == [
        ("refused", "new", 50),
        ("reset", "reused", 5),
        ("refused", "new", 20),
    ]


# Negative controls: one protection less, and what theory says comes of it


def by_cause(made_up: Any) -> dict[str, int]:
    """Failures by cause."""
    found: dict[str, int] = {}
    for group in made_up.content()["failures"]:
        found[group["cause"]] = found.get(group["cause"], 0) + group["count"]
    return found


def stop(made_up: Any, pod: str, told: float, unlisted: float, gone: float) -> None:
    """What the cluster says of a pod that is told to stop; the list of endpoints is the test's own."""
    uid, node = f"uid-{pod[-1]}", "lab-m02"
    made_up.change(told, "Pod", pod, uid=uid, node=node, ready=True, deletion="2026")
    made_up.change(unlisted, "Pod", pod, uid=uid, node=node, ready=False, deletion="2026")
    made_up.change(gone, "Pod", pod, "DELETED", uid=uid, node=node)


def start(made_up: Any, pod: str, added: float, ready: float) -> None:
    """What the cluster says of a new pod."""
    uid = f"uid-{pod[-1]}"
    made_up.change(added, "Pod", pod, "ADDED", uid=uid, node="lab", ready=False)
    made_up.change(ready, "Pod", pod, uid=uid, node="lab", ready=True)


def four_pods(made_up: Any) -> None:
    for pod in ("site-a", "site-b", "site-c", "site-d"):
        made_up.change(-20, "Pod", pod, "LISTED", uid=f"uid-{pod[-1]}", node="lab-m02", ready=True)
    made_up.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")


def test_control_no_sleep_before_the_stop(made_up: Any) -> None:
    # Refused and reset from the order to stop until the rules on the nodes have followed the list.
    four_pods(made_up)
    stop(made_up, "site-a", 5.0, 5.2, 5.6)
    made_up.endpoints(5.2, site_b="ready", site_c="ready", site_d="ready")
    # The replacement is properly ready meanwhile, and answers at once.
    start(made_up, "site-x", 1.0, 4.9)
    made_up.pods_at = lambda at: ["site-c", "site-d", "site-x" if at > 5.1 else "site-a"]
    made_up.lose(5.05, 6.2, "refused", every=4)
    made_up.lose(5.02, 5.05, "reset")
    assert by_cause(made_up) == {"shutdown_race": pytest.approx(32, abs=4)}
    assert {group["evidence"] for group in made_up.content()["failures"]} == {
        f"{told_to_stop('site-a', '05.000', '05.600')}05.200"
    }


def test_control_readiness_is_missing_and_the_start_is_slow(made_up: Any) -> None:
    # At the same time others are stopped, properly: they sleep first, and nothing new reaches them.
    four_pods(made_up)
    stop(made_up, "site-a", 0.5, 0.5, 6.5)
    stop(made_up, "site-b", 1.6, 1.6, 7.6)
    start(made_up, "site-x", 0.6, 1.5)
    start(made_up, "site-y", 1.7, 2.5)
    made_up.endpoints(0.5, site_b="ready", site_c="ready", site_d="ready")
    made_up.endpoints(1.5, site_b="ready", site_c="ready", site_d="ready", site_x="ready")
    made_up.endpoints(1.6, site_c="ready", site_d="ready", site_x="ready")
    made_up.endpoints(2.5, site_c="ready", site_d="ready", site_x="ready", site_y="ready")
    made_up.pods_at = lambda at: ["site-c", "site-d"] + ["site-x"] * (at > 8.5) + ["site-y"] * (at > 9.5)
    made_up.lose(1.7, 9.5, "refused", every=3)
    assert by_cause(made_up) == {"not_serving_yet": pytest.approx(260, abs=3)}
    (group,) = made_up.content()["failures"]
    assert group["evidence"].startswith("site-x counted as ready from 19:00:01.500 on and first answered at")
    assert "site-y counted as ready from 19:00:02.500 on" in group["evidence"]
    # Without new requests to speak of, silence proves nothing.
    made_up.rate, made_up.reused_rate = 2.0, 1.0
    assert "shutdown_race" in by_cause(made_up)


def test_control_the_stop_is_not_graceful(made_up: Any) -> None:
    # Told to stop, the server drops what it is at work on: sent before, broken off after.
    made_up.observed_drain()
    made_up.lose(6.7, 7.0, "reset", took=0.4, detail="ECONNRESET", every=4)
    assert by_cause(made_up) == {"ungraceful_stop": pytest.approx(8, abs=2)}
    assert made_up.content()["failures"][0]["evidence"] == (
        "site-b was told to stop at 19:00:07.000 and broke off what it was at work on: "
        "it had had the first of these requests for 0.40\u00a0s"
    )
    # What came after it and was turned away at once is another matter.
    made_up.lose(7.1, 7.2, "reset", detail="ECONNRESET", every=4)
    assert by_cause(made_up) == {
        "ungraceful_stop": pytest.approx(8, abs=2),
        "shutdown_race": pytest.approx(3, abs=1),
    }


def test_an_answer_that_breaks_off_while_nobody_is_stopped(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.lose(30.0, 30.1, "closed_early", took=0.4, detail="after_part")
    name, evidence = cause(made_up)
    assert name == "endpoint_refuses"
    assert evidence.startswith("one of site-c, site-d, site-x, site-y hung up 100.00% (95%: ")


def test_control_the_disruption_budget_is_missing(made_up: Any) -> None:
    # Both of two pods are stopped at once: they serve while they sleep, and then nobody does.
    for pod in ("site-a", "site-b"):
        made_up.change(-20, "Pod", pod, "LISTED", uid=f"uid-{pod[-1]}", node="lab-m02", ready=True)
        stop(made_up, pod, 0.5, 0.5, 6.0)
        start(made_up, pod.replace("a", "x").replace("b", "y"), 0.6, 9.0)
    made_up.endpoints(-20, site_a="ready", site_b="ready")
    made_up.endpoints(0.5, site_a="stopping", site_b="stopping")
    made_up.change(6.0, "EndpointSlice", "site-1", endpoints=[])
    made_up.endpoints(9.0, site_x="ready", site_y="ready")
    made_up.pods_at = lambda at: ["site-a", "site-b"] if at < 7 else ["site-x", "site-y"]
    made_up.lose(5.5, 9.4, "refused")
    made_up.lose(5.5, 9.4, "unreachable", kind="reused")
    assert by_cause(made_up) == {"no_endpoint": pytest.approx(429, abs=3)}
    assert made_up.content()["failures"][0]["evidence"] == (
        "at 19:00:05.500 the Service had no ready endpoint: "
        "site-a, site-b had been told to stop before another was ready"
    )


def flaky(made_up: Any, share: float, begin: float = -20.0, end: float = 40.0) -> None:
    """Refuse this share of new connections, by chance but the same in every run."""
    chance = random.Random(20261123)  # noqa: S311  repeatable, not secret
    before = made_up.differ
    refused = {number for number in range(1, 20000) if chance.random() < share}

    def differ(due: float, kind: str, number: int) -> dict[str, Any]:
        if kind == "new" and begin <= due < end and number in refused:
            return {"outcome": "refused"}
        return dict(before(due, kind, number))

    made_up.differ = differ


def test_control_an_endpoint_refuses_one_in_fifty(made_up: Any) -> None:
    # A drain goes on meanwhile: what the endpoint refuses beside a stop is still its own.
    made_up.observed_drain()
    flaky(made_up, 0.02)
    found = made_up.content()
    (group,) = found["failures"]
    assert group["cause"] == "endpoint_refuses"
    assert group["count"] == found["requests"]["failed"] == pytest.approx(120, abs=33)
    share = group["share"]
    assert share["requests"] == pytest.approx(6000, abs=400)
    assert share["value"] == pytest.approx(group["count"] / share["requests"])
    assert share["low_95"] < 0.02 < share["high_95"]
    assert share["high_95"] - share["low_95"] < 0.01
    assert share["pod"] is None
    # Only two were there from the first to the last; all the while, four shared the requests.
    assert group["evidence"].startswith("one of site-c, site-d refused 2.")
    own = re.search(r", which is (\S+)% \(95%: .*\) of its own if all get the same", group["evidence"])
    assert own
    assert float(own[1]) == pytest.approx(400 * share["value"], abs=0.01)
    assert group["evidence"].endswith("while counted as ready and not being stopped")
    assert f"of {share['requests']} requests, which is " in group["evidence"]


def test_a_shutdown_race_beside_a_flaky_endpoint_is_still_one(made_up: Any) -> None:
    made_up.observed_drain()
    flaky(made_up, 0.005)
    made_up.lose(7.05, 7.6, "refused", every=4)
    found = by_cause(made_up)
    assert found["shutdown_race"] == pytest.approx(15, abs=4)
    assert found["endpoint_refuses"] == pytest.approx(30, abs=16)


def test_a_flaky_endpoint_that_is_known_is_named(made_up: Any) -> None:
    # Reused connections are known by their earlier answers; this one breaks off within one answer in ten.
    made_up.observed_drain()
    before = made_up.request

    def request(due: float, kind: str, number: int) -> str:
        line: str = before(due, kind, number)
        fields = line.split(",")
        if kind == "reused":
            fields[8], fields[9], fields[10] = "site-c", "lab-m03", "77"
            if fields[6] != "ok":
                fields[8] = fields[9] = ""
        return ",".join(fields)

    made_up.request = request
    seen: list[int] = []

    def differ(due: float, kind: str, _number: int) -> dict[str, Any]:
        if kind == "reused" and due > 20:
            seen.append(1)
            if len(seen) % 10 == 0:
                return {"outcome": "closed_early", "detail": "after_part"}
        return {}

    made_up.differ = differ
    (group,) = made_up.content()["failures"]
    assert group["cause"] == "endpoint_refuses"
    assert group["pods"] == {"site-c": group["count"]}
    # From the first to the last of them: every tenth, and the first.
    assert (group["share"]["pod"], group["share"]["requests"]) == ("site-c", 10 * (group["count"] - 1) + 1)
    assert group["evidence"].startswith("site-c hung up ")
    assert group["evidence"].endswith(" requests, while counted as ready and not being stopped")
    assert f" of its {group['share']['requests']} requests" in group["evidence"]


def test_a_single_refusal_has_no_share(made_up: Any) -> None:
    made_up.endpoints(-19, site_c="ready")
    made_up.lose(-19.9, -19.89, "refused")
    (group,) = made_up.content()["failures"]
    assert (group["cause"], group["count"], group["share"]) == ("endpoint_refuses", 1, None)
    # The list came after it, and is all that there is to go by.
    assert group["evidence"] == "site-c refused, while counted as ready and not being stopped"


def test_long_after_the_list_is_without_a_pod_nothing_new_goes_there(made_up: Any) -> None:
    # It sleeps for long before it stops; three seconds later no rule leads there any more.
    four_pods(made_up)
    stop(made_up, "site-a", 5.0, 5.1, 25.0)
    made_up.endpoints(5.1, site_b="ready", site_c="ready", site_d="ready")
    made_up.lose(15.0, 15.1, "refused")
    assert cause(made_up)[0] == "endpoint_refuses"


def test_what_refused_for_a_moment_long_before_would_not_have_gone_on(made_up: Any) -> None:
    four_pods(made_up)
    start(made_up, "site-x", 0.6, 1.5)
    made_up.pods_at = lambda at: ["site-c", "site-d"] + ["site-x"] * (at > 8.5)
    made_up.lose(-6.0, -5.0, "refused", every=4)
    made_up.lose(1.5, 8.5, "refused", every=4)
    assert by_cause(made_up) == {
        "endpoint_refuses": pytest.approx(25, abs=2),
        "not_serving_yet": pytest.approx(175, abs=3),
    }


def test_a_slow_start_explains_nothing_but_its_own_time(made_up: Any) -> None:
    four_pods(made_up)
    start(made_up, "site-x", 24.0, 25.0)
    made_up.pods_at = lambda at: ["site-c", "site-d"] + ["site-x"] * (at > 30)
    made_up.lose(10.0, 39.0, "refused", every=50)
    assert cause(made_up)[0] == "endpoint_refuses"


def test_what_the_last_pod_was_at_work_on_is_its_own_doing(made_up: Any) -> None:
    made_up.change(-20, "Pod", "site-a", "LISTED", uid="uid-a", node="lab-m02", ready=True)
    made_up.endpoints(-20, site_a="ready")
    stop(made_up, "site-a", 5.0, 5.0, 5.5)
    made_up.change(5.0, "EndpointSlice", "site-1", endpoints=[])
    made_up.lose(4.9, 5.0, "reset", took=0.3, detail="ECONNRESET")
    made_up.lose(5.0, 6.0, "refused")
    assert by_cause(made_up) == {
        "ungraceful_stop": pytest.approx(10, abs=1),
        "no_endpoint": pytest.approx(100, abs=1),
    }


@pytest.mark.parametrize(
    ("kind", "outcome", "found"),
    [
        ("loss", "connect_timeout", "packet_loss"),
        ("loss", "refused", "unexplained"),
        ("slow", "read_timeout", "slow_node"),
    ],
)
def test_a_node_that_is_short_of_something(made_up: Any, kind: str, outcome: str, found: str) -> None:
    """Without a trace: nobody who refuses was kept from it by packets that were dropped."""
    made_up.play["fault"]["kind"] = kind
    made_up.lose(8.0, 8.1, outcome)
    assert cause(made_up)[0] == found


@pytest.mark.parametrize("kind", ["process", "sandbox"])
@pytest.mark.parametrize(("connection", "outcome"), [("new", "refused"), ("reused", "reset")])
def test_a_pod_that_starts_again_where_it_was(made_up: Any, kind: str, connection: str, outcome: str) -> None:
    made_up.play |= {"displaced": [], "replacements": [], "struck": [{"pod": "site-a", "uid": "uid-a"}]}
    made_up.play["fault"]["kind"] = kind
    ready = dict.fromkeys(("site_b", "site_c", "site_d"), "ready")
    made_up.endpoints(-20, site_a="ready", **ready)
    made_up.endpoints(1.0, **ready)
    made_up.endpoints(3.0, site_a="ready", **ready)
    made_up.lose(0.2, 1.3, outcome, kind=connection)
    content = made_up.content()
    # Connections that had been kept open to other pods break for another reason.
    for group in content["failures"]:
        concerned = not group["pods"] or set(group["pods"]) == {"site-a"}
        assert (group["cause"] == "killed_in_place") is concerned, group
    clocks = content["clocks_s"]
    assert (clocks["endpoints"], clocks["capacity"]) == (1.0, 3.0)


def test_a_pod_that_was_taken_for_ready_too_early(made_up: Any) -> None:
    """As a new sandbox is made: the kubelet goes for a moment by what it knew of the container before."""
    made_up.play |= {"displaced": [], "replacements": [], "struck": [{"pod": "site-a", "uid": "uid-a"}]}
    made_up.play["fault"]["kind"] = "sandbox"
    made_up.marks = [(0.0, "fault_begin"), (0.0, "injected"), (8.0, "healed")]
    others = dict.fromkeys(("site_b", "site_c", "site_d"), "ready")
    for at, listed in ((-20, True), (1.0, False), (1.1, True), (2.0, False), (3.0, True), (9.0, False)):
        made_up.endpoints(at, **others, **({"site_a": "ready"} if listed else {}))
    made_up.lose(2.1, 2.9, "refused")
    content = made_up.content()
    assert {group["cause"] for group in content["failures"]} == {"killed_in_place"}
    # What comes after the run has ended is another matter.
    assert (content["clocks_s"]["endpoints"], content["clocks_s"]["capacity"]) == (1.0, 3.0)
