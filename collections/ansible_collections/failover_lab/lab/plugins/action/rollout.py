"""Tells what the module ``failover_lab.lab.rollout`` waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.failover_lab.lab.plugins.plugin_utils import waiting


class ActionModule(waiting.ActionModule):
    """Run the module and tell."""

    def words(self, arguments: Mapping[str, Any]) -> str:
        """Which pods."""
        lost = arguments.get("without_node")
        elsewhere = f" on other nodes than {lost}" if lost else ""
        return f"every pod of {arguments.get('deployment')}{elsewhere}"
