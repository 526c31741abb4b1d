"""Tells what the module ``failover_lab.lab.namespace_gone`` waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.failover_lab.lab.plugins.plugin_utils import waiting


class ActionModule(waiting.ActionModule):
    """Run the module and tell."""

    def words(self, arguments: Mapping[str, Any]) -> str:
        """Which namespace."""
        return f"the namespace {arguments.get('namespace')} to be gone"
