"""The callback that is there whatever is enabled: an interrupted run is put right in any case."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible import constants, context
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.vars.manager import VariableManager
from tests.unit.plugins.lab_callback import lab_callback

REPO = Path(__file__).resolve().parents[3]
# Without a configuration that other tests of the same process may have set for themselves.
OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
CLEARED = (
    "DOCKER_DEFAULT_PLATFORM",
    "DOCKER_TLS_VERIFY",
    "DOCKER_API_VERSION",
    "K8S_AUTH_HOST",
    "TAR_OPTIONS",
)
HEAD = """
- name: Play
  hosts: lab
  gather_facts: false
  tasks:
    - name: Requirements
      failover_lab.lab.requirements:
"""
# A run that has opened its journal, and goes on for longer than a test; and what puts it right.
RUN = """
    - name: Open
      failover_lab.lab.journal: {path: "{{ playbook_dir }}/../journal.json", state: open}
    - name: Wait
      ansible.builtin.shell:
        cmd: env >environment; touch waiting; exec sleep 60
        chdir: "{{ playbook_dir }}/.."
"""
RECOVER = """
    - name: Put right
      failover_lab.lab.journal: {path: "{{ playbook_dir }}/../journal.json", state: closed}
    - name: Say so
      ansible.builtin.file: {path: "{{ playbook_dir }}/../healed", state: touch, mode: "0600"}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The lab's own callbacks and configuration, around plays of a few lines."""
    folder = tmp_path / "with blank é"
    folder.mkdir()
    shutil.copy(REPO / "ansible.cfg", folder)
    for name in ("collections", "inventory"):
        shutil.copytree(REPO / name, folder / name)
    (folder / "src").symlink_to(REPO / "src")
    (folder / "roles").mkdir()
    shutil.copytree(REPO / "playbooks" / "callback_plugins", folder / "playbooks" / "callback_plugins")
    for name, tasks in (("failover", RUN), ("recover", RECOVER)):
        (folder / "playbooks" / f"{name}.yml").write_text(HEAD + tasks)
    return folder


def test_an_interrupted_run_is_put_right_whatever_is_enabled(checkout: Path) -> None:
    variables = {
        "ANSIBLE_CALLBACK_PLUGINS": "/nonexistent",
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.timer",
    }
    variables |= dict.fromkeys(CLEARED, "x") | {"DOCKER_HOST": "unix:///x", "BUILDX_BUILDER": "x"}
    with subprocess.Popen(
        ["ansible-playbook", "playbooks/failover.yml"],
        cwd=checkout,
        env=OUTSIDE | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as play:
        deadline = time.monotonic() + 50
        # Ansible itself may overhear a signal that comes as it starts a task.
        while not (checkout / "waiting").exists():
            assert play.poll() is None, play.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(play.pid, signal.SIGINT)
        told = play.communicate(timeout=50)[0]
    given = dict(
        line.split("=", 1) for line in (checkout / "environment").read_text().splitlines() if "=" in line
    )
    assert given.keys().isdisjoint(CLEARED)
    assert (given["DOCKER_HOST"], given["BUILDX_BUILDER"]) == ("unix:///x", "default")
    assert "putting right what the run has done" in told
    assert (checkout / "healed").exists(), told
    assert not (checkout / "journal.json").exists()
    assert play.returncode != 0


@pytest.mark.parametrize("reader", ["gone", "full"])
def test_a_play_outlives_whoever_reads_what_it_says(checkout: Path, reader: str) -> None:
    """Ansible itself would wait for ever."""
    with (
        Path("/dev/full").open("wb") as full,
        subprocess.Popen(
            ["ansible-playbook", "playbooks/recover.yml"],
            cwd=checkout,
            env=OUTSIDE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if reader == "gone" else full,
            stderr=subprocess.STDOUT,
        ) as play,
    ):
        if play.stdout is not None:
            play.stdout.readline()
            play.stdout.close()
        assert play.wait(timeout=50) == 0
    assert (checkout / "healed").exists()


def test_a_play_without_standard_output_is_played(checkout: Path) -> None:
    play = subprocess.run(
        ["/bin/sh", "-c", "exec ansible-playbook playbooks/recover.yml >&-"],
        cwd=checkout, env=OUTSIDE, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=50,
        check=False,
    )  # fmt: skip
    assert play.returncode == 0, play.stderr
    assert "probably a bug" not in play.stderr
    assert (checkout / "healed").exists()


def test_what_is_played_is_guarded_or_nothing_is(checkout: Path) -> None:
    """Without the callback the first task of a play says so."""
    shutil.rmtree(checkout / "playbooks" / "callback_plugins")
    done = subprocess.run(
        ["ansible-playbook", "playbooks/failover.yml"],
        cwd=checkout,
        env=OUTSIDE,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Ansible has not loaded the callback" in done.stdout
    assert not (checkout / "journal.json").exists()


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have ansible-playbook be called with these options."""

    def call(**given: object) -> None:
        monkeypatch.setattr(context, "CLIARGS", {"connection": "ssh", "tags": ("all",)} | given)

    return call


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tags": ["nothing"]}, "--tags nothing"),
        ({"tags": ["always"]}, "--tags always"),
        ({"tags": ["tagged"]}, "--tags tagged"),
        ({"skip_tags": ["all"]}, "--skip-tags all"),
        ({"skip_tags": ["x", "untagged"]}, "--skip-tags untagged,x"),
        ({"start_at_task": "Summary"}, "--start-at-task"),
        ({"step": True}, "--step"),
        ({}, ""),
        ({"tags": ["all", "x"]}, ""),
        ({"tags": ["untagged"]}, ""),
        ({"skip_tags": ["x"]}, ""),
    ],
)
def test_a_part_of_a_play(options: Callable[..., None], given: dict[str, object], told: str) -> None:
    options(**given)
    assert lab_callback().left_out().partition(" (")[0] == told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANSIBLE_HASH_BEHAVIOUR", "merge"),
        ("ANSIBLE_NO_LOG", "1"),
        ("ANSIBLE_TASK_TIMEOUT", "5"),
        ("ANSIBLE_STRATEGY", "free"),
        ("ANSIBLE_ENABLE_TASK_DEBUGGER", "1"),
        ("ANSIBLE_VARS_ENABLED", "x"),
        ("ANSIBLE_PRECEDENCE", "all_inventory"),
        ("ANSIBLE_YAML_FILENAME_EXT", ".foo"),
        ("ANSIBLE_CACHE_PLUGIN", "jsonfile"),
        ("ANSIBLE_EXECUTABLE", "/bin/dash"),
        ("ANSIBLE_MODULE_ARGS", "x=1"),
        ("ANSIBLE_ERROR_ON_UNDEFINED_VARS", "0"),
        ("ANSIBLE_INVENTORY_IGNORE", ".yml"),
        ("ANSIBLE_ANY_ERRORS_FATAL", "1"),
    ],
)
def test_settings_that_change_what_a_play_does(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert lab_callback().changed() == ""
    monkeypatch.setenv(name, value)
    assert lab_callback().changed().startswith(f"env: {name} sets ")


def test_settings_that_are_as_they_are_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_HASH_BEHAVIOUR", "replace")
    monkeypatch.setenv("ANSIBLE_NO_LOG", "0")
    assert lab_callback().changed() == ""


def judged(content: str, folder: Path, subset: str | None = None) -> str:
    """What is said of an inventory; empty if it will do."""
    (folder / "hosts.yml").write_text(content)
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[str(folder / "hosts.yml")])
    inventory.subset(subset)
    manager = VariableManager(loader, inventory)
    play = Play.load({"name": "Play", "hosts": "lab"}, variable_manager=manager, loader=loader)
    module = lab_callback()
    said: list[str] = []
    module.display = SimpleNamespace(display=lambda sentence, **_: said.append(sentence))
    status: object = 0
    try:
        module.CallbackModule()._judge_inventory(play)
    except SystemExit as end:
        status = end.code
    assert status == (module.STATUS if said else 0)
    return "".join(said)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("web:\n  hosts:\n    web1:\n", "has a host in the group lab"),
        ("lab:\n  hosts:\n", "has a host in the group lab"),
        ("lab:\n  hosts:\n    one:\n    two:\n", "The group lab has 2 hosts (one, two)"),
        ("lab:\n  hosts:\n    server:\n", "server of the group lab would be reached by ssh"),
        ("lab:\n  hosts:\n    here:\n      ansible_connection: community.docker.docker\n", "reached by"),
        ("lab:\n  hosts:\n    here:\n      ansible_connection: local\n", ""),
        ("lab:\n  hosts:\n    here:\n      ansible_connection: ansible.builtin.local\n", ""),
    ],
)
def test_an_inventory_of_somebody_else(
    options: Callable[..., None], tmp_path: Path, content: str, words: str
) -> None:
    options()
    said = judged(content, tmp_path)
    assert words in said
    assert bool(said) is bool(words)
    assert not said or f"-i {REPO}/inventory/lab" in said


def test_a_limit_that_leaves_the_lab_out(options: Callable[..., None], tmp_path: Path) -> None:
    options()
    content = "lab:\n  hosts:\n    here:\n      ansible_connection: local\nweb:\n  hosts:\n    web1:\n"
    assert "--limit leaves out here" in judged(content, tmp_path, "web")
    assert judged(content, tmp_path, "here") == ""


def test_roles_of_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = lab_callback()
    monkeypatch.setattr(constants, "DEFAULT_ROLES_PATH", [str(REPO / "roles")])
    assert module.foreign_code() == ""
    (tmp_path / "fault").mkdir()
    monkeypatch.setattr(constants, "DEFAULT_ROLES_PATH", [str(tmp_path), str(REPO / "roles")])
    assert module.foreign_code() == f"the role fault would be that of {tmp_path}"
    monkeypatch.setattr(constants, "DEFAULT_ROLES_PATH", [str(tmp_path / "none")])
    assert module.foreign_code() == "the role cluster would not be found"


def test_a_task_that_ends_in_no_way_was_never_started() -> None:
    """Each way of ending counts; of none at all, the next task or the end of the play tells."""
    module = lab_callback()
    said: list[str] = []
    module.display = SimpleNamespace(display=lambda sentence, **_: said.append(sentence))
    callback = module.CallbackModule()
    callback._is_ours = True
    task = SimpleNamespace(_uuid="1", get_name=lambda: "Fault")
    for way in ("ok", "failed", "skipped", "unreachable"):
        callback.v2_playbook_on_task_start(task, is_conditional=False)
        getattr(callback, f"v2_runner_on_{way}")(SimpleNamespace())
    callback.v2_playbook_on_handler_task_start(task)
    assert said == []
    with pytest.raises(SystemExit):
        callback.v2_playbook_on_task_start(task, is_conditional=False)
    with pytest.raises(SystemExit):
        callback.v2_playbook_on_stats(SimpleNamespace(failures={}, dark={}))
    assert all("The task 'Fault' could not be started" in sentence for sentence in said)
    assert len(said) == 2
