"""Nodes that are containers and no more are told from those that have joined the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab import cli, nodes
from failover_lab.nodes.docker import EngineError
from failover_lab.nodes.driver import Listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest


class Played:
    """An engine of these containers, some of which have these files."""

    def __init__(self, *names: str, having: Iterable[str] = ()) -> None:
        self.names, self.having = names, set(having)

    def listed(self) -> list[Listed]:
        if not self.names:
            raise EngineError("it is gone")
        return [Listed(name, f"id-{name}", "exited") for name in self.names]

    def has(self, name: str, path: str) -> bool:
        return f"{name}:{path}" in self.having


def test_those_that_kubeadm_has_not_brought_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Played("lab-m03", "lab-m02", "lab", having=["lab:/etc/kubernetes/kubelet.conf"])
    monkeypatch.setattr(nodes, "driver_of", lambda _name, _profile: engine)
    assert cli.main(["unjoined", "--profile=lab"]) == 0
    assert capsys.readouterr().out == "lab-m02\nlab-m03\n"


def test_an_engine_that_is_gone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(nodes, "driver_of", lambda _name, _profile: Played())
    assert cli.main(["unjoined", "--profile=lab"]) == 2
    assert "it is gone; `docker info` must work" in capsys.readouterr().err
