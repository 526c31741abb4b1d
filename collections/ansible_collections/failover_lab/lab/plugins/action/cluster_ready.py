"""Tells what the module ``failover_lab.lab.cluster_ready`` waits for."""

from __future__ import annotations

from ansible_collections.failover_lab.lab.plugins.plugin_utils.waiting import ActionModule

__all__ = ["ActionModule"]
