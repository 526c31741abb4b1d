"""Which zone each node is put into, and where Kubernetes goes on replacing what is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from failover_lab.errors import UserError
from failover_lab.kube import zones
from failover_lab.kube.names import ZONE, ZONE_BY

if TYPE_CHECKING:
    from failover_lab.kube.client import Api


def node(name: str, zone: str = "", *, ours: bool = True) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {ZONE: zone} if zone else {},
            "annotations": {ZONE_BY: "setup"} if zone and ours else {},
        }
    }


def six(*names: str) -> list[dict[str, Any]]:
    return [node(f"m{number}", name) for number, name in enumerate(names)]


@pytest.mark.parametrize(
    ("nodes", "count", "found"),
    [
        (six("", "", ""), 3, ["zone-a", "zone-b", "zone-c"]),
        (six("", "", "", "", "", ""), 3, ["zone-a", "zone-b", "zone-c"] * 2),
        # Who is in a zone stays there.
        (six("zone-b", "", "zone-a", ""), 2, ["zone-b", "zone-a", "zone-a", "zone-b"]),
        # But not more than an even share.
        (six("zone-a", "zone-a", "zone-a", "zone-a"), 2, ["zone-a", "zone-a", "zone-b", "zone-b"]),
        (six("zone-a", "zone-b", "zone-c"), 2, ["zone-a", "zone-b", "zone-a"]),
        (six("zone-a", "zone-b"), 1, ["", ""]),
    ],
)
def test_where_each_is_put(nodes: list[dict[str, Any]], count: int, found: list[str]) -> None:
    assert list(dict(sorted(zones.assigned(nodes, count).items())).values()) == found


def test_a_zone_of_somebody_elses_is_left_alone() -> None:
    nodes = [node("m0", "eu-1", ours=False), node("m1"), node("m2")]
    assert zones.assigned(nodes, 2) == {"m1": "zone-a", "m2": "zone-b"}
    assert zones.assigned(nodes, 1) == {"m1": "", "m2": ""}


class Played:
    def __init__(self, *nodes: dict[str, Any]) -> None:
        self.nodes = nodes
        self.patches: dict[str, Any] = {}

    def request(self, method: str, path: str, body: Any = None) -> Any:
        if method == "patch":
            self.patches[path.rpartition("/")[2]] = body["metadata"]
        return {"items": list(self.nodes)}


def test_what_is_written() -> None:
    played = Played(node("m0", "zone-a"), node("m1"))
    assert zones.label(cast("Api", played), 2, change=True) == {"m1": "zone-b"}
    assert played.patches == {"m1": {"labels": {ZONE: "zone-b"}, "annotations": {ZONE_BY: "setup"}}}
    # And taken off again; and in check mode, only told.
    assert zones.label(cast("Api", played), 1, change=True) == {"m0": ""}
    assert played.patches["m0"] == {"labels": {ZONE: None}, "annotations": {ZONE_BY: None}}
    quiet = Played(node("m0"), node("m1"))
    assert len(zones.label(cast("Api", quiet), 2, change=False)) == 2
    assert quiet.patches == {}


def test_more_zones_than_nodes() -> None:
    with pytest.raises(UserError, match="cluster_zones is 3, and there are 2 nodes"):
        zones.label(cast("Api", Played(node("m0"), node("m1"))), 3, change=True)


@pytest.mark.parametrize(
    ("names", "lost", "found"),
    [
        # Without zones, as ever.
        (["", "", ""], [0], {"": 0.1}),
        (["", "", ""], [0, 1], {"": 0.1}),
        (["", "", "", "", ""], [0, 1, 2], {"": 0.0}),
        (["", "", ""], [0, 1, 2], {"": 0.0}),
        # A zone that is lost as a whole is emptied, as long as another lives.
        (["a", "b", "c"], [0], {"a": 0.1, "b": 0.1, "c": 0.1}),
        (["a", "a", "b", "b", "c", "c"], [0, 1], {"a": 0.1, "b": 0.1, "c": 0.1}),
        (["a", "a", "a", "a", "b"], [0, 1, 2], {"a": 0.0, "b": 0.1}),
        (["a", "b"], [0, 1], {"a": 0.0, "b": 0.0}),
        (["a"] * 60, list(range(40)), {"a": 0.01}),
    ],
)
def test_how_fast_zones_are_emptied(names: list[str], lost: list[int], found: dict[str, float]) -> None:
    assert zones.rates(six(*names), {f"m{number}" for number in lost}) == found
