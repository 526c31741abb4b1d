"""The action plugin ``failover_lab.lab.progress``, documented in plugins/modules/progress.py."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.failover_lab.lab.plugins.plugin_utils import running, timing, witness

display = Display()

ARGUMENTS: dict[str, dict[str, Any]] = {
    "argv": {"type": "list", "elements": "str", "required": True},
    "chdir": {"type": "path"},
    "creates": {"type": "path"},
    "label": {"type": "str"},
    "expected_s": {"type": "float"},
    "done_expected_s": {"type": "float", "default": 0.0},
    "total_expected_s": {"type": "float"},
    "started_at": {"type": "float"},
    "interval_s": {"type": "float", "default": 10.0},
    "relay": {"type": "str", "choices": ["timer", "lines"], "default": "timer"},
    "run_dir": {"type": "path"},
    "log": {"type": "path"},
    "timeout_s": {"type": "float"},
    "finishes": {"type": "bool", "default": False},
}

#: A relayed line longer than this would wrap on most terminals.
WIDTH = 150
#: So many of the last lines belong into a message of failure.
MESSAGE_LINES = 15


class Teller:
    """Puts one line on the terminal each time it is called, through Ansible's own display.

    Args:
        arguments: The task's validated arguments, as in ``ARGUMENTS``.
        label: What runs, in the words of the user.
        begun_at: When the command started, as a Unix time in seconds.
    """

    def __init__(self, arguments: Mapping[str, Any], label: str, begun_at: float) -> None:
        """Remember what there is to tell."""
        self._arguments = arguments
        self._label = label
        self._before_s = max(0.0, begun_at - (arguments["started_at"] or begun_at))
        self._told = ""

    def __call__(self, elapsed_s: float, stdout: running.Lines) -> None:
        """Tell how far the command is."""
        display.display(f"  … {self.line(elapsed_s, stdout.last)}")

    def line(self, elapsed_s: float, last: str) -> str:
        """What there is to say now.

        Args:
            elapsed_s: How long the command has run.
            last: The last line that it wrote to its standard output.
        """
        so_far = witness.figures(self._arguments.get("run_dir"))
        waiting = f"{so_far}; waiting for " if so_far else ""
        if self._arguments["relay"] == "lines" and last:
            fresh, self._told = last != self._told, last
            shown = f"{waiting}{self._label}: {last}" if so_far else last
            shown = shown if len(shown) <= WIDTH else f"{shown[: WIDTH - 1]}…"
            return shown if fresh else f"{shown} ({timing.duration(elapsed_s)})"
        told = f"{waiting}{self._label}, {timing.duration(self._before_s + elapsed_s)}"
        left_s = self._left_s(elapsed_s)
        return told if left_s is None else f"{told}, about {timing.about(left_s)} left"

    def _left_s(self, elapsed_s: float) -> float | None:
        expected_s = self._arguments["expected_s"]
        if expected_s is None:
            return None
        return timing.seconds_left(
            elapsed_s,
            expected_s=expected_s,
            before_s=self._before_s,
            done_expected_s=self._arguments["done_expected_s"],
            total_expected_s=self._arguments["total_expected_s"],
        )


class ActionModule(ActionBase):
    """Run one local command and tell how far it is while it runs."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: Unused; Ansible hands it over to every action.
            task_vars: The task's variables.

        Returns:
            The task's result; plugins/modules/progress.py documents it.
        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        label = arguments["label"] or Path(arguments["argv"][0]).name
        hidden = bool(self._task.no_log)
        if self._task.become:
            return result | {"failed": True, "msg": "progress knows no become"}
        created = arguments["creates"] and (Path(arguments["chdir"] or ".") / arguments["creates"]).exists()
        result |= {"cmd": arguments["argv"], "rc": 0, "stdout": "", "stderr": "", "elapsed_s": 0.0}
        result |= {"stdout_lines": [], "stderr_lines": []}
        if created:
            return result | {"changed": False, "msg": f"{arguments['creates']} exists"}
        if self._task.check_mode:
            return result | {"changed": True, "msg": f"{label} would run"}

        environment: dict[str, str] = {}
        self._compute_environment_string(environment)
        if hidden:
            arguments = arguments | {"relay": "timer", "log": None}
        try:
            with self._open_log(arguments["log"], arguments["argv"]) as log:
                outcome = running.run(
                    [str(word) for word in arguments["argv"]],
                    environment=os.environ | {key: str(value) for key, value in environment.items()},
                    chdir=arguments["chdir"],
                    log=log,
                    interval_s=arguments["interval_s"],
                    timeout_s=arguments["timeout_s"],
                    tick=Teller(arguments, label, time.time()),
                    finishes=arguments["finishes"],
                )
        except OSError as error:
            return result | {"failed": True, "rc": 127, "msg": f"{label} could not be run: {error}"}
        except running.Interrupted as interrupted:
            # Ansible's own handler is back in its place and ends this worker.
            os.kill(os.getpid(), interrupted.args[0])
            return result | {"failed": True, "msg": f"{label} was interrupted"}
        except running.Orphaned:
            os._exit(128 + signal.SIGTERM)

        result |= {
            "changed": True,
            "rc": outcome.rc,
            "stdout": outcome.stdout.text(),
            "stdout_lines": list(outcome.stdout.kept),
            "stderr": outcome.stderr.text(),
            "stderr_lines": list(outcome.stderr.kept),
            "elapsed_s": round(outcome.elapsed_s, 3),
        }
        if arguments["log"]:
            result["log"] = arguments["log"]
        if outcome.timed_out or outcome.rc != 0:
            result |= {"failed": True, "msg": self._complaint(label, outcome, arguments, hidden=hidden)}
        return result

    @staticmethod
    @contextlib.contextmanager
    def _open_log(path: str | None, argv: list[str]) -> Iterator[IO[bytes] | None]:
        if path is None:
            yield None
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("wb") as log:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            log.write(f"# {now} {shlex.join(argv)}\n".encode())
            log.flush()
            yield log

    @staticmethod
    def _complaint(
        label: str, outcome: running.Outcome, arguments: Mapping[str, Any], *, hidden: bool
    ) -> str:
        ending = (
            f"did not end within {timing.duration(arguments['timeout_s'])} and was stopped"
            if outcome.timed_out
            else f"failed with exit status {outcome.rc} after {timing.duration(outcome.elapsed_s)}"
        )
        if hidden:
            return f"{label} {ending}; what it said is hidden, since this task has no_log"
        said = [line for line in outcome.stderr.kept or outcome.stdout.kept if line.strip()]
        tail = ":\n" + "\n".join(said[-MESSAGE_LINES:]) if said else "; it said nothing"
        where = f"\nAll that it said is in {arguments['log']}" if arguments["log"] else ""
        return f"{label} {ending}{tail}{where}"
