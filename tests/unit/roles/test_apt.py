"""apt-get is run as root, with a line on the screen, and after what a killed dpkg has left is finished."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
LOCKED = "dpkg: error: dpkg frontend lock was locked by another process with pid 1"


def command(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def run(tmp_path: Path, *options: str) -> tuple[int, list[str]]:
    """Have something installed by programs that only write down what they are asked for.

    Returns:
        The number of changed tasks, and what was asked for.
    """
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    said = tmp_path / "said"
    said.touch()
    command(programs / "apt-get", f'echo "apt-get $*" >> {said}; env | grep ^DEBIAN_FRONTEND= >> {said}')
    command(
        programs / "dpkg",
        f'echo "dpkg $*" >> {said}; test "$(grep -c dpkg {said})" -ge 2 && exit; echo "{LOCKED}" >&2; exit 2',
    )
    role = {"name": "engine", "tasks_from": "apt"}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"engine_apt_arguments": ["install", "gcc"]},
        "tasks": [{"name": "Install", "ansible.builtin.include_role": role}],
    }
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([play]), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", str(path), "-e", f"__engine_dpkg_updates={tmp_path / 'updates'}", *options],
        cwd=REPO,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    changed = re.search(r"changed=(\d+)", done.stdout)
    assert changed
    return int(changed[1]), said.read_text(encoding="utf-8").splitlines()


INSTALLED = re.compile(r"apt-get .*--yes .*DPkg::Lock::Timeout=120 .* install gcc")
only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="sudo has a PATH of its own")


@only_as_root
def test_nothing_was_left(tmp_path: Path) -> None:
    (tmp_path / "updates").mkdir()
    changed, said = run(tmp_path)
    assert changed == 1
    assert INSTALLED.fullmatch(said[0])
    assert said[1:] == ["DEBIAN_FRONTEND=noninteractive"]


@pytest.mark.nightly
@only_as_root
def test_a_dpkg_was_killed_and_another_one_holds_the_lock_for_a_moment(tmp_path: Path) -> None:
    (tmp_path / "updates").mkdir()
    (tmp_path / "updates" / "0001").touch()
    assert run(tmp_path, "--check") == (2, [])
    changed, said = run(tmp_path)
    assert changed == 2
    assert said[:2] == ["dpkg --force-confold --configure -a"] * 2
    assert INSTALLED.fullmatch(said[2])
