"""The action plugin ``failover_lab.lab.progress``, documented in plugins/modules/progress.py."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.utils.display import Display
from ansible_collections.failover_lab.lab.plugins.plugin_utils import aloud, running, telling, timing, witness
from ansible_collections.failover_lab.lab.plugins.plugin_utils.controller import ControllerAction

display = Display()

#: Of whatever runs one command and tells how far it is; plugins/doc_fragments/shared.py describes them.
TELLING: dict[str, dict[str, Any]] = {
    "interval_s": {"type": "float", "default": 10.0},
    "relay": {"type": "str", "choices": ["timer", "lines"], "default": "timer"},
    "passes_over": {"type": "str"},
    "run_dir": {"type": "path"},
    "timeout_s": {"type": "float"},
    "finishes": {"type": "bool", "default": False},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "argv": {"type": "list", "elements": "str", "required": True},
    "chdir": {"type": "path"},
    "creates": {"type": "path"},
    "label": {"type": "str"},
    "expected_s": {"type": "float"},
    "log": {"type": "path"},
    **TELLING,
}


class Teller:
    """Puts one line on the terminal each time it is called, through Ansible's own display.

    Args:
        arguments: The task's validated arguments, as in ``ARGUMENTS``.
        label: What runs, in the words of the user.
    """

    def __init__(self, arguments: Mapping[str, Any], label: str) -> None:
        """Remember what there is to tell."""
        self._arguments = arguments
        self._label = label
        self._told = self._heard = ""
        self._story = telling.Story(arguments.get("run_dir"))
        most_s = telling.MOST_IN_A_RUN_S if self._story.ahead() else telling.MOST_S
        self._pace = telling.Pace(arguments.get("interval_s", 0.0), most_s)

    def __call__(self, elapsed_s: float, stdout: running.Lines) -> None:
        """Tell how far the command is, if it is time for that."""
        self._story.tell(self._pace, elapsed_s, display.display)
        relays = self._arguments["relay"] == "lines"
        last = self._last(stdout.last)
        fresh = relays and bool(last) and last != self._told
        if self._pace.is_due(elapsed_s, fresh=fresh):
            aloud.say(f"  … {self.line(elapsed_s, last)}", display.display)

    def _last(self, last: str) -> str:
        """The last line that is worth telling."""
        passes_over = self._arguments.get("passes_over")
        if not (passes_over and re.search(passes_over, last)):
            self._heard = last
        return self._heard

    def line(self, elapsed_s: float, last: str) -> str:
        """What there is to say now.

        Args:
            elapsed_s: How long the command has run.
            last: The last line that it wrote to its standard output.
        """
        so_far = witness.figures(self._arguments.get("run_dir"))
        waiting = f"{so_far}; waiting for " if so_far else ""
        if so_far and (ahead := self._story.ahead()):
            return f"{waiting}{ahead}"
        if self._arguments["relay"] == "lines" and last:
            fresh, self._told = last != self._told, last
            shown = f"{waiting}{self._label}: {last}" if so_far else last
            shown = telling.fitted(shown, sys.stdout)
            return shown if fresh else f"{shown} ({timing.duration(elapsed_s)})"
        told = f"{waiting}{self._label}, {timing.duration(elapsed_s)}"
        expected_s = self._arguments.get("expected_s")
        if expected_s is None:
            return told
        return f"{told}, about {timing.about(timing.seconds_left(elapsed_s, expected_s))} left"


class ActionModule(ControllerAction):
    """Run one local command and tell how far it is while it runs."""

    def work(self, _variables: dict[str, Any]) -> dict[str, Any]:
        """Run the command; plugins/modules/progress.py documents the result."""
        _, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        label = arguments["label"] or Path(arguments["argv"][0]).name
        self.as_oneself()
        created = arguments["creates"] and (Path(arguments["chdir"] or ".") / arguments["creates"]).exists()
        result = {"cmd": arguments["argv"], "rc": 0, "stdout": "", "stderr": "", "elapsed_s": 0.0}
        result |= {"stdout_lines": [], "stderr_lines": []}
        if created:
            return result | {"changed": False, "msg": f"{arguments['creates']} exists"}
        if self._task.check_mode:
            return result | {"changed": True, "msg": f"{label} would run"}

        argv = [str(word) for word in arguments["argv"]]
        ended = self.carried_out(argv, arguments, label)
        if not isinstance(ended, running.Outcome):
            return result | ended
        outcome = ended
        result |= {
            "changed": True,
            "rc": outcome.rc,
            "stdout": outcome.stdout.text(),
            "stdout_lines": list(outcome.stdout.kept),
            "stderr": outcome.stderr.text(),
            "stderr_lines": list(outcome.stderr.kept),
            "elapsed_s": round(outcome.elapsed_s, 3),
        }
        if arguments["log"] and not self._task.no_log:
            result["log"] = arguments["log"]
        if outcome.timed_out or outcome.rc != 0:
            result |= {"failed": True, "msg": self.complaint(label, outcome, arguments)}
        return result

    def carried_out(
        self,
        argv: list[str],
        arguments: Mapping[str, Any],
        label: str,
        *,
        more: Mapping[str, str] | None = None,
        answers: bool = False,
    ) -> running.Outcome | dict[str, Any]:
        """Run a command to its end, and tell meanwhile.

        Args:
            argv: The command and its arguments.
            arguments: The task's validated arguments, as in ``ARGUMENTS``.
            label: What runs, in the words of the user.
            more: Variables of its environment beside the task's.
            answers: Its standard output is its answer, and what it says meanwhile is on standard error.

        Returns:
            How it ended, or the result of a task whose command could not be run.
        """
        if self._task.no_log:
            arguments = {**arguments, "relay": "timer", "log": None}
        try:
            with running.open_log(arguments.get("log"), argv) as log:
                return running.run(
                    argv,
                    environment=os.environ | self.environment(more),
                    chdir=arguments.get("chdir"),
                    log=log,
                    interval_s=arguments["interval_s"],
                    timeout_s=arguments["timeout_s"],
                    tick=Teller(arguments, label),
                    finishes=arguments["finishes"],
                    answers=answers,
                )
        except OSError as error:
            return {"failed": True, "rc": 127, "msg": f"{label} could not be run: {error}"}
        except (running.Interrupted, running.Orphaned) as end:
            running.hand_on(end)
            return {"failed": True, "msg": f"{label} was interrupted"}

    def complaint(self, label: str, outcome: running.Outcome, arguments: Mapping[str, Any]) -> str:
        """Say how a command failed.

        Args:
            label: What ran, in the words of the user.
            outcome: How it ended.
            arguments: The task's validated arguments, as in ``ARGUMENTS``.
        """
        limit_s = arguments["timeout_s"]
        if self._task.no_log:
            ending = running.ended_how(label, outcome, limit_s)
            return f"{ending}; what it said is hidden, since this task has no_log"
        return running.complaint(label, outcome, limit_s=limit_s, log=arguments.get("log"))
