"""Nodes are healed by what they show, in the table's order; played with stand-ins for all that is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.role_variables import templated
from tests.unit.roles.stand_ins import WELL, folder, look, play


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return folder(tmp_path)


def played(here: Path, joined: list[str]) -> list[list[Any]]:
    """What was called, one after the other, but for the last look at who is marked."""
    labels = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
    facts = {
        "fault_healed_nodes": [],
        "fault_returned_nodes": [],
        "__fault_nodes": {"resources": [{"metadata": {"name": name, "labels": labels}} for name in joined]},
        "__fault_everything": True,
        "__fault_journal_content": {},
    }
    heal = {"name": "Heal", "ansible.builtin.include_role": {"name": "fault", "tasks_from": "nodes"}}
    called = play(here, facts, heal)
    assert [call[1]["kind"] for call in called if call[0] == "k8s_info"] == ["Node"]
    return [call for call in called if call[0] != "k8s_info"]


def words(name: str, *rest: Any) -> list[str]:
    """The first words of a call of a program, or whom a module was for."""
    if isinstance(rest[0], str):
        return [name, *rest[:2]]
    return [name, *filter(None, (rest[0].get("name") or rest[0].get("container"),))]


def whom(call: list[str]) -> list[str]:
    """The nodes to which the package was to do it, as the lab's driver."""
    options = dict(word.removeprefix("--").split("=", 1) for word in call if word.startswith("--"))
    assert (options["profile"], options["driver"]) == ("lab", "docker")
    return sorted(options["nodes"].split(","))


def test_each_by_its_symptom_and_in_turn(here: Path) -> None:
    look(
        here,
        1,
        m1=WELL,
        m2={"state": "paused"},
        m3={"state": "exited"},
        m4=WELL | {"incoming": True},
        m5={"state": "created"},
        m6=WELL | {"kubelet": "failed"},
        m7=WELL | {"nameless": True},
    )
    # That one was cut off as well before it was paused is seen once it can be asked.
    look(
        here,
        2,
        **dict.fromkeys(("m1", "m3", "m5", "m7"), WELL),
        m2=WELL | {"outgoing": True},
        m4=WELL | {"incoming": True},
        m6=WELL | {"kubelet": "failed"},
    )
    called = played(here, ["m1", "m2", "m3", "m4", "m6", "m7"])
    assert [" ".join(words(*call)) for call in called] == [
        "package nodes --profile=lab",
        "package node resume",
        "package node start",
        "package unjoined --profile=lab",
        "minikube node start",
        "package nodes --profile=lab",
        "package node join",
        "package node start-kubelet",
        "nodes_back",
        "package proxy-rules --profile=lab",
    ]
    assert [(call[2], whom(call)) for call in called if call[1] == "node" and call[0] == "package"] == [
        ("resume", ["m2"]),
        ("start", ["m3", "m7"]),
        ("join", ["m2", "m4"]),
        ("start-kubelet", ["m6"]),
    ]
    assert called[4][-2] == "m5"
    back = {row["name"]: row["restarted"] for row in called[8][1]["nodes"]}
    assert back == {"m3": True, "m7": True, "m5": True, "m2": False, "m4": False, "m6": False}


@pytest.mark.nightly
def test_nothing_is_done_where_nothing_is_shown(here: Path) -> None:
    look(here, 1, m1=WELL, m2=WELL)
    assert [name for name, *_ in played(here, ["m1", "m2"])] == ["package"]


@pytest.mark.parametrize(
    ("account", "everywhere"),
    [({}, True), ({"kind": "melt"}, True), ({"kind": "kill"}, True), ({"kind": "drain"}, False)],
)
def test_an_account_of_an_unknown_kind_is_healed_by_what_is_there(
    account: dict[str, str], *, everywhere: bool
) -> None:
    """Another version's, say, or one that was damaged."""
    looks = "{{ __fault_row_noted.takes_node | default(true) }}"
    assert templated("fault", looks, __fault_journal_content=account) is everywhere
