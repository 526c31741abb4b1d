"""A namespace that is going away is waited for, and then what holds it is told."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.plugin_utils.waiting import WORDS

from failover_lab.errors import UserError
from failover_lab.kube import namespace_gone
from failover_lab.kube.cluster import Cluster

Object = dict[str, Any]

GOING: Object = {
    "metadata": {"name": "site", "deletionTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"finalizers": ["kubernetes"]},
    "status": {
        "phase": "Terminating",
        "conditions": [
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All found"},
            {
                "type": "NamespaceFinalizersRemaining",
                "status": "True",
                "message": "Some content has finalizers remaining: example.org/keep in 1 resource instances",
            },
        ],
    },
}
WANTED = {"context": "lab", "namespace": "site", "timeout_s": 3}


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[Object | None]:
    """What a cluster answers, one after the other, the last for ever."""
    clock = iter(range(1000))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    return []


class Played(Cluster):
    """Stands for a cluster."""

    def __init__(self, found: list[Object | None]) -> None:
        self.found = found

    def namespace(self, name: str) -> Object | None:
        assert name == "site"
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]


def said_of(states: list[Object | None]) -> str:
    with pytest.raises(UserError) as raised:
        namespace_gone.watch(Played(states), WANTED, check_mode=False)
    return str(raised.value)


def test_it_is_waited_for(states: list[Object | None]) -> None:
    states += [GOING, GOING, None]
    assert namespace_gone.watch(Played(states), WANTED, check_mode=False) == {"gone": True}


def test_what_holds_it_is_told(states: list[Object | None]) -> None:
    states += [GOING]
    said = said_of(states)
    assert said.startswith(
        "The namespace site of lab is still going away after 3 s: Some content has finalizers remaining: "
        "example.org/keep in 1 resource instances. Remove what holds it"
    )
    assert "All found" not in said


def test_its_own_finalizers_are_told(states: list[Object | None]) -> None:
    states += [GOING | {"spec": {"finalizers": ["kubernetes", "x/y"]}, "status": {"phase": "Terminating"}}]
    assert "the namespace itself has the finalizer x/y" in said_of(states)


def test_one_that_stays_is_not_waited_for(states: list[Object | None]) -> None:
    states += [{"metadata": {"name": "site"}, "status": {"phase": "Active"}}]
    assert "nobody has deleted it" in said_of(states)


def test_check_mode_does_not_wait(states: list[Object | None]) -> None:
    states += [GOING]
    assert namespace_gone.watch(Played(states), WANTED, check_mode=True) == {"gone": False}


def test_what_is_waited_for_in_words() -> None:
    assert WORDS["namespace_gone"]({"namespace": "site"}) == "the namespace site to be gone"
