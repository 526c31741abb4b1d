"""How fast a dead node is noticed, changed on the living lab: users lose nothing, and it is true.

Changed back after those tests that need it so: test_slower.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.declared import added, declared_dead

from .conftest import PROFILE, docker
from .detection import (
    FAST,
    KUBELET_FILE,
    Change,
    files,
    flags,
    gathers,
    leases,
    names,
    within,
)

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.nightly]


def test_check_mode_tells_what_would_be_set(lab: Lab) -> None:
    before = files(lab)
    checked = lab.play("setup", *FAST, "--check", "--diff")
    assert checked.returncode == 0, checked.output[-4000:]
    assert checked.changed > 0
    assert "+grace_s: 5" in checked.output
    assert files(lab) == before


def test_faster_without_a_lost_request_or_a_node_that_looks_dead(lab: Lab, faster: Change) -> None:
    assert faster.wrong == []
    assert faster.looked_dead == {}
    assert sorted(flags(lab)) == ["--node-monitor-grace-period=5s", "--node-monitor-period=1s"]
    assert {spec["leaseDurationSeconds"] for spec in leases(lab).values()} == {4}
    assert {gathers(node) for node in names(lab)} == {"100ms"}
    assert files(lab)["manifests"] == faster.before["manifests"], "something was left beside the manifests"

    earlier = leases(lab)
    within(2.5, lambda: all(leases(lab)[node]["renewTime"] > earlier[node]["renewTime"] for node in earlier))


def by_hand(lab: Lab, node: str) -> None:
    """Somebody has a node's kubelet renew its lease less often."""
    script = (
        f"sed -i 's/^nodeLease.*/nodeLeaseDurationSeconds: 12/' {KUBELET_FILE} && systemctl restart kubelet"
    )
    docker("exec", node, "sh", "-c", script)
    within(20, lambda: leases(lab)[node]["leaseDurationSeconds"] == 12)


@pytest.mark.usefixtures("faster")
def test_a_killed_node_is_noticed_and_comes_back_and_what_was_changed_by_hand_is_set_again(lab: Lab) -> None:
    node = next(node for _, node in lab.pods().values() if node != PROFILE)

    def is_ready() -> bool:
        conditions = lab.get("node", node)["status"]["conditions"]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def is_asked() -> bool:
        slices = lab.get("endpointslices", "--namespace=site", "--selector=kubernetes.io/service-name=site")
        endpoints = [endpoint for item in slices["items"] for endpoint in item["endpoints"] or []]
        return any(e["conditions"]["ready"] and e["nodeName"] == node for e in endpoints)

    assert is_asked()
    before = declared_dead(lab.kubectl)
    docker("kill", node)
    noticed_s = within(8, lambda: not is_ready())
    cleaned_s = noticed_s + within(2, lambda: not is_asked())
    assert 3.5 < noticed_s < 7, f"noticed after {noticed_s:.1f} s"
    assert cleaned_s < 7.5, f"endpoints clean after {cleaned_s:.1f} s"
    # Five seconds of toleration, and the start.
    within(15, lambda: sum(where != node for _, where in lab.pods().values()) >= 4)

    by_hand(lab, next(other for other in names(lab) if other not in (node, PROFILE)))
    dead = declared_dead(lab.kubectl)
    (event,) = added(before, dead)
    assert event.startswith(f"{node}.")
    played = lab.play("setup", *FAST)
    assert played.returncode == 0, played.output[-6000:]
    assert is_ready()
    assert {spec["leaseDurationSeconds"] for spec in leases(lab).values()} == {4}
    assert added(dead, declared_dead(lab.kubectl)) == {}, "it looked dead again after it had come back"
