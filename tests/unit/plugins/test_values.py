"""Values that cannot be meant so: told in a sentence before any play reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.action import settings
from ansible_collections.failover_lab.lab.plugins.plugin_utils import values

from failover_lab.run.layout import Lab

REPO = Path(__file__).resolve().parents[3]
OPTIONS = settings.options(REPO / "roles") | values.WHOLE_LAB
PATTERN = settings.read_yaml(REPO / "roles/cluster/vars/main.yml")["__cluster_name_pattern"]
CHOICES = sorted(name for name, option in OPTIONS.items() if "choices" in option)
TYPED = sorted(name for name, option in OPTIONS.items() if option.get("type") in ("bool", "int", "float"))


def test_what_plays_branch_on_has_choices() -> None:
    assert {
        "cluster_provider", "cluster_failure_detection", "fault_kind", "fault_recovery", "fault_driver",
        "fault_node_return", "fault_pods", "fault_partition_direction", "load_balancer_provider",
        "toolchain_source", "toolchain_images_source", "witness_connections",
    } <= set(CHOICES)  # fmt: skip
    assert {"teardown_cache", "engine_install", "engine_start", "fault_force"} <= set(TYPED)


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_that_is_misspelt(name: str) -> None:
    for choice in OPTIONS[name]["choices"]:
        assert values.unfit(OPTIONS, {name: choice}) == []
        (sentence,) = values.unfit(OPTIONS, {name: f"{choice}x"})
        assert sentence.startswith(f"{name} '{choice}x' is not known: choose one of ")


@pytest.mark.parametrize("name", TYPED)
def test_a_value_of_the_wrong_kind(name: str) -> None:
    (sentence,) = values.unfit(OPTIONS, {name: "yse"})
    assert sentence.startswith(f"{name} is 'yse', which is no ")
    assert values.unfit(OPTIONS, {name: "1"}) == []


def test_a_secret_is_not_shown() -> None:
    assert "hunter2" not in str(values.unfit({"x": {"type": "int", "no_log": True}}, {"x": "hunter2"}))


@pytest.mark.parametrize(
    "value", ["", ".", "..", "../..", "a/b", "/", "~", "Team", "a", "team_", "-x", "x" * 41, "team\n"]
)
def test_a_name_that_would_be_somebody_elses_folder(value: str) -> None:
    sentence = values.unfit_name("lab_profile", value, PATTERN, existing=False)
    assert sentence.startswith(f"lab_profile is '{value}'")


@pytest.mark.parametrize("value", ["", ".", "..", "../..", "a/../../..", "/", "a//b", "a/"])
def test_a_context_that_would_be_somebody_elses_folder(value: str) -> None:
    sentence = values.unfit_name("lab_profile", value, PATTERN, existing=True)
    assert "kubectl config get-contexts" in sentence


@pytest.mark.parametrize("value", ["a", "Team_1", "arn:aws:eks:eu-west-1:1:cluster/team", "me@host:6443"])
def test_a_context_may_be_called_anything_else(value: str) -> None:
    assert values.unfit_name("lab_profile", value, PATTERN, existing=True) == ""
    assert values.unfit_name("lab_profile", "team-2", PATTERN, existing=False) == ""


def test_the_state_of_a_lab_has_a_folder_of_its_own(tmp_path: Path) -> None:
    for name in (
        "cluster.json",
        "journal.json",
        "run.json",
        "minikube-start.log",
        "watchdog.lock",
        "operator-done",
    ):
        (tmp_path / name).touch()
    # A play that was killed in the middle of writing its journal.
    (tmp_path / ".journal.json.4711.140000").touch()
    for name in ("registry", "docker"):
        (tmp_path / name).mkdir()
    assert values.unfit_folders({"lab_state_dir": str(tmp_path)}) == []
    assert values.unfit_folders({"lab_state_dir": str(tmp_path / "new"), "lab_reports_dir": "/"}) == []
    (tmp_path / "thesis.odt").touch()
    for setting in values.STATE_DIRS:
        (sentence,) = values.unfit_folders({setting: str(tmp_path)})
        assert f"{setting} is {tmp_path}" in sentence
        assert "thesis.odt is in it" in sentence


def test_all_that_a_lab_keeps_is_known_as_its_own() -> None:
    """What roles and package write into the folder of the state, by their own sources."""
    setting = "|".join(values.STATE_DIRS)
    found = {
        name
        for path in REPO.glob("roles/*/*/**/*.yml")
        for name in re.findall(rf"(?:{setting}) }}}}/([\w.-]+)", path.read_text())
    }
    found |= set(Lab.names().values())
    assert {"cluster.json", "registry", "docker", "journal.json", "run.json"} <= found
    assert [name for name in found if not values.STATE.fullmatch(name)] == []


@pytest.mark.parametrize(("home", "fine"), [("/x/.minikube", True), ("/home/me", False), ("/", False)])
def test_minikubes_home_is_called_as_minikube_calls_it(home: str, *, fine: bool) -> None:
    found = values.unfit_folders({"cluster_minikube_home": home})
    assert (found == []) is fine


@pytest.mark.parametrize(
    ("typed", "refused"),
    [
        (["engine_ready"], ["engine_ready"]),
        (
            ["cluster_ready", "lab_makes_cluster", "fault_plan"],
            ["cluster_ready", "fault_plan", "lab_makes_cluster"],
        ),
        (["__fault_problems", "__mine"], ["__fault_problems"]),
        (["vault_registry_password", "ansible_connection", "fault_kind", "lab_profile"], []),
    ],
)
def test_facts_that_are_given_as_settings(typed: list[str], refused: list[str]) -> None:
    read = settings.mentioned(REPO / "roles", REPO / "playbooks")
    assert values.facts(typed, read, OPTIONS) == refused


def test_a_value_that_cannot_be_known_yet_is_left_to_its_reader() -> None:
    def template(value: Any) -> Any:
        if "{{" in value:
            raise ValueError("undefined")
        return value.upper()

    found = values.resolved(["a", "b", "c"], {"a": "x", "b": "{{ y }}"}, template)
    assert found == {"a": "X"}


def test_the_settings_of_the_whole_lab_are_those_that_are_documented() -> None:
    """Which a lint test compares with what plays and roles read."""
    table = (REPO / "docs" / "README.md").read_text().partition("## Reference: settings of the whole lab")[2]
    assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) >= set(values.WHOLE_LAB)
    assert {"lab_profile", "teardown_cache"} <= set(values.WHOLE_LAB)
