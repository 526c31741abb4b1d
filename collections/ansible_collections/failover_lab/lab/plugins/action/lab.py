"""The one door to the package: the action ``failover_lab.lab.lab``, documented in plugins/modules/lab.py."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.failover_lab.lab.plugins.action import progress
from ansible_collections.failover_lab.lab.plugins.plugin_utils import running

from failover_lab.door import answer, check_mode
from failover_lab.run import journal

#: Of this checkout, wherever the play is and whatever else is installed.
SOURCE = Path(__file__).resolve().parents[6] / "src"

ARGUMENTS: dict[str, dict[str, Any]] = {
    "command": {"type": "list", "elements": "str"},
    "options": {"type": "dict", "default": {}},
    "accept_no": {"type": "bool", "default": False},
    "job": {"type": "str"},
    "label": {"type": "str"},
    **progress.TELLING,
}
ALTERNATIVES = {"mutually_exclusive": [("command", "job")], "required_one_of": [("command", "job")]}


def words(options: Mapping[str, Any]) -> Iterator[str]:
    """Options as the command line has them: ``{"node": "lab-m02", "clear-flows": True}``.

    Args:
        options: By name. One that is true has no value, and one that is false or nothing is left out; a list
            gives an option several times.
    """
    for name, value in options.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is True:
                yield f"--{name}"
            elif one is not None and one is not False:
                yield f"--{name}={one}"


class ActionModule(progress.ActionModule):
    """Run a command of the package, and give its answer back as data."""

    _supports_async = True

    def work(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Run the command, or ask what came of one; plugins/modules/lab.py documents the result."""
        _, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS, **ALTERNATIVES)
        self.as_oneself()
        if arguments["job"]:
            return self._collected(arguments, variables)
        command = [*arguments["command"], *words(arguments["options"])]
        label = arguments["label"] or command[0]
        result = {"cmd": command, "rc": 0, "ok": True, "data": {}, "changed": False}
        what = check_mode.check(command)
        if self._task.check_mode and what is not check_mode.Check.RUNS:
            would = what is check_mode.Check.WOULD_CHANGE
            return result | {"changed": would, "msg": f"{label} does not run in check mode: it {what.value}"}
        if self._task.async_val:
            return result | self._started(command, variables)
        return result | self._answered(command, arguments, label)

    def _answered(self, command: Sequence[str], arguments: Mapping[str, Any], label: str) -> dict[str, Any]:
        """Run a command to its end."""
        argv = [sys.executable, "-m", "failover_lab", "--json", *command]
        ended = self.carried_out(argv, arguments, label, more={"PYTHONPATH": str(SOURCE)}, answers=True)
        if not isinstance(ended, running.Outcome):
            return {"ok": False} | ended
        took = {"elapsed_s": round(ended.elapsed_s, 3)}
        complaint = self.complaint(label, ended, arguments)
        if ended.timed_out:
            return took | {"failed": True, "ok": False, "rc": ended.rc, "msg": complaint}
        result = took | told(ended.rc, ended.stdout.text(), complaint, accept_no=arguments["accept_no"])
        # Ansible shows why a task failed even of one whose result it hides.
        return result | {"msg": complaint} if self._task.no_log and "msg" in result else result

    def _started(self, command: Sequence[str], variables: dict[str, Any]) -> dict[str, Any]:
        """Begin a command beside the play, which ends with it."""
        if self._task.poll:
            return {"failed": True, "msg": "lab runs beside a play with `poll: 0` alone"}
        argv = ["env", f"PYTHONPATH={SOURCE}", sys.executable, "-m", "failover_lab", "--json", *command]
        started: dict[str, Any] = self._execute_module(
            "ansible.legacy.command",
            # What is begun so is nobody's child any more: it is told whose end is its own.
            {"argv": [*argv, f"--parent-pid={journal.controller()}"], "expand_argument_vars": False},
            # Ansible begins it by a first line and a shell, neither of which takes a blank in the path of the
            # checkout, or a long one. The module needs nothing of .venv.
            task_vars={**variables, "ansible_python_interpreter": os.path.realpath(sys.executable)},
            wrap_async=True,
        )
        return started | {"changed": True}

    def _collected(self, arguments: Mapping[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """What a command that was begun beside the play has answered, if it has ended."""
        where = self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async"))
        status = self._execute_module(
            "ansible.legacy.async_status",
            {"jid": arguments["job"], "mode": "status", "_async_dir": where},
            task_vars=variables,
        )
        result = {"changed": False, "ok": False, "data": {}, "finished": bool(status.get("finished"))}
        if "rc" not in status:
            # It still runs; or nobody knows of it, or it could not be started.
            return result | {name: status[name] for name in ("failed", "msg") if name in status}
        label = arguments["label"] or "it"
        said = str(status.get("stderr") or "").strip()
        complaint = said.splitlines()[-1] if said else f"{label} failed with exit status {status['rc']}"
        return result | told(
            status["rc"], str(status.get("stdout") or ""), complaint, accept_no=arguments["accept_no"]
        )


def told(rc: int, stdout: str, complaint: str, *, accept_no: bool) -> dict[str, Any]:
    """What a task's result says of an answer.

    Args:
        rc: The exit status: 0 yes, 1 no, 2 it could not be carried out.
        stdout: The answer as JSON. There is none of a command that broke off.
        complaint: What is said of one that broke off.
        accept_no: Whether the answer no is as good as any.
    """
    try:
        found = json.loads(stdout)
    except ValueError:
        return {"failed": True, "ok": False, "changed": False, "rc": rc, "msg": complaint}
    if answer.ERROR in found:
        return {"failed": True, "ok": False, "changed": False, "rc": rc, "msg": found[answer.ERROR]}
    said = {"msg": found["why"]} if found["why"] else {}
    return said | {
        "failed": rc != 0 and not accept_no,
        "ok": rc == 0,
        "rc": rc,
        "data": found["data"],
        "changed": found["changed"],
    }
