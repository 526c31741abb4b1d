"""Pods killed with no grace, against a cluster that is played."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from failover_lab import cli
from failover_lab.kube import delete_pods
from failover_lab.kube.errors import RefusedError

Object = dict[str, Any]


class Played:
    """Pods by name, each with its UID; those told to go are gone after so many looks."""

    def __init__(self, pods: dict[str, str], *, looks: int = 0, status: int | None = None) -> None:
        self.pods = pods
        self.looks = looks
        self.status = status
        self.deleted: list[Object] = []
        self.silences = 0
        self.barrier: threading.Barrier | None = None

    def request(self, method: str, path: str, body: Object | None = None, **_query: str) -> Object:
        if path == "/version":
            return {}
        name = path.removeprefix("/api/v1/namespaces/site/pods/")
        if method == "delete":
            assert body is not None
            if self.barrier is not None:
                self.barrier.wait(timeout=5)
            if self.status is not None:
                raise RefusedError(self.status, "no")
            if self.pods.get(name) != body["preconditions"]["uid"]:
                raise RefusedError(409 if name in self.pods else 404, "another one")
            self.deleted.append({"name": name} | body)
            return {}
        if self.silences:
            self.silences -= 1
            raise RefusedError(0, "no answer")
        if self.looks:
            self.looks -= 1
        elif any(row["name"] == name for row in self.deleted):
            self.pods.pop(name, None)
        if name not in self.pods:
            raise RefusedError(404, "gone")
        return {"metadata": {"uid": self.pods[name]}}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    made = Played({"a": "1", "b": "2", "c": "3"})
    monkeypatch.setattr(delete_pods, "Api", lambda _context, _kubeconfig: made)
    monkeypatch.setattr(delete_pods, "LOOK_EVERY_S", 0.001)
    return made


def run(*pods: str, timeout: str = "5") -> int:
    return cli.main(["delete-pods", "--namespace=site", f"--timeout={timeout}", *pods])


def test_exactly_these_and_at_once(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    # One after the other, the first would wait for the second for ever.
    played.barrier = threading.Barrier(2)
    played.looks = 3
    assert run("a=1", "b=2") == 0
    assert sorted(row["name"] for row in played.deleted) == ["a", "b"]
    assert {row["gracePeriodSeconds"] for row in played.deleted} == {0}
    assert played.pods == {"c": "3"}
    assert json.loads(capsys.readouterr().out)["began"] > 1e9


@pytest.mark.parametrize("given", ["a=9", "z=1"])
def test_a_pod_that_has_vanished_is_one_clear_error(
    played: Played, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(given) == 2
    said = capsys.readouterr().err
    assert f"pod {given[0]} has vanished since it was chosen" in said
    assert said.count("\n") == 1
    assert played.deleted == []


def test_one_of_the_same_name_that_came_after_it_is_not_waited_for(played: Played) -> None:
    assert delete_pods.is_gone(played, "site", delete_pods.Pod("a", "older"))  # type: ignore[arg-type]


def test_a_refusal_and_a_silence(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    played.silences = 2
    assert run("a=1") == 0
    played.status = 403
    assert run("b=2") == 2
    assert "refused to delete pod b: no" in capsys.readouterr().err


@pytest.mark.parametrize("status", [0, 401])
def test_a_cluster_that_is_not_there(
    played: Played, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Object:
        raise RefusedError(status, "no answer")

    monkeypatch.setattr(played, "request", refuse)
    assert run("a=1") == 2
    assert "the cluster refused: no answer; no pod was deleted" in capsys.readouterr().err


def test_one_that_does_not_go(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    played.looks = 10**9
    assert run("a=1", timeout="1") == 1
    assert "after 1 s still there: a" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["a", "a=", "=1", "A=1", "a/b=1"])
def test_what_is_no_pod(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(given)
    assert ended.value.code == 2
    assert "is not NAME=UID" in capsys.readouterr().err
