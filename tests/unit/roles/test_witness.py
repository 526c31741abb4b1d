"""What the play was told reaches the witness, and what the witness could not do reaches the report."""

from __future__ import annotations

from typing import Any

import pytest
from tests.role_variables import task, templated


@pytest.mark.parametrize(("duration", "said"), [("0", []), ("2.5", ["--duration=2.5"])])
def test_the_probe_is_told_all_of_it(duration: str, said: list[str]) -> None:
    settings = {
        "witness_url": "http://192.0.2.1/",
        "witness_rate": "200",
        "witness_connections": "both",
        "witness_duration": duration,
    }
    ask = task("witness", "start", "Start | Ask as the users do")
    probe = templated("witness", ask["vars"]["__witness_probe"], **settings)
    assert probe == ["probe", "--rate=200", "--connections=both", *said]
    command = ask["failover_lab.lab.lab"]["command"]
    told = templated("witness", command, **settings, __witness_probe=probe, __witness_until=[])
    assert told[: len(probe)] == probe
    assert "--url=http://192.0.2.1/whoami" in told


def test_the_observer_is_told_all_of_it() -> None:
    settings = {
        "witness_url": "http://192.0.2.1:8080",
        "witness_namespace": "web",
        "witness_service": "front",
        "witness_context": "lab",
        "witness_kubeconfig": "/config",
    }
    observe = task("witness", "start", "Start | Watch the cluster")["vars"]["__witness_observe"]
    assert templated("witness", observe, **settings, __witness_host="192.0.2.1") == [
        "observe",
        "--namespace=web",
        "--service=front",
        "--context=lab",
        "--address=192.0.2.1",
        "--kubeconfig=/config",
    ]


STEADY = "Steady | Every pod answers and nothing fails, in seconds: {{ witness_steady_s }}"


def test_steady_is_what_the_observer_has_seen_as_well() -> None:
    options = task("witness", "steady", STEADY)["failover_lab.lab.lab"]["options"]
    assert options["observed"] is True


def ended(who: str, **result: Any) -> dict[str, Any]:
    beside = who in {"trace", "api"}
    return {"item": {"who": who, "beside": beside}, "finished": True, "ok": True} | result


def test_what_the_witness_could_not_do_is_told() -> None:
    tell = task("witness", "stop", "Stop | Tell what it could not do")["ansible.builtin.set_fact"]
    results = [
        ended("probe", ok=False, msg="no ports"),
        ended("observer", ok=False, finished=False, msg="late"),
        # Its own file says so.
        ended("trace", ok=False, msg="no node"),
    ]
    told = templated("witness", tell["witness_troubles"], __witness_ended={"results": results})
    assert told == ["the probe broke off: no ports", "the observer has not ended: late"]
    well = [ended("probe"), ended("observer")]
    assert templated("witness", tell["witness_troubles"], __witness_ended={"results": well}) == []
