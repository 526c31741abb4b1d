"""MetalLB is there when all of it runs, and announces what it gives out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.role_variables import holds, task, templated

WHOLE = {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3}


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        (WHOLE, True),
        (WHOLE | {"numberReady": 2}, False),
        (WHOLE | {"observedGeneration": 1}, False),
        (WHOLE | {"desiredNumberScheduled": 0, "numberReady": 0}, False),
        ({}, False),
    ],
)
def test_every_speaker_is_waited_for(status: dict[str, int], *, ready: bool) -> None:
    wait = task("load_balancer", "metallb", "MetalLB | One controller and a speaker on every node")
    (speaker,) = [item for item in wait["loop"] if item["name"] == "speaker"]
    found = {"resources": [{"metadata": {"generation": 2}, "status": status}]}
    seen: dict[str, Any] = {"item": speaker, "__load_balancer_workload": found}
    settled = {name: templated("load_balancer", value, **seen) for name, value in wait["vars"].items()}
    assert holds("load_balancer", wait["until"], **seen, **settled) is ready


def test_the_range_that_is_given_out_is_the_one_that_is_announced() -> None:
    pool, announced = templated(
        "load_balancer", "{{ __load_balancer_pool }}", load_balancer_pool="192.0.2.1-192.0.2.9"
    )
    assert pool["spec"]["addresses"] == ["192.0.2.1-192.0.2.9"]
    assert announced["spec"]["ipAddressPools"] == [pool["metadata"]["name"]]
    assert announced["metadata"]["namespace"] == pool["metadata"]["namespace"]
