#!/usr/bin/python
"""Waits until a namespace that is going away is gone; tells what holds it if not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: namespace_gone
short_description: Wait until a namespace that is going away is gone
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Waits until there is no such namespace. If that takes too long it fails with one message, in which the
    namespace's own conditions say what holds it, such as a finalizer.
  - A namespace that nobody has deleted is an error at once.
extends_documentation_fragment: [failover_lab.lab.reaching, failover_lab.lab.waiting]
options:
  namespace:
    description: The name of the namespace.
    type: str
    required: true
  timeout_s:
    description: How long to wait, in seconds.
    type: int
    default: 180
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode. In check mode it neither waits nor fails.
"""

EXAMPLES = r"""
- name: Wait until an earlier site is gone
  failover_lab.lab.namespace_gone:
    context: failover-lab
    namespace: site
"""

RETURN = r"""
gone:
  description: Whether there is no such namespace; false in check mode alone.
  type: bool
  returned: success
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.failover_lab.lab.plugins.module_utils import waiting

from failover_lab.kube import reaching
from failover_lab.kube.cluster import Cluster, Object, guarded, of

POLL_S = 0.5
# Kubernetes' own, which it takes off when nothing is left.
_OWN = "kubernetes"


def holds(namespace: Object) -> list[str]:
    """What keeps a namespace from being gone, in its own words."""
    told = [
        str(condition.get("message") or condition.get("reason"))
        for condition in of(namespace, "status", "conditions", default=[])
        if condition.get("status") == "True"
    ]
    finalizers = [
        *of(namespace, "metadata", "finalizers", default=[]),
        *(name for name in of(namespace, "spec", "finalizers", default=[]) if name != _OWN),
    ]
    if finalizers:
        told.append(f"the namespace itself has the finalizer {', '.join(finalizers)}")
    return told


def watch(wanted: Object, *, check_mode: bool) -> Object:
    """Wait as the arguments say.

    Returns:
        What the module returns; under ``msg``, why it fails.
    """
    cluster = Cluster(wanted["context"], wanted["kubeconfig"])
    deadline = time.monotonic() + wanted["timeout_s"]
    where = f"The namespace {wanted['namespace']} of {wanted['context']}"
    while True:
        found = cluster.namespace(wanted["namespace"])
        if found is None or check_mode:
            return {"gone": found is None}
        if not of(found, "metadata", "deletionTimestamp"):
            return {"msg": f"{where} is there, and nobody has deleted it."}
        if time.monotonic() >= deadline:
            why = "; ".join(holds(found)) or "it does not say why"
            return {
                "msg": f"{where} is still going away after {wanted['timeout_s']} s: {why}. Remove what holds "
                f"it (`kubectl --context {wanted['context']} get namespace {wanted['namespace']} -o yaml` "
                "shows it all), or choose another site_namespace."
            }
        time.sleep(POLL_S)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **reaching.ARGUMENTS,
            "namespace": {"type": "str", "required": True},
            "timeout_s": {"type": "int", "default": 180},
            **waiting.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    wanted = module.params
    result = guarded(module, wanted["context"], lambda: watch(wanted, check_mode=module.check_mode))
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
