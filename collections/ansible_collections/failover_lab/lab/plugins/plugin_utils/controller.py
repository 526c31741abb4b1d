"""What the action plugins have in common that work on the controller, without a module of their own.

It runs on whatever Python and ansible-core the user has, so it uses nothing that an old one lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase


class TaskError(Exception):
    """The task fails with this sentence."""


class ControllerAction(ActionBase):
    """An action of which each one says what it does in ``work``."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: Unused; Ansible hands it over to every action.
            task_vars: The task's variables.

        Returns:
            The task's result; the page in plugins/modules of the same name documents it.
        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            return result | self.work(task_vars or {})
        except TaskError as refused:
            return result | {"failed": True, "msg": str(refused)}

    def work(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Do what the task wants; gives back its result.

        Args:
            variables: The task's.

        Raises:
            TaskError: it cannot be.
        """
        raise NotImplementedError

    @property
    def name(self) -> str:
        """What the task calls this action, without its collection."""
        return str(self._task.action).rpartition(".")[2]

    def as_oneself(self) -> None:
        """See that nobody else is to be become.

        Raises:
            TaskError: somebody is.
        """
        if self._task.become:
            raise TaskError(f"{self.name} knows no become")

    def without_arguments(self) -> None:
        """See that there are none.

        Raises:
            TaskError: there are.
        """
        if self._task.args:
            raise TaskError(f"{self.name} takes no arguments")

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The task's own variables of the environment, as a process has them.

        Args:
            more: Some beside these.
        """
        found: dict[str, str] = {}
        self._compute_environment_string(found)
        return {key: str(value) for key, value in {**found, **(more or {})}.items()}
