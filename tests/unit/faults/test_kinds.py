"""The table of fault kinds: whatever is wrong with it is one line that names the row."""

from __future__ import annotations

import importlib.resources
import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader

from failover_lab.errors import UserError
from failover_lab.faults import kinds, preflight
from failover_lab.nodes import symptoms
from failover_lab.report import load

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Cluster

ROWS: dict[str, dict[str, Any]] = yaml.safe_load(
    (importlib.resources.files("failover_lab.faults") / kinds.TABLE).read_text(encoding="utf-8")
)
COLUMNS = [field.name for field in fields(kinds.Kind) if field.name != "name"]


def changed(name: str, **columns: Any) -> str:
    """The table with some columns of a row changed."""
    return yaml.safe_dump(ROWS | {name: ROWS[name] | columns}, sort_keys=False)


def without(name: str, column: str) -> str:
    return yaml.safe_dump(
        ROWS | {name: {key: value for key, value in ROWS[name].items() if key != column}}, sort_keys=False
    )


def refused(text: str) -> str:
    with pytest.raises(UserError) as error:
        kinds.read(text)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_it_is_as_it_is_written() -> None:
    assert kinds.names() == list(ROWS)
    for name, row in ROWS.items():
        assert {column: kinds.of(name).row()[column] for column in COLUMNS} == row


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("column", COLUMNS)
def test_every_row_says_everything(name: str, column: str) -> None:
    assert f"{name} does not say {column}: " in refused(without(name, column))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("about", ""),
        ("says", None),
        ("needs", "luck"),
        ("takes", "place"),
        ("evicts", "yes"),
        ("loses_node", 1),
        ("silent", None),
        ("symptom", "excited"),
        ("symptom", ["exited"]),
        ("heals", "last"),
        ("heals", True),
        ("check_mode", "no"),
        ("settings", "fault_pods"),
        ("settings", [""]),
    ],
)
def test_a_column_takes_what_it_says(column: str, value: Any) -> None:
    said = refused(changed("kill", **{column: value}))
    assert f"kill says {column}: {value}, and not " in said


def test_a_slip_in_a_columns_name() -> None:
    assert "kill says silence, which is no column" in refused(changed("kill", silence=True))


@pytest.mark.parametrize("text", ["", "[]", "kill: 5", "kill: [1", "{}"])
def test_what_is_no_table(text: str) -> None:
    assert refused(text).startswith("kinds.yml")


def test_one_symptom_is_healed_by_one_kind() -> None:
    said = refused(changed("kubelet", symptom="cut_off"))
    assert "partition and kubelet both heal cut_off" in said
    assert "kill leaves exited, which no kind heals" in refused(changed("kill", heals=None))
    assert "pod heals, and says no symptom" in refused(changed("pod", heals=90))
    # Two kinds may leave the same symptom, though: one heals for both.
    again = ROWS["kill"] | {"heals": None}
    more = kinds.read(yaml.safe_dump(ROWS | {"again": again}, sort_keys=False))
    assert (more["again"].symptom, more["again"].heals) == ("exited", None)


@pytest.mark.parametrize(
    ("name", "turn"),
    [("drain", 25), ("freeze", 45), ("kill", 45), ("partition", 15), ("kubelet", 40), ("freeze", 30)],
)
def test_healing_goes_by_who_shows_it(name: str, turn: int) -> None:
    """A node says what it lacks only once its container is well; and no two are at once."""
    assert "in a turn of its own, those of what the cluster shows first" in refused(changed(name, heals=turn))


def test_the_order_of_healing() -> None:
    assert [(kind.symptom, kind.shown_by) for kind in kinds.healers()] == [
        ("cordoned", "cluster"),
        ("rolled_out", "cluster"),
        ("paused", "engine"),
        ("exited", "engine"),
        ("cut_off", "node"),
        ("no_kubelet", "node"),
        ("lossy", "node"),
        ("slow", "node"),
    ]


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("drain", {"moves_pods", "polite", "replaces_pods"}),
        ("pod", {"spares_node", "replaces_pods"}),
        *((name, {"takes_node", "moves_pods", "replaces_pods"}) for name in ("kill", "freeze", "partition")),
        ("kubelet", {"takes_node", "moves_pods", "replaces_pods"}),
        ("loss", {"takes_node"}),
        ("process", {"spares_node", "in_place"}),
        ("reboot", {"takes_node", "comes_back"}),
        ("rollout", {"spares_node", "polite", "replaces_pods"}),
        ("sandbox", {"spares_node", "in_place"}),
        ("slow", {"takes_node"}),
    ],
)
def test_what_follows_from_a_row(name: str, holds: set[str]) -> None:
    kind = kinds.of(name)
    derived = {"takes_node", "moves_pods", "spares_node", "polite", "in_place", "comes_back", "replaces_pods"}
    assert {column for column in derived if kind.row()[column]} == holds
    silent = name in ("kill", "freeze", "partition")
    whoever = ("automatic", "watchdog", "manual") if silent else ("automatic", "manual")
    assert kind.recoveries == (whoever if {"takes_node", "moves_pods"} <= holds else ("automatic",))
    assert kind.returns == (("restart", "replace", "leave") if silent else ("restart",))


def test_a_machine_that_comes_back_by_itself() -> None:
    """Its pods start again where they were."""
    row = ROWS["kill"] | {"loses_node": False, "heals": None}
    kind = kinds.read(yaml.safe_dump(ROWS | {"away": row}, sort_keys=False))["away"]
    assert kind.takes_node
    assert not any((kind.moves_pods, kind.spares_node, kind.replaces_pods))
    assert kind.recoveries == ("automatic",)
    assert kind.returns == ("restart",)


def test_the_module_refuses_one_that_there_is_not() -> None:
    asked = {"kind": "explode", "node": "auto", "pods": "one", "force": False}
    with pytest.raises(UserError, match="'explode' is not known"):
        preflight.look(cast("Cluster", None), asked)


def test_the_schemas_have_them_all() -> None:
    def enum(name: str) -> list[str | None]:
        found: list[str | None] = load.schema(name)["properties"]["fault"]["properties"]["kind"]["enum"]
        return found

    assert enum("run") == kinds.names()
    assert enum("report") == [*kinds.names(), None]


def test_a_report_of_one_that_there_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"schema_version": 1, "fault": {"kind": "explode"}}))
    with pytest.raises(
        UserError, match=r"run\.json .*\$\.fault\.kind: 'explode' is not one of \['drain', .*\]$"
    ):
        load._play(path)


def test_the_roles_have_it_by_a_lookup() -> None:
    lookup = lookup_loader.get("failover_lab.lab.fault_kinds")
    (found,) = lookup.run([])
    assert found == {name: kinds.of(name).row() for name in ROWS}
    with pytest.raises(AnsibleError, match="takes no terms"):
        lookup.run(["kill"])


def test_who_asks_for_one_that_there_is_not() -> None:
    with pytest.raises(
        UserError, match=r"^fault_kind 'explode' is not known: choose one of drain, kill, .*\.$"
    ):
        kinds.of("explode")


def test_a_run_that_says_nothing() -> None:
    nothing = kinds.of(None)
    assert nothing is kinds.NOTHING
    assert not any((nothing.takes_node, nothing.moves_pods, nothing.spares_node, nothing.evicts))
    assert nothing.says == "The run"


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (
            {
                "state": "running",
                "kubelet": "active",
                "incoming": False,
                "outgoing": False,
                "nameless": False,
            },
            [],
        ),
        ({"state": "running"}, []),
        ({"state": "paused"}, ["paused"]),
        *(({"state": state}, ["exited"]) for state in ("exited", "created", "dead")),
        ({"state": "running", "nameless": True, "kubelet": "active"}, ["exited"]),
        ({"state": "running", "incoming": True, "outgoing": False}, ["cut_off"]),
        (
            {"state": "running", "incoming": False, "outgoing": True, "kubelet": "failed"},
            ["cut_off", "no_kubelet"],
        ),
        ({"state": "running", "kubelet": "inactive"}, ["no_kubelet"]),
        ({"state": "running", "kubelet": "activating"}, []),
        ({"state": "running", "kubelet": "active", "lossy": True}, ["lossy"]),
        ({"state": "running", "kubelet": "active", "slow": True}, ["slow"]),
        ({"state": "restarting"}, []),
    ],
)
def test_what_a_node_shows(row: dict[str, Any], shown: list[str]) -> None:
    assert symptoms.of(row) == shown
    assert set(shown) <= set(symptoms.SYMPTOMS)
