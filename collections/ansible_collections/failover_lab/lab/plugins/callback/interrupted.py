"""Puts right at once what a run leaves behind when its user presses Ctrl-C."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: interrupted
type: notification
short_description: Run recover.yml when a run ends with its journal still open
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Ansible runs no C(always) section when it is interrupted. This callback sees a run open its journal
    (M(failover_lab.lab.journal)) and, if the journal is still open when the play's process ends, runs the
    C(recover.yml) beside the playbook, with the same options.
  - A process that is killed outright cannot do this; then the next run does.
  - The plays of the lab bring it in themselves, by the callback C(lab) beside them, whatever is enabled.
requirements:
  - elsewhere, to be named in C(callbacks_enabled)
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible's own classes carry no types
    """Remembers the journal of the run that this process holds."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "failover_lab.lab.interrupted"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever Ansible hands over
        """Nothing is open yet."""
        super().__init__(*args, **kwargs)
        self._journal: Path | None = None
        self._playbook: Path | None = None
        self._process = os.getpid()
        self._came_to_its_end = False

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ANN401 - Ansible's
        """Remember which playbook runs."""
        self._playbook = Path(playbook._file_name).resolve()  # noqa: SLF001 - there is no other way to learn it

    def v2_runner_on_ok(self, result: Any) -> None:  # noqa: ANN401 - Ansible's
        """See journals being opened and closed."""
        arguments = result.result.get("invocation", {}).get("module_args", {})
        # Its former name still works.
        if result.task.action not in ("failover_lab.lab.journal", "failover_lab.lab.run_journal"):
            return
        if arguments.get("state") == "open" and self._journal is None:
            self._journal = Path(arguments["path"])
            atexit.register(self._put_right)
        elif arguments.get("state") == "closed":
            self._journal = None

    def v2_playbook_on_stats(self, _stats: Any) -> None:  # noqa: ANN401 - Ansible's
        """See the play come to its end, which an interrupted one does not."""
        self._came_to_its_end = True

    def _put_right(self) -> None:
        recover = self._playbook.with_name("recover.yml") if self._playbook else None
        # Ansible's workers are forks of this process, and end with its handlers.
        if os.getpid() != self._process:
            return
        if self._journal is None or not self._journal.exists() or recover is None or not recover.exists():
            return
        # Ansible's own display is gone by now.
        interrupted = "Interrupted: putting right what the run has done …"
        told = "Putting right what the run has left …" if self._came_to_its_end else interrupted
        print(f"\n{told}", flush=True)
        named = {str(self._playbook), self._playbook.name if self._playbook else ""}
        command = [
            str(recover) if word in named or Path(word).resolve() == self._playbook else word
            for word in sys.argv
        ]
        # Ansible's own standard streams are not for children: what the child says is passed on line by line.
        with subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as child:
            for line in child.stdout or ():
                print(line, end="", flush=True)
