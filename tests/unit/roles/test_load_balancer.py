"""MetalLB is there when all of it runs, and announces what it gives out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.role_variables import holds, task, templated

from failover_lab.kube.speakers import Watch

WHOLE = {
    "observedGeneration": 2,
    "desiredNumberScheduled": 3,
    "updatedNumberScheduled": 3,
    "numberReady": 3,
}


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        (WHOLE, True),
        (WHOLE | {"numberReady": 2}, False),
        (WHOLE | {"observedGeneration": 1}, False),
        (WHOLE | {"updatedNumberScheduled": 1}, False),
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


MANIFEST = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: speaker}
spec:
  template:
    metadata: {annotations: {prometheus.io/port: "9120"}}
    spec:
      containers: [{name: speaker, args: [], readinessProbe: {}, volumeMounts: []}]
      volumes: []
"""


def watching(tmp_path: Path, speed: str) -> tuple[dict[str, Any], str]:
    """How the speakers watch each other, and by which text one that is to start anew is known."""
    manifest = tmp_path / "metallb.yaml"
    manifest.write_text(MANIFEST)
    config, speaker = templated(
        "load_balancer",
        "{{ __load_balancer_documents }}",
        load_balancer_manifest=str(manifest),
        load_balancer_failure_detection=speed,
    )
    assert config["metadata"]["name"] == "metallb-memberlist-config"
    return json.loads(config["data"]["config.json"]), speaker["spec"]["template"]["metadata"]["annotations"][
        "failover-lab/memberlist"
    ]


def test_the_speakers_watch_each_other_as_fast_as_is_set(tmp_path: Path) -> None:
    """The package, which predicts by it, reads the same."""
    slow, one = watching(tmp_path, "default")
    fast, other = watching(tmp_path, "fast")
    # All of it or none, a speaker says.
    assert set(slow) == set(fast)
    assert len(fast) == 19
    assert one != other
    assert Watch.of(json.dumps(slow)) == Watch()
    assert Watch.of(json.dumps(fast)) == Watch(probe_s=0.25, suspicion_mult=3)
