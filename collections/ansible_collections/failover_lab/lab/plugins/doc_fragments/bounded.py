"""Documentation that the modules have in common that run one of kubernetes.core in bounded time."""

from __future__ import annotations


class ModuleDocFragment:
    """What plugins/plugin_utils/bounded.py does."""

    DOCUMENTATION = r"""
options:
  requests_s:
    description: How long all requests together may take, in seconds.
    type: float
    default: 60.0
  provider:
    description: As M(failover_lab.lab.cluster_answers) takes it.
    type: str
    choices: [minikube, existing]
    default: minikube
notes:
  - It takes what the module of this name in C(kubernetes.core) takes, and hands it on. The requests of that
    one know no time-out. Here it is ended after O(requests_s), and what it waits for by itself (C(wait),
    C(wait_timeout)) is added.
  - Where it fails, M(failover_lab.lab.cluster_answers) is asked why; what that finds is the message.
"""
