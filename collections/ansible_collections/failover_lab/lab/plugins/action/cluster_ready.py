"""Tells what the module ``failover_lab.lab.cluster_ready`` waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.failover_lab.lab.plugins.plugin_utils import waiting


class ActionModule(waiting.ActionModule):
    """Run the module and tell."""

    def words(self, arguments: Mapping[str, Any]) -> str:
        """How many nodes, and that they are not all."""
        workloads = " and what runs on all of them" if arguments.get("workloads") else ""
        return f"{arguments.get('nodes', 1)} ready nodes{workloads}"
