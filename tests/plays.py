"""ansible-playbook as tests call it: in the repository, and what became of it host by host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

REPO = Path(__file__).resolve().parents[1]
T = TypeVar("T")


@dataclass
class Played:
    """How a play ended: exit status, the failed task's message, and how many tasks changed something."""

    returncode: int
    message: str
    changed: int
    output: str

    def refused(self, *words: str) -> None:
        """Assert that it ended in one error with these words, and had changed nothing."""
        assert self.returncode != 0, self.output
        assert self.output.count("fatal: ") == 1, self.output
        assert self.changed == 0, self.output
        for word in words:
            assert word in self.message, self.message
        assert "Traceback" not in self.output
        assert len(self.message) < 600, "nobody reads so long a message"


def ansible_playbook(
    arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run it in the repository; what a task says is JSON."""
    return subprocess.run(
        ["ansible-playbook", *arguments],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1", **environment},
    )


def message(said: str) -> str:
    """What the first task that failed gives as its reason."""
    failed = re.search(r"^fatal: \[[^\]]*\]: FAILED! =>\s+(?=\{)", said, re.MULTILINE)
    return str(json.JSONDecoder().raw_decode(said[failed.end() :])[0]["msg"]) if failed else ""


def run_playbook(*arguments: str, **environment: str) -> Played:
    """Run ansible-playbook, and see how it ended."""
    done = ansible_playbook(arguments, environment)
    changed = re.findall(r"changed=(\d+)", done.stdout)
    return Played(done.returncode, message(done.stdout), sum(map(int, changed)), done.stdout + done.stderr)


def each_said(stdout: str) -> dict[str, str]:
    """What a play says of each of its hosts."""
    said: defaultdict[str, str] = defaultdict(str)
    host = ""
    for line in stdout.splitlines(keepends=True):
        if line.startswith(("PLAY ", "TASK [", "included: ")):
            host = ""
        elif begins := re.match(r"[a-z]+: \[([^\]]*)\]", line):
            host = begins[1]
        said[host] += line
    return said


def run_side_by_side(
    folder: Path, play: dict[str, Any], hosts: Mapping[str, dict[str, Any]], *options: str, **environment: str
) -> dict[str, Played]:
    """Run one play for several cases: each is a host of its own, which is this machine, with these variables.

    Ansible starts once for all of them. One that is refused keeps none of the others from its own end.

    Returns:
        By host, how the play ended for it.
    """
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"cases": {"hosts": {name: local | variables for name, variables in hosts.items()}}}
    (folder / "cases.json").write_text(json.dumps(inventory), encoding="utf-8")
    (folder / "play.yml").write_text(
        json.dumps([{"gather_facts": False} | play | {"hosts": "cases"}]), encoding="utf-8"
    )
    arguments = ("-i", str(folder / "cases.json"), str(folder / "play.yml"), *options)
    done = ansible_playbook(arguments, environment, timeout_s=60 + 10 * len(hosts))
    said = each_said(done.stdout)
    ended: dict[str, Played] = {}
    for host in hosts:
        counted = re.search(
            rf"^{host} +: ok=.* changed=(\d+) .*unreachable=(\d+) .*failed=(\d+) ", done.stdout, re.MULTILINE
        )
        assert counted, done.stdout + done.stderr
        changed, *failures = map(int, counted.groups())
        output = said[host] + counted[0] + "\n" + done.stderr
        ended[host] = Played(done.returncode if any(failures) else 0, message(said[host]), changed, output)
    return ended


def by_night(cases: Iterable[T], night: Collection[T]) -> list[Any]:
    """These cases as parameters; those for which others stand by day belong to ``make test-all`` alone."""
    return [pytest.param(case, marks=pytest.mark.nightly) if case in night else case for case in cases]


def wanted(request: pytest.FixtureRequest, parameter: str, cases: Iterable[T]) -> list[T]:
    """Those of the cases that tests of this session ask of this fixture: no other is played."""
    asked = [
        item.callspec.params[parameter]
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and item.path == request.path
        if request.fixturename in item.fixturenames and parameter in item.callspec.params
    ]
    return [case for case in cases if case in asked]


def including(role: str, **more: str) -> dict[str, Any]:
    """The task that applies a role."""
    return {"name": "Apply it", "ansible.builtin.include_role": {"name": role, **more}}
