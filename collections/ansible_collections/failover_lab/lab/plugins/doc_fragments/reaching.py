"""Documentation that the modules have in common that ask a cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """What plugins/module_utils/cluster.py opens a cluster with."""

    DOCUMENTATION = r"""
options:
  context:
    description: The kubectl context of the cluster.
    type: str
    required: true
  kubeconfig:
    description: The kubeconfig that holds O(context). By default the usual one.
    type: path
"""
