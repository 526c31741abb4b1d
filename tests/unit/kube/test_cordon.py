"""Cordoning and uncordoning, against an API that is played."""

from __future__ import annotations

from typing import Any

import pytest

from failover_lab import cli
from failover_lab.errors import UserError
from failover_lab.kube import drain
from failover_lab.kube.cordon import cordon, uncordon
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import CORDONED_BY

Object = dict[str, Any]


def node(name: str, *, by: str | None = None, cordoned: bool = False) -> Object:
    annotations = {"kept": "yes"} | ({CORDONED_BY: by} if by else {})
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "annotations": annotations},
        "spec": {"unschedulable": True} if cordoned else {},
    }


class Played:
    """A cluster of these nodes; a merge patch changes them as the API server would."""

    def __init__(self, *nodes: Object, status: int = 0) -> None:
        self.nodes = {one["metadata"]["name"]: one for one in nodes}
        self.status = status
        self.patched: list[str] = []

    def request(self, method: str, path: str, body: Object | None = None, **_query: str) -> Object:
        if self.status:
            raise RefusedError(self.status, "the API server says no")
        name = path.removeprefix("/api/v1/nodes").removeprefix("/")
        if not name:
            return {"items": list(self.nodes.values())}
        if name not in self.nodes:
            raise RefusedError(404, f"{name} not found")
        if method == "patch":
            assert body is not None
            merge(self.nodes[name], body)
            self.patched.append(name)
        return self.nodes[name]


def merge(into: Object, change: Object) -> None:
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def test_a_node_is_cordoned_and_marked_at_once() -> None:
    played = Played(node("m02"), node("m03"))
    assert cordon(played, "m02", "uid-m02", "run-1")  # type: ignore[arg-type]
    assert played.nodes["m02"] == node("m02", by="run-1", cordoned=True)
    assert played.patched == ["m02"]


def test_a_node_that_somebody_else_has_cordoned_gets_no_mark() -> None:
    played = Played(node("m02", cordoned=True))
    assert not cordon(played, "m02", "", "run-1")  # type: ignore[arg-type]
    assert played.patched == []


@pytest.mark.parametrize(("name", "whose"), [("m04", "none"), ("m02", "another one")])
def test_a_node_that_has_vanished(name: str, whose: str) -> None:
    played = Played(node("m02"))
    with pytest.raises(
        UserError, match=f"{name} has vanished since it was chosen: the cluster has {whose} of"
    ):
        cordon(played, name, "uid-before", "run-1")  # type: ignore[arg-type]
    assert played.patched == []


def test_what_is_marked_is_uncordoned() -> None:
    played = Played(node("m02", by="run-1", cordoned=True), node("m03", cordoned=True), node("lab"))
    assert uncordon(played) == ["m02"]  # type: ignore[arg-type]
    assert played.nodes["m02"] == node("m02")
    assert played.nodes["m03"] == node("m03", cordoned=True)
    assert uncordon(played) == []  # type: ignore[arg-type]


def test_a_cluster_that_refuses() -> None:
    played = Played(node("m02"), status=403)
    with pytest.raises(UserError, match="refused to cordon m02: the API server says no"):
        cordon(played, "m02", "", "run-1")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="refused to uncordon its nodes: the API server says no"):
        uncordon(played)  # type: ignore[arg-type]


def test_the_command_tells_whom(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    played = Played(node("m02", by="run-1", cordoned=True))
    monkeypatch.setattr(drain, "Api", lambda *_: played)
    assert cli.main(["uncordon", "--context=lab"]) == 0
    assert capsys.readouterr().out == "m02\n"
