"""Tells what the module ``failover_lab.lab.nodes_back`` waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.failover_lab.lab.plugins.plugin_utils import waiting


class ActionModule(waiting.ActionModule):
    """Run the module and tell."""

    def words(self, arguments: Mapping[str, Any]) -> str:
        """Which nodes. The arguments may be of any shape yet."""
        nodes = arguments.get("nodes")
        names = (
            [node.get("name") for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
        )
        return f"{', '.join(map(str, names)) or 'the nodes'} to carry work"
