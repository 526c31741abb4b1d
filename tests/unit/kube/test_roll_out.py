"""A rollout's requests, and what takes another image off again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, cast

import pytest

from failover_lab.errors import UserError
from failover_lab.kube import roll_out
from failover_lab.kube.names import IMAGE_BEFORE

if TYPE_CHECKING:
    from failover_lab.kube.client import Api


class Played:
    """An API server with some Deployments, which takes merge patches; or with owners of another kind."""

    def __init__(self, *deployments: dict[str, Any], kind: str = "deployments") -> None:
        self.kind = kind
        self.deployments = {one["metadata"]["name"]: one for one in deployments}
        self.patches: list[dict[str, Any]] = []

    def request(self, method: str, path: str, body: Any = None) -> Any:
        if f"/{self.kind}" not in path:
            return {"items": []}
        name = path.partition(f"/{self.kind}/")[2]
        if method == "patch":
            self.patches.append(body)
            annotations = self.deployments[name]["metadata"].setdefault("annotations", {})
            annotations |= body["metadata"].get("annotations", {})
            template = self.deployments[name]["spec"]["template"]
            template["spec"] |= body["spec"]["template"].get("spec", {})
            return self.deployments[name]
        return self.deployments.get(name) if name else {"items": list(self.deployments.values())}


def deployment(name: str = "site", *, default: str = "") -> dict[str, Any]:
    annotations = {"kubectl.kubernetes.io/default-container": default} if default else {}
    containers = [{"name": "web", "image": "web:1", "args": ["-x"]}, {"name": "proxy", "image": "proxy:1"}]
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": containers}}
    return {"metadata": {"name": name, "resourceVersion": "7"}, "spec": {"template": template}}


def images(played: Played, name: str = "site") -> list[str]:
    return [one["image"] for one in played.deployments[name]["spec"]["template"]["spec"]["containers"]]


def test_a_restart_changes_a_stamp_and_nothing_else() -> None:
    played = Played(deployment())
    assert roll_out.roll_out(cast("Api", played), "site", "Deployment", "site") > 0
    (patch,) = played.patches
    assert list(patch["spec"]["template"]["metadata"]["annotations"]) == ["kubectl.kubernetes.io/restartedAt"]
    assert patch["metadata"] == {"resourceVersion": "7"}
    assert roll_out.roll_back(cast("Api", played), "site") == []


@pytest.mark.parametrize(("default", "given"), [("", ["web:2", "proxy:1"]), ("proxy", ["web:1", "web:2"])])
def test_another_image_and_back(default: str, given: list[str]) -> None:
    played = Played(deployment(default=default), deployment("other"))
    roll_out.roll_out(cast("Api", played), "site", "Deployment", "site", "web:2")
    assert images(played) == given
    # What the container has besides stays; and which image there was is written in the same request.
    assert played.patches[0]["spec"]["template"]["spec"]["containers"][0]["args"] == ["-x"]
    assert played.patches[0]["metadata"]["annotations"][IMAGE_BEFORE] in ("web:1", "proxy:1")
    assert roll_out.roll_back(cast("Api", played), "site") == ["site"]
    assert images(played) == ["web:1", "proxy:1"]
    assert roll_out.roll_back(cast("Api", played), "site") == []


def test_one_that_is_gone() -> None:
    with pytest.raises(UserError, match="no Deployment site in the namespace web any more; nothing was done"):
        roll_out.roll_out(cast("Api", Played()), "web", "Deployment", "site")


def test_an_image_that_it_has_already() -> None:
    played = Played(deployment())
    with pytest.raises(UserError, match="has the image web:1 already"):
        roll_out.roll_out(cast("Api", played), "site", "Deployment", "site", "web:1")
    assert played.patches == []


def test_the_first_image_is_the_one_that_comes_back() -> None:
    played = Played(deployment())
    for image in ("web:2", "web:3"):
        roll_out.roll_out(cast("Api", played), "site", "Deployment", "site", image)
    roll_out.roll_back(cast("Api", played), "site")
    assert images(played) == ["web:1", "proxy:1"]


@pytest.mark.parametrize(("kind", "plural"), [("StatefulSet", "statefulsets"), ("DaemonSet", "daemonsets")])
def test_whoever_has_a_strategy_of_its_own(kind: str, plural: str) -> None:
    played = Played(deployment(), kind=plural)
    roll_out.roll_out(cast("Api", played), "site", kind, "site", "web:2")
    assert images(played) == ["web:2", "proxy:1"]
    assert roll_out.roll_back(cast("Api", played), "site") == ["site"]
    assert images(played) == ["web:1", "proxy:1"]


def test_words_for_owners() -> None:
    assert roll_out.owner("DaemonSet/edge") == ("DaemonSet", "edge")
    for wrong in ("site", "ReplicaSet/site", "Deployment/"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not KIND/NAME"):
            roll_out.owner(wrong)
