"""The action plugin ``failover_lab.lab.wait_for``, documented in plugins/modules/wait_for.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.failover_lab.lab.plugins.module_utils.waiting import ARGUMENTS
from ansible_collections.failover_lab.lab.plugins.plugin_utils import waiting


class ActionModule(waiting.ActionModule):
    """Run Ansible's own wait_for and tell."""

    def words(self, arguments: Mapping[str, Any]) -> str:
        """Which file."""
        return str(arguments.get("path"))

    def _execute_module(self, **keywords: Any) -> dict[str, Any]:  # noqa: ANN401 - Ansible's
        own = {name: value for name, value in self._task.args.items() if name not in ARGUMENTS}
        self.validate_argument_spec(ARGUMENTS | {name: {"type": "raw"} for name in own})
        result: dict[str, Any] = super()._execute_module(
            module_name="ansible.builtin.wait_for", module_args=own, **keywords
        )
        return result
