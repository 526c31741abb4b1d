"""Documentation that the modules have in common that ask a cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """What ``REACHING`` in plugins/module_utils/arguments.py names."""

    DOCUMENTATION = r"""
options:
  context:
    description: The kubectl context of the cluster.
    type: str
    required: true
  kubeconfig:
    description: The kubeconfig that holds O(context). By default the usual one.
    type: path
  provider:
    description:
      - Whose cluster it is, as the setting C(cluster_provider) says. What is told of one that does not answer
        hangs on it, and nothing else. The lab can start its own (V(minikube)), and no other (V(existing)).
    type: str
    choices: [minikube, existing]
    default: minikube
"""
