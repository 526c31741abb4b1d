"""What the settings predict, against figures worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from failover_lab import cli
from failover_lab.faults import kinds
from failover_lab.faults.predict import Range, Timings, given_away, not_ready, predict, taken_over
from failover_lab.nodes.pace import Pace
from failover_lab.probe import ports

DEFAULT = Timings(grace_s=50, monitor_period_s=5, lease_s=40, toleration_s=300, pod_start_s=3)
FAST = Timings(grace_s=5, monitor_period_s=1, lease_s=4, toleration_s=5, pod_start_s=2, half_open_s=120)


def middles(
    kind: str, recovery: str, timings: Timings, *, announcer: bool | None = True
) -> dict[str, float | None]:
    clocks = predict(kind, recovery, timings, announcer=announcer)
    return {name: None if clock is None else clock.middle for name, clock in clocks.items()}


def test_not_ready_is_grace_less_a_renewal_and_more_a_look() -> None:
    assert not_ready(DEFAULT) == Range(40, 55)
    assert not_ready(FAST) == Range(4, 6)


@pytest.mark.parametrize("kind", ["kill", "freeze", "partition"])
def test_the_orchestrator_alone(kind: str) -> None:
    slow = middles(kind, "automatic", DEFAULT)
    assert slow == {
        "address": pytest.approx(5.5),
        "endpoints": pytest.approx(47.675),
        "capacity": pytest.approx(47.5 + 300 + 3),
        "stale_flows": None,
    }
    fast = middles(kind, "automatic", FAST)
    assert fast["endpoints"] == pytest.approx(5.175)
    assert fast["capacity"] == pytest.approx(5 + 5 + 2)


def test_the_address_stays_where_another_announces_and_is_unknown_where_nobody_says() -> None:
    assert middles("kill", "automatic", FAST, announcer=False)["address"] == 0
    assert middles("kill", "automatic", FAST, announcer=None)["address"] is None


def test_without_a_kubelet_the_pods_and_the_address_go_on() -> None:
    found = middles("kubelet", "automatic", FAST)
    assert found["address"] is None
    assert found["endpoints"] == pytest.approx(5.175)
    assert found["stale_flows"] is None
    # Nobody is dead, so the watchdog does nothing.
    assert middles("kubelet", "watchdog", FAST) == found


def test_a_pod_is_replaced_at_once() -> None:
    found = middles("pod", "automatic", DEFAULT)
    assert (found["address"], found["stale_flows"]) == (None, None)
    assert found["endpoints"] is not None
    assert found["endpoints"] < 1
    assert found["capacity"] == pytest.approx(3)


@pytest.mark.parametrize("kind", ["drain", "loss", "slow"])
def test_what_nobody_holds_for_lost_starts_no_clock(kind: str) -> None:
    assert set(middles(kind, "automatic", FAST).values()) == {None}


@pytest.mark.parametrize("kind", ["kill", "freeze", "partition"])
def test_the_watchdog_does_not_wait_for_the_cluster(kind: str) -> None:
    slow, fast = (middles(kind, "watchdog", timings) for timings in (DEFAULT, replace(FAST, pod_start_s=3)))
    assert slow == fast
    fenced = given_away(kind, Pace())
    assert fenced is not None
    assert slow["endpoints"] is not None
    assert fenced.middle < slow["endpoints"] < 3
    assert slow["capacity"] == pytest.approx(fenced.middle + 3)


def test_a_slower_watchdog_is_predicted_slower() -> None:
    slow = replace(Pace(), pause_s=5.0, silence_s=6.0, confirm=11)
    assert given_away("freeze", slow) == Range(5.1, 5.7)
    partition = given_away("partition", slow)
    assert partition is not None
    assert partition.low == pytest.approx(5.9)
    assert given_away("kill", slow) == Range(1.0, 1.2)


@pytest.mark.parametrize(
    ("kind", "more", "endpoints", "capacity"),
    [
        ("process", {}, 0.675, 0.5 + 2),
        ("process", {"backoff_s": 20.0}, 0.675, 0.5 + 20 + 2),
        ("process", {"stop_s": 5.0}, 0.675, 0.5 + 2),
        ("sandbox", {"stop_s": 5.0}, 5.675, 5.5 + 2),
        ("sandbox", {"pod_start_s": None}, 0.675, None),
    ],
)
def test_what_starts_again_where_it_was(
    kind: str, more: dict[str, Any], endpoints: float, capacity: float | None
) -> None:
    found = middles(kind, "automatic", replace(FAST, **more))
    assert (found["address"], found["stale_flows"]) == (None, None)
    assert found["endpoints"] == pytest.approx(endpoints)
    assert found["capacity"] == (None if capacity is None else pytest.approx(capacity))


@pytest.mark.parametrize(
    ("timings", "off_s", "endpoints", "capacity"),
    [
        # Long before anybody would hold it for lost.
        (DEFAULT, 5, 5 + 6.5 + 0.175, 5 + 6.5 + 3),
        # It is, and others take its pods.
        (FAST, 30, 5.175, 5 + 5 + 2),
        (replace(FAST, toleration_s=None), 30, 5.175, 30 + 6.5 + 2),
        (replace(FAST, pod_start_s=None), 30, 5.175, None),
    ],
)
def test_a_machine_that_comes_back(
    timings: Timings, off_s: float, endpoints: float, capacity: float | None
) -> None:
    found = predict("reboot", "automatic", timings, announcer=True, off_s=off_s)
    assert found["address"] == Range(5, 6)
    assert found["endpoints"] is not None
    assert found["endpoints"].middle == pytest.approx(endpoints)
    assert (found["capacity"] and found["capacity"].middle) == (capacity and pytest.approx(capacity))


@pytest.mark.parametrize(("waves", "whole"), [(1, 2.175), (4, 8.175)])
def test_a_rollout_goes_in_waves(waves: int, whole: float) -> None:
    found = middles("rollout", "automatic", replace(FAST, waves=waves))
    assert found == {
        "address": None,
        "endpoints": pytest.approx(whole),
        "capacity": pytest.approx(whole),
        "stale_flows": None,
    }


def test_speakers_that_ask_more_often_give_one_up_sooner() -> None:
    found = predict("kill", "automatic", replace(FAST, probe_s=0.25, suspicion_s=0.75), announcer=True)
    assert found["address"] == Range(1.0, 1.25)


def test_nobody_knows_when_an_operator_comes() -> None:
    found = middles("kill", "manual", FAST)
    assert found == {"address": 5.5, "endpoints": None, "capacity": None, "stale_flows": None}


def test_what_is_not_known_is_not_predicted() -> None:
    assert middles("kill", "automatic", replace(FAST, pod_start_s=None))["capacity"] is None
    assert middles("kill", "automatic", replace(FAST, toleration_s=None))["capacity"] is None


def test_a_tail_needs_ports_that_come_back_too_soon() -> None:
    tired = replace(FAST, port_rest_s=60)
    assert middles("kill", "automatic", tired)["stale_flows"] == pytest.approx(125.175)
    assert middles("kill", "automatic", replace(FAST, port_rest_s=300))["stale_flows"] is None
    # The watchdog clears them.
    assert middles("kill", "watchdog", tired)["stale_flows"] is None


@pytest.mark.parametrize("kind", kinds.names())
@pytest.mark.parametrize("recovery", kinds.RECOVERIES)
def test_ranges_are_in_order(kind: str, recovery: str) -> None:
    for timings in (DEFAULT, FAST):
        for clock in predict(kind, recovery, timings, announcer=True).values():
            assert clock is None or 0 <= clock.low <= clock.high


def told(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    timings: dict[str, Any] = {
        "grace_s": 5,
        "monitor_period_s": 1,
        "lease_s": 4,
        "toleration_s": 5,
        "pod_start_s": 2,
    }
    timings |= {"half_open_s": 120, "overridden": []}
    assert cli.main(["predict", "--kind=kill", f"--timings={json.dumps(timings)}", *more]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    answer = told(capsys, "--announcer=no")
    assert answer["predicted_s"] == {"address": 0, "endpoints": 5.17, "capacity": 12, "stale_flows": None}
    assert answer["ranges_s"]["capacity"] == [10, 14]
    assert told(capsys)["predicted_s"]["address"] is None


def test_a_rate_says_how_long_ports_rest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "usable", lambda: range(60_000))
    assert told(capsys, "--rate=499")["predicted_s"]["stale_flows"] is None
    assert told(capsys, "--rate=501")["predicted_s"]["stale_flows"] == 125.17


def timings_with(**fields: object) -> str:
    known = {"grace_s": 5, "monitor_period_s": 1, "lease_s": 4, "toleration_s": 5, "pod_start_s": 2}
    return json.dumps(known | fields)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        '{"grace_s": 5}',
        "{",
        "[" * 100_000,
        timings_with(grace_s="20"),
        timings_with(grace_s=None),
        timings_with(grace_s=float("nan")),
        timings_with(pod_start_s=float("inf")),
        timings_with(monitor_period_s=-1),
        timings_with(toleration_s=[]),
        timings_with(half_open_s=True),
        timings_with(half_open_s=1e300),
        # Renewed each 100 s, and given up after 5.
        timings_with(lease_s=400),
    ],
    ids=lambda text: text[:40],
)
def test_what_are_no_timings(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", "--kind=kill", f"--timings={text}"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no timings" in said
    assert said.count("\n") == 1


def test_a_leader_that_dies_has_to_be_followed_by_another_first() -> None:
    """Its lease was renewed up to 2 s before; then what it knew of the nodes has to be learnt anew."""
    leads = replace(FAST, manager_s=15.0, scheduler_s=15.0)
    assert taken_over(15.0) == Range(13.3, 18.9)
    assert taken_over(0.0) == Range(0.0, 0.0)
    assert not_ready(leads) == Range(13.3 + 5, 18.9 + 6)
    found = predict("kill", "watchdog", leads, announcer=True)
    alone = predict("kill", "watchdog", FAST, announcer=True)
    # The speakers need no leader.
    assert found["address"] == alone["address"]
    assert found["endpoints"] == Range(13.3 + 0.05, 18.9 + 0.3)
    # The pod is made by the one, and placed by the other.
    scheduled = predict("kill", "watchdog", replace(FAST, scheduler_s=15.0), announcer=True)
    assert scheduled["endpoints"] == alone["endpoints"]
    assert scheduled["capacity"] == Range(13.3 + 1, 18.9 + 3)
