"""Machines that a user's own task files reach: what is played, and what their answers mean."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from failover_lab import nodes
from failover_lab.errors import UserError
from failover_lab.nodes.custom import Custom, TasksError
from failover_lab.nodes.driver import NodeState
from failover_lab.run import instants

HOSTS = {"m02": {"host": "box", "address": "10.0.0.2"}, "m03": {"host": "", "address": "10.0.0.3"}}


class Ansible:
    """In the command's place: sets facts as it is told, and keeps what it was given."""

    def __init__(self) -> None:
        self.facts: dict[tuple[str, str], Any] = {}
        self.played: list[tuple[str, list[str]]] = []
        self.environments: list[dict[str, str]] = []
        self.argv: list[str] = []
        self.status = 0

    def run(self, argv: list[str], **given: Any) -> Any:
        self.argv = argv
        self.environments.append(given["env"])
        (book,) = json.loads(Path(argv[4]).read_text())
        names = []
        for forget, include, keep in zip(*[iter(book["tasks"])] * 3, strict=True):
            (fact,) = forget["ansible.builtin.set_fact"]
            name = include["vars"]["node_name"]
            assert include["vars"] == {
                "node_name": name, "node_host": HOSTS[name]["host"], "node_address": HOSTS[name]["address"]
            }  # fmt: skip
            names.append(name)
            copy = keep["ansible.builtin.copy"]
            assert fact in copy["content"]
            Path(copy["dest"]).write_text(json.dumps(self.facts.get((name, fact), "")))
            action = Path(include["ansible.builtin.include_tasks"]).stem
        self.played.append((action, names))
        return subprocess.CompletedProcess(
            argv, self.status, 'fatal: [localhost]: no route\n"msg": "told"\nok', ""
        )


@pytest.fixture
def ansible(monkeypatch: pytest.MonkeyPatch) -> Ansible:
    made = Ansible()
    monkeypatch.setattr(subprocess, "run", made.run)
    return made


@pytest.fixture
def driver(ansible: Ansible, tmp_path: Path) -> Custom:
    for name in ("state", "fence", "start"):
        (tmp_path / f"{name}.yml").write_text("---\n")
    ansible.facts = {("m02", "node_is"): "running", ("m03", "node_is"): "off"}
    return Custom(
        "k",
        tasks=str(tmp_path),
        inventory=["/etc/hosts.yml"],
        config="/etc/a.cfg",
        hosts=HOSTS,
        state=str(tmp_path / "state"),
    )


def test_the_state_of_all_of_them(driver: Custom, ansible: Ansible) -> None:
    assert driver.containers() == {"m02": NodeState.RUNNING, "m03": NodeState.STOPPED}
    assert [(one.name, one.state) for one in driver.listed()] == [("m02", "running"), ("m03", "off")]
    # A play takes a second: what was known a moment ago will do.
    assert ansible.played == [("state", ["m02", "m03"])]
    assert "--inventory=/etc/hosts.yml" in ansible.argv
    assert ansible.environments[0]["ANSIBLE_CONFIG"] == "/etc/a.cfg"
    ansible.facts["m02", "node_is"] = "humming"
    assert driver.inspect("m02").state is NodeState.UNKNOWN


def test_a_node_is_fenced_once_somebody_says_for_certain_that_it_is_off(
    driver: Custom, ansible: Ansible, tmp_path: Path
) -> None:
    assert nodes.fencing(driver) is driver
    for said in ("", False, "true", 1):
        ansible.facts["m02", "node_is_off"] = said
        with pytest.raises(
            TasksError, match="does not say that m02 is off: it has to set the fact node_is_off to true"
        ):
            driver.kill("m02")
        assert driver.inspect("m02").state is NodeState.RUNNING
    ansible.facts["m02", "node_is_off"] = True
    driver.kill("m02")
    assert driver.inspect("m02").state is NodeState.STOPPED
    driver.start("m02")
    back = driver.inspect("m02")
    assert back.state is NodeState.RUNNING
    # Whoever takes its mark off believes what its kubelet has said since then, in another process as well.
    assert abs(instants.parse(back.started) - time.time()) < 60
    (tmp_path / "state" / "fences.json").write_text("damaged")
    assert not driver.inspect("m02").started


def test_one_that_somebody_else_has_turned_off_is_known_to_have_started_later(
    driver: Custom, ansible: Ansible
) -> None:
    assert driver.inspect("m03").state is NodeState.STOPPED
    ansible.facts["m03", "node_is"] = "running"
    assert abs(instants.parse(driver.inspect("m03").started) - time.time()) < 60
    # Of one that was never seen off, nobody says since when it runs.
    assert not driver.inspect("m02").started


def test_without_a_fence_nobody_gives_a_node_away(driver: Custom, tmp_path: Path) -> None:
    (tmp_path / "fence.yml").unlink()
    with pytest.raises(
        UserError, match=r"custom cannot say for certain .* docker can, and custom with a fence\.yml"
    ):
        nodes.fencing(Custom("k", tasks=str(tmp_path)))
    with pytest.raises(TasksError, match=r"there is no .*fence\.yml"):
        driver.kill("m02")


def test_tasks_that_fail_are_told_with_their_words(driver: Custom, ansible: Ansible) -> None:
    ansible.status = 2
    with pytest.raises(TasksError, match=r'state\.yml of m02 has failed: "msg": "told"'):
        driver.inspect("m02")
    with pytest.raises(TasksError, match=r"state\.yml of m02, m03 has failed"):
        driver.containers()


def test_a_moments_failure_leaves_what_was_known(
    driver: Custom, ansible: Ansible, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = driver.containers()
    ansible.status = 2
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 10)
    assert driver.containers() == known
    monkeypatch.setattr(time, "monotonic", lambda: now + 100)
    with pytest.raises(TasksError):
        driver.containers()


def test_nothing_runs_in_a_node(driver: Custom) -> None:
    for call in (
        lambda: driver.shell("m02", ["sh"]),
        lambda: driver.run("m02", ["sh"]),
        lambda: driver.has("m02", "/x"),
    ):
        with pytest.raises(TasksError, match="task files reach machines"):
            call()
    assert list(driver.events()) == []


def test_it_is_asked_for_by_its_name(tmp_path: Path) -> None:
    made = nodes.driver_of(json.dumps({"name": "custom", "tasks": str(tmp_path), "hosts": HOSTS}), "k")
    assert (made.name, made.profile, made.fences) == ("custom", "k", False)
