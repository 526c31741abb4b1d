"""What follows a fault: replacements, and the node's return; with stand-ins for all that is done."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.roles.stand_ins import WELL, folder, look, play

from failover_lab.run import lifetime
from failover_lab.run.layout import Lab

PLAN = {
    "kind": "kill",
    "node": "m2",
    "target": "m2",
    "targets": ["m2"],
    "identities": ["id"],
    "nodes": ["m1", "m2"],
    "recovery": "automatic",
    "node_return": "restart",
    "pods": [{"pod": "site-a", "uid": "1", "node": "m2"}],
    "eligible_nodes": ["m1"],
}
FACTS: tuple[str, ...] = (
    "failover_returned",
    "failover_released",
    "fault_healed_nodes",
    "fault_returned_nodes",
)
FACTS += ("fault_unasked", "fault_pods_after", "fault_replacements", "journal_stays", "journal_found")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return folder(tmp_path)


def step(role: str, entry: str, **variables: Any) -> dict[str, Any]:
    include = {"name": role, "tasks_from": entry}
    return {"name": entry, "ansible.builtin.include_role": include, "vars": variables}


def told(here: Path, *tasks: dict[str, Any], **facts: Any) -> tuple[list[list[Any]], dict[str, Any]]:
    """What was called, and the facts afterwards."""
    kept = here / "kept.json"
    wanted = ", ".join(f"'{name}': {name} | default(none)" for name in FACTS)
    keep = {"dest": str(kept), "content": f"{{{{ {{{wanted}}} | to_json }}}}", "mode": "0600"}
    called = play(here, {"fault_plan": PLAN} | facts, *tasks, {"name": "Keep", "ansible.builtin.copy": keep})
    return called, json.loads(kept.read_text())


def marked(here: Path, **nodes: list[str]) -> None:
    """The cluster's nodes, and the lab's marks that each bears."""
    by = {name: {f"failover-lab/{mark}": "run" for mark in marks} for name, marks in nodes.items()}
    rows = [{"metadata": {"name": name, "labels": {}, "annotations": marks}} for name, marks in by.items()]
    (here / "answer-k8s_info").write_text(json.dumps({"resources": rows}))


def short(called: list[list[Any]]) -> list[str]:
    """Who was called, with the first words, or the node that was changed and how."""
    found = []
    for name, *rest in called:
        if name == "k8s":
            changed = rest[0]["definition"]["metadata"]
            found.append(
                " ".join([rest[0]["name"], *sorted(key for part in changed.values() for key in part)])
            )
        elif isinstance(rest[0], str):
            found.append(" ".join([name, *rest[:2]]))
        else:
            found.append(name)
    return found


@pytest.mark.nightly
def test_nodes_go_back_to_work(here: Path) -> None:
    look(here, 1, m1=WELL, m2=WELL | {"since": "2026-11-29T12:00:00Z"})
    both = ["out-of-service-by", "left-by"]
    marked(here, m1=["excluded-by", "left-by"], m2=both, m3=both)
    called, facts = told(
        here,
        step("node", "state"),
        step(
            "failover", "return", failover_started=["m2"], failover_others=["m1"],
            failover_nodes=["m1", "m2"], failover_since="2026-11-29T12:00:01Z", fault_driver="minikube",
        ),
    )  # fmt: skip
    assert short(called) == [
        "package nodes --profile=lab",
        "nodes_back",
        "package proxy-rules --profile=lab",
        "k8s_info",
        "m1 failover-lab/left-by",
        "m2 failover-lab/left-by",
        "m1 failover-lab/excluded-by node.kubernetes.io/exclude-from-external-load-balancers",
        "package watchdog --release",
    ]
    # Those first that this run has started.
    assert called[1][1]["nodes"] == [
        {"name": "m2", "since": "2026-11-29T12:00:00Z", "restarted": True},
        {"name": "m1", "since": "2026-11-29T12:00:01Z", "restarted": False},
    ]
    assert called[1][1]["context"] == called[3][1]["context"] == "lab"
    assert {"--driver=docker", "--nodes=m2,m1", "--service=site", "--context=lab"} <= set(called[2])
    # Another run has left m3, and it stays so.
    assert {"--driver=minikube", "--wait=60", "--but=m3"} <= set(called[-1])
    assert (facts["failover_returned"], facts["failover_released"]) == (["m2", "m1"], ["m2"])


def test_one_is_left(here: Path) -> None:
    marked(here, m1=[], m2=["out-of-service-by", "left-by"])
    called, facts = told(here, step("failover", "return", fault_run_dir="/r/name"), fault_node_return="leave")
    assert short(called) == ["m2 failover-lab/left-by", "k8s_info", "package watchdog --release"]
    assert called[0][1]["definition"]["metadata"]["annotations"] == {"failover-lab/left-by": "name"}
    assert "--wait=0" in called[-1]
    assert facts["failover_returned"] == facts["failover_released"] == []


@pytest.mark.nightly
def test_another_takes_its_place(here: Path) -> None:
    before = {"m1": WELL, "m2": {"state": "exited"}}
    for number, nodes in enumerate((before, {"m1": WELL}, {"m1": WELL, "m2": WELL}), start=1):
        look(here, number, **nodes)
    marked(here, m1=[], m2=[])
    back = step("failover", "return", failover_node_return="replace")
    called, facts = told(here, step("node", "state"), back)
    assert short(called) == [
        "package nodes --profile=lab",
        "package node kill",
        "minikube node delete",
        "package nodes --profile=lab",
        "minikube node add",
        "package nodes --profile=lab",
        "nodes_back",
        "package proxy-rules --profile=lab",
        "k8s_info",
    ]
    # It has the name of the one that was removed.
    assert [row["name"] for row in called[6][1]["nodes"]] == facts["failover_returned"] == ["m2"]


@pytest.mark.nightly
@pytest.mark.parametrize(("count", "added"), [(2, True), (1, False), (0, False)])
def test_one_more_joins_where_there_are_too_few(here: Path, count: int, *, added: bool) -> None:
    for number, nodes in enumerate(({"m1": WELL}, {"m1": WELL}, {"m1": WELL, "m2": WELL}), start=1):
        look(here, number, **nodes)
    called, _ = told(here, step("node", "state"), step("failover", "return", failover_node_count=count))
    assert ("minikube node add" in short(called)) is added


def test_who_took_the_work_over_is_told_by_uid(here: Path) -> None:
    pods = [{"name": name, "uid": uid, "node": "m1"} for name, uid in (("site-a", "1"), ("site-b", "2"))]
    (here / "answer-rollout").write_text(json.dumps({"pods": pods}))
    called, facts = told(here, step("failover", "recovered"))
    assert called[0][1]["without_nodes"] == ["m2"]
    assert [row["pod"] for row in facts["fault_pods_after"]] == ["site-a", "site-b"]
    assert facts["fault_replacements"] == [{"pod": "site-b", "uid": "2", "node": "m1"}]


def test_of_an_application_that_is_not_the_lab_s_nothing_is_restarted(here: Path) -> None:
    pods = [{"name": "web-0", "uid": "3", "node": "m1", "asked": True}]
    pods += [{"name": "api-0", "uid": "4", "node": "m1", "asked": False}]
    (here / "answer-rollout").write_text(json.dumps({"pods": pods}))
    owners = [{"kind": "StatefulSet", "name": "web", "replicas": 1, "stranded": 1}]
    plan = PLAN | {"namespace": "shop", "services": ["web", "api"], "own": False, "owners": owners}
    plan |= {"asked_services": ["web"]}
    theirs = {"fault_namespace": "shop", "fault_service": "web,api", "fault_returned_nodes": ["m2"]}
    called, facts = told(
        here,
        step("failover", "recovered"),
        step("failover", "spread"),
        step("journal", "open"),
        fault_plan=plan,
        **theirs,
    )
    for (name, asked), node in zip(called, (["m2"], None), strict=True):
        assert name == "rollout"
        wanted = {"namespace": "shop", "service": "web,api", "deployment": "", "owners": owners}
        wanted |= {"asked_services": ["web"]}
        assert wanted.items() <= asked.items()
        assert (asked.get("without_nodes") or None) == node
    assert [row["pod"] for row in facts["fault_pods_after"]] == ["web-0", "api-0"]
    assert facts["fault_unasked"] == ["api-0"]
    # Whoever puts right what the run leaves goes by this.
    journal = json.loads((here / "journal.json").read_text())
    assert (journal["namespace"], journal["services"], journal["own"]) == ("shop", ["web", "api"], False)


def test_a_journal_stays_until_it_is_closed(here: Path) -> None:
    _, facts = told(here, step("journal", "open", fault_run_dir="/r/name"))
    journal = json.loads((here / "journal.json").read_text())
    wanted: dict[str, Any] = {
        key: PLAN[key] for key in ("kind", "node", "targets", "nodes", "recovery", "node_return")
    }
    wanted |= {"begun": False, "healed": False, "run_dir": "/r/name"}
    assert {key: journal[key] for key in wanted} == wanted
    assert facts["journal_stays"] is True
    (here / "journal.json").write_text(json.dumps({"pid": 0, "kind": "kill", "begun": True}))
    _, facts = told(here, step("journal", "alone"))
    assert facts["journal_found"]["kind"] == "kill"
    told(here, step("journal", "close"))
    assert (here / "journal.json").exists(), "what could not be put right stays"
    (here / "journal.json").write_text(json.dumps({"pid": 0, "kind": "kill", "begun": True, "healed": True}))
    _, facts = told(here, step("journal", "close"))
    assert not (here / "journal.json").exists()
    assert facts["journal_stays"] is False


def test_an_operator_is_called_and_comes(here: Path) -> None:
    """The second terminal does its work by the journal of the run that waits, which is told of it."""
    me = os.getpid()
    waiting = {"pid": me, "started": lifetime.started(me), "node": "m2", "awaits": "operator"}
    waiting |= {"run_dir": str(here)}
    (here / "journal.json").write_text(json.dumps(waiting))
    called, facts = told(here, step("fault", "recover"))
    assert short(called) == ["package remediate --node=m2"]
    assert {"--profile=lab", "--driver=auto", "--namespace=site", f"--out={here}"} <= set(called[0])
    assert f"--state-dir={here}" in called[0]
    assert Lab(here).operator_done.exists()
    assert facts["fault_healed_nodes"] == []
