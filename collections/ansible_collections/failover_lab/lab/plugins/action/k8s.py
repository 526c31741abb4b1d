"""The action plugin ``failover_lab.lab.k8s``, documented in plugins/modules/k8s.py."""

from __future__ import annotations

from ansible_collections.failover_lab.lab.plugins.plugin_utils import bounded


class ActionModule(bounded.ActionModule):
    """``kubernetes.core.k8s`` in bounded time."""
