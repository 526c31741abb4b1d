"""When containers that were killed have others in their place, by what the API says."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from failover_lab.kube import restarts

OLD, NEW = "a" * 64, "b" * 64


def pod(container: str, uid: str = "uid-a", **state: Any) -> dict[str, Any]:
    status = {"containerID": f"containerd://{container}", "state": state or {"running": {}}}
    return {"metadata": {"name": "site-a", "uid": uid}, "status": {"containerStatuses": [status]}}


@pytest.mark.parametrize(
    ("pods", "missing"),
    [
        ([pod(OLD)], ["site-a still counts as it was"]),
        ([pod(OLD, terminated={})], ["site-a still counts as it was"]),
        ([pod(NEW, waiting={"reason": "CrashLoopBackOff"})], ["no other container yet (CrashLoopBackOff)"]),
        ([pod(NEW)], []),
        ([pod(OLD, uid="uid-b")], []),
        ([], []),
        ([{"metadata": {"name": "site-a", "uid": "uid-a"}}], ["no other container yet (it has not started)"]),
    ],
)
def test_what_is_missing(pods: list[dict[str, Any]], missing: list[str]) -> None:
    found = restarts.missing_of(pods, {"uid-a": OLD})
    assert len(found) == len(missing)
    assert all(words in sentence for words, sentence in zip(missing, found, strict=True))


@pytest.mark.parametrize(("text", "read"), [(f"uid-a={OLD}", ("uid-a", OLD)), (f"u={OLD}+{NEW}", ("u", OLD))])
def test_a_container_as_the_plan_has_it(text: str, read: tuple[str, str]) -> None:
    assert restarts.container(text) == read
    with pytest.raises(argparse.ArgumentTypeError):
        restarts.container(text.replace("=", ":"))
