"""The action plugin ``failover_lab.lab.k8s``, documented in plugins/modules/k8s.py."""

from __future__ import annotations

from ansible_collections.failover_lab.lab.plugins.plugin_utils.bounded import ActionModule

__all__ = ["ActionModule"]
