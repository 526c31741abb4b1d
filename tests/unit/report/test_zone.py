"""A zone in the report: all its nodes are lost at once, and what became of their pods is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from failover_lab.report import summary, words

if TYPE_CHECKING:
    from tests.unit.made_up import MadeUpRun


def lost_zone(made_up: MadeUpRun, *, second_at: float = 12.0) -> dict[str, Any]:
    """Two of three nodes die at ZERO; each carried one pod."""
    made_up.observed_kill()
    play = made_up.play
    assert play is not None
    play["fault"] |= {"node": "zone:zone-b", "nodes": ["lab-m02", "lab-m03"]}
    play["displaced"] = [
        {"pod": "site-a", "uid": "uid-a", "node": "lab-m02"},
        {"pod": "site-c", "uid": "uid-c", "node": "lab-m03"},
    ]
    play["replacements"] = [{"pod": "site-x", "uid": "uid-x", "node": "lab"}]
    play["eviction_wait_s"] = 10.0
    made_up.change(-20, "Node", "lab-m03", "LISTED", ready="True")
    made_up.change(5.5, "Node", "lab-m03", ready="Unknown")
    for pod, node, told in (("a", "lab-m02", 7.0), ("c", "lab-m03", second_at)):
        made_up.change(-20, "Pod", f"site-{pod}", "LISTED", uid=f"uid-{pod}", node=node, ready=True)
        gone: dict[str, Any] = {"ready": False, "deletion": "2026-11-23T19:00:20Z"}
        made_up.change(told, "Pod", f"site-{pod}", uid=f"uid-{pod}", node=node, **gone)
    return made_up.content()


def test_the_last_of_its_nodes_counts(made_up: MadeUpRun) -> None:
    found = lost_zone(made_up)
    assert found["fault"]["nodes"] == ["lab-m02", "lab-m03"]
    # The list was rid of the first node's pods after 6 s; of the other's it never was.
    assert found["clocks_s"]["endpoints"] != 6.0


def test_who_had_to_fit_where(made_up: MadeUpRun, tmp_path: Any) -> None:
    content = lost_zone(made_up)
    assert content["zone"] == {
        "name": "zone-b",
        "nodes": ["lab-m02", "lab-m03"],
        "carried": ["site-a", "site-c"],
        "now_on": ["lab"],
        "evicted_s": {"lab-m02": 7.0, "lab-m03": 12.0},
        "eviction_wait_s": 10.0,
    }
    line = (
        "zone-b: 2 pods had to fit on other nodes, and what came in their place is on lab; its nodes' pods "
        "were told to stop 5.00\u00a0s apart (Kubernetes by itself takes 10.0\u00a0s for so many nodes)"
    )
    assert words.zone(content) == [line]
    assert line in summary.lines(content, tmp_path)
    assert words.sentence(content).startswith("Killing zone-b (lab-m02, lab-m03) lost none of")


def test_of_one_node_nothing_is_told(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    content = made_up.content()
    assert content["zone"] is None
    assert words.zone(content) == []
    assert content["fault"]["nodes"] == ["lab-m02"]


@pytest.mark.parametrize("announcer", ["lab-m02", "lab-m03"])
def test_whichever_of_them_announced(made_up: MadeUpRun, announcer: str) -> None:
    made_up.change(-20, "ServiceL2Status", "l2-1", "LISTED", service="site", node=announcer)
    made_up.change(1.7, "ServiceL2Status", "l2-1", service="site", node="lab")
    assert lost_zone(made_up)["clocks_s"]["address"] == 1.7
