"""Evictions against a cluster that is played: what is asked for, when, and what is said of it."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest

from failover_lab import cli, waiting
from failover_lab.errors import UserError
from failover_lab.kube import drain, evict
from failover_lab.kube.errors import RefusedError

Object = dict[str, Any]
BUDGET = "Cannot evict pod as it would violate the pod's disruption budget."


def pod(name: str, kind: str | None = "ReplicaSet", *, ending: bool = False, **more: Any) -> Object:
    meta: Object = {"namespace": "site", "name": name, "uid": f"uid-{name}"} | more
    if kind:
        meta["ownerReferences"] = [{"kind": kind, "controller": True}]
    if ending:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": meta, "status": {"phase": "Running"}}


class Played:
    """A node whose pods end some looks after they were evicted; a budget may refuse first."""

    def __init__(self, *pods: Object, refusals: int = 0, life: int = 1, status: int = 429) -> None:
        self.pods = list(pods)
        self.refusals, self.life, self.status = refusals, life, status
        self.silent = 0
        self.evicted: list[Object] = []

    def request(self, method: str, path: str, body: Object | None = None, **query: str) -> Object:
        if self.silent:
            self.silent -= 1
            raise RefusedError(0, "no answer")
        if path == "/api/v1/nodes/m02":
            return {"metadata": {"name": "m02"}}
        if path.startswith("/api/v1/nodes/"):
            raise RefusedError(self.status, "not found")
        if method == "get":
            assert (path, query) == ("/api/v1/pods", {"fieldSelector": "spec.nodeName=m02"})
            shown = [dict(pod) for pod in self.pods]
            for one in [pod for pod in self.pods if "left" in pod]:
                one["left"] -= 1
                if one["left"] < 0:
                    self.pods.remove(one)
            return {"items": shown}
        assert method == "post"
        assert body is not None
        name = path.split("/")[-2]
        assert path == f"/api/v1/namespaces/site/pods/{name}/eviction"
        assert body["deleteOptions"]["preconditions"] == {"uid": f"uid-{name}"}
        if self.refusals:
            self.refusals -= 1
            raise RefusedError(self.status, BUDGET)
        self.evicted.append(body)
        one = next(pod for pod in self.pods if pod["metadata"]["name"] == name)
        one["left"] = self.life
        one["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        return {}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "LOOK_EVERY_S", 0.001)


def drained(played: Played, timeout_s: float = 5.0) -> tuple[str, evict.Drain]:
    made = evict.Drain(played, "m02")  # type: ignore[arg-type]
    return drain.carry_out(made, timeout_s), made


def test_every_pod_is_evicted_once_and_waited_for() -> None:
    played = Played(pod("a"), pod("b"), life=3)
    why, drain = drained(played)
    assert why == ""
    assert [body["metadata"]["name"] for body in played.evicted] == ["a", "b"]
    rows = list(drain.evictions.values())
    assert [row.figures()["pod"] for row in rows] == ["a", "b"]
    assert all(0 <= (row.granted_s or 0) <= (row.gone_s or -1) for row in rows)
    assert played.pods == []


def test_what_nothing_brings_back_goes_where_that_was_allowed() -> None:
    with pytest.raises(UserError, match="site/alone on m02 has no controller"):
        drained(Played(pod("alone", None)))
    played = Played(pod("alone", None))
    made = evict.Drain(played, "m02", orphans=True)  # type: ignore[arg-type]
    assert drain.carry_out(made, 5.0) == ""
    assert [body["metadata"]["name"] for body in played.evicted] == ["alone"]


def test_what_belongs_to_the_node_stays() -> None:
    mirror = pod("etcd", None, annotations={"kubernetes.io/config.mirror": "x"})
    played = Played(pod("speaker", "DaemonSet"), mirror, pod("a"))
    assert drained(played)[0] == ""
    assert [body["metadata"]["name"] for body in played.evicted] == ["a"]


def test_a_disruption_budget_is_waited_out(capsys: pytest.CaptureFixture[str]) -> None:
    played = Played(pod("a"), refusals=3)
    why, drain = drained(played)
    assert why == ""
    assert drain.evictions["uid-a"].refused_by == BUDGET
    assert played.refusals == 0
    assert "0 of 1 pods gone; held back by a disruption budget: site/a" in capsys.readouterr().out


@pytest.mark.parametrize("status", [0, 502, 503, 504])
def test_an_api_server_that_is_away_for_a_moment_is_waited_for(status: int) -> None:
    """Its certificate is renewed, or etcd elects a leader: that is no reason to end a drain."""
    played = Played(pod("a"), refusals=3, status=status)
    assert drained(played)[0] == ""
    assert len(played.evicted) == 1


def test_a_webhook_that_says_not_now_is_no_budget(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(globals(), "BUDGET", "admission webhook guard.example denied the request: not now")
    assert drained(Played(pod("a"), refusals=3))[0] == ""
    told = capsys.readouterr().out
    assert "refused for now: site/a (admission webhook guard.example denied the request: not now)" in told
    assert "budget" not in told


def test_a_budget_that_never_allows_is_named_at_the_end() -> None:
    why, drain = drained(Played(pod("a"), refusals=10**9), 0.05)
    assert why == f"site/a: {BUDGET}"
    assert drain.evictions["uid-a"].gone_s is None


def test_a_pod_that_does_not_end_is_named() -> None:
    why, _ = drained(Played(pod("a"), life=10**9), 0.05)
    assert why == "site/a was told to go and has not ended"


ENDED = {"phase": "Running", "containerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]}


@pytest.mark.parametrize("status", [ENDED, {"phase": "Succeeded"}])
def test_a_finalizer_that_nobody_takes_off_is_named_and_not_waited_for(
    status: Object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evict, "_HELD_S", 0.02)
    held = pod("a", ending=True, finalizers=["example.org/keep"]) | {"status": status}
    why, _ = drained(Played(held), 60.0)
    assert why == (
        "site/a has ended, and its object stays for its finalizer example.org/keep: whoever put that "
        "there has to take it off"
    )
    assert "ended, and held by a finalizer: site/a (example.org/keep)" in capsys.readouterr().out


def test_a_pod_with_a_finalizer_that_still_runs_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    running = pod("a", ending=True, finalizers=["example.org/keep"])
    running["status"]["containerStatuses"] = [{"state": {"running": {}}}, {"state": {"terminated": {}}}]
    why, _ = drained(Played(running), 0.05)
    assert why == "site/a was told to go and has not ended"
    assert "ending: site/a" in capsys.readouterr().out


def test_a_pod_that_is_ending_already_is_not_evicted_again() -> None:
    ending = pod("a", ending=True) | {"left": 2}
    played = Played(ending)
    assert drained(played)[0] == ""
    assert played.evicted == []


def test_a_pod_without_a_controller_is_refused_before_anything_is_evicted() -> None:
    played = Played(pod("a"), pod("lonely", None))
    with pytest.raises(UserError, match="site/lonely on m02 has no controller"):
        drained(played)
    assert played.evicted == []
    done = pod("job", None)
    done["status"]["phase"] = "Succeeded"
    assert drained(Played(done))[0] == "", "one that has ended is lost to nobody"


@pytest.mark.parametrize("status", [404, 409])
def test_a_pod_that_went_meanwhile(status: int) -> None:
    assert drained(Played(pod("a"), refusals=1, status=status))[0] == ""


@pytest.mark.parametrize("status", [403, 500])
def test_any_other_refusal_ends_it_and_names_the_pod(status: int) -> None:
    with pytest.raises(UserError, match="the cluster refused: the eviction of site/a: Cannot evict"):
        drained(Played(pod("a"), refusals=1, status=status))


def test_a_moment_of_silence_is_waited_out() -> None:
    played = Played(pod("a"))
    played.silent = 2
    assert drained(played)[0] == ""


@pytest.mark.parametrize("timeout_s", [0.5, 1.5, 2.5, 3.5, 4.5])
def test_a_silence_is_no_end_at_whatever_moment_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, timeout_s: float
) -> None:
    """Of a node that nobody was seen on nothing is known, not that it is empty."""
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: float(next(ticks)), sleep=lambda _: None)
    monkeypatch.setattr(waiting, "time", clock)
    played = Played(pod("a"))
    played.silent = 10**9
    with pytest.raises(UserError, match="the cluster refused: no answer"):
        drained(played, timeout_s)


@pytest.mark.parametrize(("refusals", "status"), [(0, 0), (10**9, 1)])
def test_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refusals: int, status: int
) -> None:
    played = Played(pod("a"), refusals=refusals)
    monkeypatch.setattr(drain, "Api", lambda *_: played)
    assert cli.main(["evict", "--node=m02", "--timeout=1"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1])[0]["pod"] == "a"
    assert lines[-2].startswith("after 1 s: site/a: Cannot evict") is bool(status)
    assert ("left: site/a" in lines) is bool(status)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "there is no node m20; give one that `kubectl get nodes` lists"),
        (403, "the cluster refused to tell of m20: not found"),
    ],
)
def test_no_such_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int, said: str
) -> None:
    played = Played(pod("a"), status=status)
    monkeypatch.setattr(drain, "Api", lambda *_: played)
    assert cli.main(["evict", "--node=m20"]) == 2
    assert capsys.readouterr().err == f"failover-lab: error: {said}\n"
    assert played.evicted == []


def test_no_such_context(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nothing"
    assert cli.main(["evict", "--node=m02", f"--kubeconfig={missing}"]) == 2
    assert "no access to the cluster" in capsys.readouterr().err
