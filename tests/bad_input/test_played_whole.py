"""No way to call a play ends well with nothing done: it is played whole, or says what to do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
OWN = "-e lab_profile=never-made -e lab_state_dir={tmp}/state -e lab_reports_dir={tmp}"
PLAYS = ("setup", "failover", "recover", "status", "teardown")
NOBODY = "tcp://127.0.0.1:1"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ansible-playbook with these words, on a lab that was never made; from a folder of one's choice."""

    def start(words: str, cwd: Path = REPO, **environment: str) -> subprocess.CompletedProcess[str]:
        command = f"ansible-playbook {words} {OWN}".format(tmp=tmp_path, repo=REPO)
        return subprocess.run(
            command.split(),
            cwd=cwd,
            # Other tests of the same process may have set a configuration for themselves.
            env={name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
            | {"ANSIBLE_NOCOLOR": "1", "DOCKER_HOST": NOBODY}
            | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended before the first task, with one sentence that has these words."""
    assert done.returncode == 5, done.stdout + done.stderr
    (sentence,) = re.findall(r"^\[ERROR\]: (.*)$", done.stderr, re.MULTILINE)
    for word in words:
        assert word in sentence, sentence
    assert "TASK [" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_each_play_begins_with_what_judges_it() -> None:
    for name in PLAYS:
        (play,) = yaml.safe_load((REPO / "playbooks" / f"{name}.yml").read_text())
        first, second, *_ = play["tasks"]
        judges = [[*first][1], [*second][1]]
        assert judges == ["failover_lab.lab.requirements", "failover_lab.lab.settings"], name


@pytest.mark.parametrize("playbook", ["failover.yml", "playbooks/teardown.yml"])
def test_from_another_folder(run: Run, tmp_path: Path, playbook: str) -> None:
    done = run(f"{{repo}}/{playbook}", cwd=tmp_path)
    name = playbook.rpartition("/")[2]
    refused(done, "failover-lab's ansible.cfg", f"cd {REPO} && ansible-playbook {name}")


def test_with_another_configuration(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.cfg").write_text("[defaults]\nforks = 3\n")
    done = run("failover.yml", ANSIBLE_CONFIG=str(tmp_path / "other.cfg"))
    refused(done, "unset ANSIBLE_CONFIG", f"or set it to {REPO}/ansible.cfg")


def test_where_everybody_may_write(run: Run, tmp_path: Path) -> None:
    """Ansible does not read a configuration that anybody could have put there."""
    for name in ("failover.yml", "ansible.cfg"):
        shutil.copy(REPO / name, tmp_path / name)
    for name in ("playbooks", "collections", "inventory", "roles"):
        shutil.copytree(REPO / name, tmp_path / name, symlinks=True)
    (tmp_path / "src").symlink_to(REPO / "src")
    tmp_path.chmod(0o777)
    refused(
        run("failover.yml", cwd=tmp_path), f"chmod o-w {tmp_path}", f"ANSIBLE_CONFIG={tmp_path}/ansible.cfg"
    )


def test_another_inventory_beside_the_labs(run: Run, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("lab:\n  hosts:\n    server:\n")
    refused(run(f"teardown.yml -i inventory/lab -i {inventory}"), "2 hosts (localhost, server)")


def test_another_inventory_and_lists_of_callbacks(run: Run, tmp_path: Path) -> None:
    """Whichever callbacks are enabled, and wherever others are: this one is there."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("web:\n  hosts:\n    web1:\n")
    lists = {"ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.timer", "ANSIBLE_CALLBACK_PLUGINS": "/nonexistent"}
    done = run("setup.yml", ANSIBLE_INVENTORY=str(inventory), ANSIBLE_STDOUT_CALLBACK="minimal", **lists)
    refused(done, "has a host in the group lab")


def test_a_playbook_of_the_users_own_before_it(run: Run, tmp_path: Path) -> None:
    first = tmp_path / "first.yml"
    first.write_text("- hosts: localhost\n  gather_facts: false\n  tasks: []\n")
    done = run(f"{first} failover.yml", ANSIBLE_RUN_TAGS="x")
    refused(done, "--tags x (or ANSIBLE_RUN_TAGS)", "played whole or not at all")


def test_a_host_that_a_play_of_the_users_own_adds(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.yml"
    task = "{ansible.builtin.add_host: {name: server, groups: [lab]}}"
    first = f"- hosts: localhost\n  gather_facts: false\n  tasks: [{task}]\n"
    own.write_text(f"{first}- import_playbook: {REPO}/status.yml\n")
    done = run(str(own))
    assert done.returncode == 5, done.stdout + done.stderr
    assert "The group lab has 2 hosts (localhost, server)" in done.stderr


def test_a_condition_of_the_users_own_playbook_that_leaves_it_out(run: Run, tmp_path: Path) -> None:
    """What nobody foresaw is seen at the end: a task was left out, and no other has failed."""
    own = tmp_path / "own.yml"
    own.write_text(f"- import_playbook: {REPO}/status.yml\n  tags: never\n")
    refused(run(str(own)), "Not everything was played")


def test_step_by_step(run: Run) -> None:
    """Who says yes to a role, and no to all that is in it, has played nothing."""
    refused(run("failover.yml --step"), "--step would leave out a part of failover.yml")


def test_a_python_that_ends_well_whatever_happens(run: Run) -> None:
    refused(run("failover.yml", PYTHONINSPECT="1"), "PYTHONINSPECT")


def test_a_task_that_could_not_be_started(run: Run, tmp_path: Path) -> None:
    """Ansible passes over it, and goes on with the next one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import multiprocessing.popen_fork as fork\n"
        "def launch(self, process):\n"
        "    raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "fork.Popen._launch = launch\n"
    )
    done = run("status.yml", PYTHONPATH=str(tmp_path))
    assert done.returncode == 5, done.stdout + done.stderr
    assert "The task 'Requirements' could not be started" in done.stderr


def test_what_plays_nothing_by_itself(run: Run) -> None:
    assert run("failover.yml --list-tasks").returncode == 0
