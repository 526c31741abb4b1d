"""A cluster is started again as it was made, and what its nodes need is counted once."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.role_variables import task, templated

MADE = ["/old/minikube", "start", "--profile=lab", "--nodes=3", "--cni=kindnet"]
FLANNEL = "example.org/flannel:v1"


def found(*, whole: bool, known: bool, start: list[str] = MADE) -> dict[str, Any]:
    """What the role has seen of a cluster."""
    nodes = [{"Name": "lab", "Host": "Stopped"}]
    record = base64.b64encode(json.dumps({"start": start}).encode()).decode()
    return {
        "ansible_facts": {"user_id": "root", "architecture": "x86_64"},
        "cluster_profile": "lab",
        "cluster_minikube": "/new/minikube",
        "cluster_flannel_image": FLANNEL,
        "__cluster_marker_found": {"stat": {"exists": whole}},
        "__cluster_record": {"content": record} if whole else {},
        "__cluster_asked": {"rc": 7 if known else 85, "stdout": json.dumps(nodes) if known else ""},
    }


def test_a_cluster_starts_again_as_it_was_made() -> None:
    seen = found(whole=True, known=True)
    assert templated("cluster", "{{ __cluster_start }}", **seen) == ["/new/minikube", *MADE[1:]]
    assert templated("cluster", "{{ __cluster_flannel }}", **seen) is False
    assert templated("cluster", "{{ __cluster_workloads }}", **seen) == ["kube-system/deployments/coredns"]
    seen = found(whole=True, known=True, start=[*MADE[:-1], "--cni=/state/flannel.yaml"])
    assert templated("cluster", "{{ __cluster_flannel }}", **seen) is True


@pytest.mark.parametrize(("whole", "known"), [(False, False), (False, True), (True, False)])
def test_one_that_is_made_goes_by_the_settings_of_today(*, whole: bool, known: bool) -> None:
    seen = found(whole=whole, known=known) | {"cluster_nodes": 4, "cluster_subnet": "10.70.0.0/24"}
    start = templated("cluster", "{{ __cluster_start }}", **seen)
    assert {"--nodes=4", "--subnet=10.70.0.0/24"} <= set(start)
    assert "--cni=kindnet" not in start
    assert templated("cluster", "{{ __cluster_flannel }}", **seen) is True


def test_the_nodes_that_are_there_are_not_counted_twice() -> None:
    names = ["/lab", "/lab-m02", "/lab-m03", "/lab-more", "/other", "/other-m02"]
    there = {"containers": [{"Names": [name]} for name in names]}
    mine = [f"lab{number}" for number in ("", "-m02", "-m03")]
    # What others hold counts where it is more than that.
    for held, expected in ((40, 17 * (3 + 4) + 16), (500, 500)):
        wanted = templated(
            "cluster",
            "{{ __cluster_inotify_wanted }}",
            cluster_profile="lab",
            cluster_nodes=4,
            __cluster_nodes_here=there,
            __cluster_judged={"data": {"limit": 128, "held": 9, "wanted": held}},
            __cluster_belonging={"data": {"containers": mine, "volumes": mine, "networks": ["lab"]}},
        )
        assert int(wanted) == expected


def test_the_nodes_that_are_wanted_are_added() -> None:
    loop = task("cluster", "grow", "Grow | Add a node")["loop"]
    there = [{"Name": "lab"}, {"Name": "lab-m02"}]
    for wanted, expected in ((2, []), (3, [3]), (5, [3, 4, 5])):
        assert templated("cluster", loop, cluster_nodes=wanted, __cluster_status=there) == expected


def test_addresses_are_given_out_where_no_node_has_its_own() -> None:
    facts = task("cluster", "facts", "Facts | How to reach the cluster")["ansible.builtin.set_fact"]
    network = {"exists": True, "network": {"IPAM": {"Config": [{"Subnet": "192.168.49.0/24"}]}}}
    pool = facts["cluster_address_pool"]
    assert templated("cluster", pool, __cluster_network=network) == "192.168.49.200-192.168.49.250"
    assert templated("cluster", pool, __cluster_network={"exists": False}) == ""
