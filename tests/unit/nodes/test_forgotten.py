"""Nodes that run and were deleted from the cluster are told from those that never joined it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from failover_lab import cli, nodes
from failover_lab.kube.errors import RefusedError
from failover_lab.nodes import forgotten
from failover_lab.nodes.docker import EngineError
from failover_lab.nodes.driver import Listed

JOINED = "/etc/kubernetes/kubelet.conf"


class Played:
    """An engine of containers in these states, all but one of which have joined."""

    def __init__(self, **states: str) -> None:
        self.states = states

    def listed(self) -> list[Listed]:
        if not self.states:
            raise EngineError("it is gone")
        return [Listed(name.replace("_", "-"), "id", state) for name, state in self.states.items()]

    def has(self, name: str, path: str) -> bool:
        assert path == JOINED
        return name != "lab-m05"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(names=["lab", "lab-m02"], refusal=None)

    def request(_method: str, path: str) -> Any:
        assert path == "/api/v1/nodes"
        if found.refusal:
            raise found.refusal
        return {"items": [{"metadata": {"name": name}} for name in found.names]}

    monkeypatch.setattr(forgotten, "Api", lambda *_: SimpleNamespace(request=request))
    return found


def asked(monkeypatch: pytest.MonkeyPatch, engine: Played) -> int:
    monkeypatch.setattr(nodes, "driver_of", lambda _name, _profile: engine)
    return cli.main(["forgotten", "--profile=lab", "--context=lab"])


def test_those_that_run_and_are_no_nodes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api: SimpleNamespace
) -> None:
    states = {
        "lab": "running",
        "lab_m02": "running",
        "lab_m03": "running",
        "lab_m04": "exited",
        "lab_m05": "running",
    }
    assert asked(monkeypatch, Played(**states)) == 0
    assert capsys.readouterr().out == "lab-m03\n"


def test_who_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api: SimpleNamespace
) -> None:
    assert asked(monkeypatch, Played()) == 2
    assert "it is gone; `docker info` must work" in capsys.readouterr().err
    api.refusal = RefusedError(403, "forbidden")
    assert asked(monkeypatch, Played(lab="running")) == 2
    assert "the cluster does not tell its nodes: forbidden" in capsys.readouterr().err
