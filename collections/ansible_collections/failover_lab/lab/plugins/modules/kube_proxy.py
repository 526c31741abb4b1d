#!/usr/bin/python
"""Sets how each node's kube-proxy writes the node's rules: by which of the kernel's means, and how soon."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kube_proxy
short_description: By what the nodes' rules are written, and how soon they follow a Service's endpoints
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - A kube-proxy that has just written its node's rules waits for its C(minSyncPeriod) before it writes them
    again. When a node is lost, the first of its pods that leaves a Service's endpoints is taken out of the
    rules at once, and the others only after that time; until then they are sent connections.
  - Sets the period and O(mode) in the ConfigMap C(kube-proxy), as kubeadm has written it, and replaces the
    kube-proxies that run with others, node after node. A node's rules stay while none runs on it; one that
    begins in another mode removes what the one before it has written.
  - A cluster without that ConfigMap has another kind of proxy, and nothing is done.
extends_documentation_fragment: failover_lab.lab.shared.reaching
options:
  mode:
    description: By which of the kernel's means the rules are written.
    type: str
    choices: [iptables, nftables]
    default: iptables
  min_sync_ms:
    description: The period, in milliseconds, up to 30000. Without it, Kubernetes' own, which is a second.
    type: int
  timeout_s:
    description: How long each single kube-proxy may take to be replaced, in seconds.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
    description: Nothing is changed, and what would be is told.
  diff_mode:
    support: full
    description: What is in force before and after.
"""

EXAMPLES = r"""
- name: Rules follow the endpoints within a tenth of a second
  failover_lab.lab.kube_proxy:
    context: failover-lab
    min_sync_ms: 100

- name: As Kubernetes does by itself
  failover_lab.lab.kube_proxy:
    context: failover-lab
"""

RETURN = r"""
steps:
  description: What was changed, or in check mode would be, in this order.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.failover_lab.lab.plugins.module_utils import cluster_module

from failover_lab.kube import kube_proxy


def main() -> None:
    """Run the module."""
    cluster_module.run(
        {
            "mode": {"type": "str", "choices": [*kube_proxy.MODES], "default": kube_proxy.IPTABLES},
            "min_sync_ms": {"type": "int"},
            "timeout_s": {"type": "int", "default": 120},
        },
        lambda cluster, module: kube_proxy.set_writing(
            cluster,
            mode=module.params["mode"],
            period_ms=module.params["min_sync_ms"],
            context=module.params["context"],
            timeout_s=module.params["timeout_s"],
            check_mode=module.check_mode,
        ),
        kube_proxy.Proxies,
    )


if __name__ == "__main__":
    main()
