"""Runs the module ``failover_lab.lab.journal`` without a process of its own, where that is possible.

A run opens, reads and continues its journal a dozen times; each process takes a quarter of a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action.normal import ActionModule as Normal

from failover_lab.run import journal


class ActionModule(Normal):
    """Keep the journal here if this is where it is, or else run the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: Unused; Ansible hands it over to every action.
            task_vars: The task's variables.

        Returns:
            The module's result.
        """
        if self._connection.transport != "local" or self._task.become:
            result: dict[str, Any] = super().run(tmp, task_vars)
            return result
        _, wanted = self.validate_argument_spec(argument_spec=journal.ARGUMENTS)
        path = Path(wanted["path"])
        # By this the callback `interrupted` sees a journal being opened, as in a module's result.
        told = {"invocation": {"module_args": wanted | {"path": str(path)}}}
        try:
            return told | journal.keep(
                path, wanted["state"], wanted["content"], wanted["step"], check_mode=self._task.check_mode
            )
        except journal.Refusal as refusal:
            return told | {"failed": True, "msg": str(refusal)}
        except OSError as error:
            return told | {"failed": True, "msg": f"The journal {path} could not be kept: {error}."}
