"""The mark: one patch on, one patch off, and only what is ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.watchdog.conftest import SimNode, merge

from failover_lab.kube.names import EXCLUDE, OUT_OF_SERVICE_BY
from failover_lab.kube.out_of_service import TAINT, marking, unmarking
from failover_lab.watchdog.cluster import member

OTHER = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def node(**more: Any) -> dict[str, Any]:
    return SimNode("lab-m02", "10.0.0.2", **more).as_object()


def marked(before: dict[str, Any]) -> dict[str, Any]:
    change = marking(before, "test", "2026-11-23T19:00:00Z")
    assert change is not None
    result: dict[str, Any] = merge(before, change)
    return result


def unmarked(before: dict[str, Any]) -> dict[str, Any]:
    change = unmarking(before)
    assert change is not None
    result: dict[str, Any] = merge(before, change)
    return result


def test_all_in_one_patch_and_all_back() -> None:
    before = node(spec={"podCIDR": "10.244.1.0/24"})
    after = marked(before)
    assert after["spec"] == {"podCIDR": "10.244.1.0/24", "unschedulable": True, "taints": [TAINT]}
    assert EXCLUDE in after["metadata"]["labels"]
    assert json.loads(after["metadata"]["annotations"][OUT_OF_SERVICE_BY]) == {
        "by": "test",
        "since": "2026-11-23T19:00:00Z",
        "changed": ["cordon", "label", "taint"],
    }
    assert member(after).ours
    assert unmarked(after) == before


def test_the_patch_fails_where_the_node_has_changed_since() -> None:
    before = node(version=7)
    for change in (marking(before, "test", ""), unmarking(marked(before))):
        assert change is not None
        assert change["metadata"]["resourceVersion"] == "7"


def test_twice_changes_nothing() -> None:
    assert marking(marked(node()), "test", "later") is None


def test_a_mark_in_part_is_completed_and_stays_ours() -> None:
    part = marked(node())
    part["spec"]["taints"] = [OTHER]
    del part["metadata"]["labels"][EXCLUDE]
    whole = marked(part)
    assert whole["spec"]["taints"] == [OTHER, TAINT]
    assert json.loads(whole["metadata"]["annotations"][OUT_OF_SERVICE_BY])["changed"] == [
        "cordon",
        "label",
        "taint",
    ]


def test_what_others_did_is_left() -> None:
    before = node(
        spec={"unschedulable": True, "taints": [OTHER, CORDON, TAINT]},
        labels={EXCLUDE: "theirs"},
        annotations={"failover-lab/cordoned-by": "a run"},
    )
    after = marked(before)
    assert json.loads(after["metadata"]["annotations"][OUT_OF_SERVICE_BY])["changed"] == []
    assert unmarked(after) == before


def test_taints_of_others_stay() -> None:
    before = node(spec={"taints": [OTHER]})
    after = marked(before)
    assert after["spec"]["taints"] == [OTHER, TAINT]
    after["spec"]["taints"].append(CORDON)
    assert unmarked(after)["spec"]["taints"] == [OTHER, CORDON]


def test_a_taint_of_the_same_key_with_another_meaning_is_not_ours() -> None:
    theirs = {**TAINT, "effect": "NoSchedule"}
    after = marked(node(spec={"taints": [theirs]}))
    assert after["spec"]["taints"] == [theirs, TAINT]
    assert unmarked(after)["spec"]["taints"] == [theirs]


def test_without_the_mark_nothing_is_taken_back() -> None:
    assert unmarking(node(spec={"unschedulable": True, "taints": [TAINT]}, labels={EXCLUDE: ""})) is None


@pytest.mark.parametrize("mark", ["", "yes", "[]", "null", '{"by": "me"}', '{"changed": 3}'])
def test_a_mark_that_somebody_edited_takes_back_the_taint_alone(mark: str) -> None:
    after = unmarked(
        node(
            spec={"unschedulable": True, "taints": [TAINT]},
            labels={EXCLUDE: ""},
            annotations={OUT_OF_SERVICE_BY: mark},
        )
    )
    assert after["spec"] == {"unschedulable": True}
    assert EXCLUDE in after["metadata"]["labels"]
    assert OUT_OF_SERVICE_BY not in after["metadata"]["annotations"]


def test_what_is_known_of_a_node() -> None:
    found = member(SimNode("lab", "10.0.0.1", control_plane=True).as_object())
    assert (found.name, found.address, found.control_plane, found.ours) == (
        "lab",
        "10.0.0.1:10250",
        True,
        False,
    )
    assert member({"metadata": {"name": "new"}}).address == ""
