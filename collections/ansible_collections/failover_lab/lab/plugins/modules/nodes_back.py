#!/usr/bin/python
"""Waits until nodes that were lost carry work again; names what is missing if not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nodes_back
short_description: Wait until nodes that were lost carry work again
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Waits until each node's kubelet has renewed its lease since an instant, the node is ready, and the pods
    that belong to it (its DaemonSets') are ready. What the API says of a node that was lost may be what was
    true before; and a pod that is put on a node whose routes are not there yet gets no answer out.
  - If that takes too long it fails with one message that names what is missing.
extends_documentation_fragment: [failover_lab.lab.reaching, failover_lab.lab.waiting]
options:
  nodes:
    description: The nodes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The node's name.
        type: str
        required: true
      since:
        description: The instant since which its kubelet must have renewed its lease (ISO 8601).
        type: str
        required: true
      restarted:
        description: Whether the node's pods were ended as well, and so must have been started since then.
        type: bool
        default: false
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
- name: The node that was started again
  failover_lab.lab.nodes_back:
    context: failover-lab
    nodes:
      - name: failover-lab-m02
        since: "2026-11-23T19:00:00Z"
        restarted: true
"""

RETURN = r"""
missing:
  description: What is missing (in check mode); empty if nothing is.
  type: list
  elements: str
  returned: success
"""

import re
import time
from datetime import datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.failover_lab.lab.plugins.module_utils import waiting

from failover_lab.kube import reaching
from failover_lab.kube.cluster import Cluster, Object, guarded, is_ready, of

POLL_S = 0.5


def instant(text: str) -> datetime:
    """An instant as Kubernetes, or with nanoseconds as the engine, writes it."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text))


def belongs(pod: Object) -> bool:
    """Whether a pod belongs to its node: a DaemonSet put it there."""
    owners = of(pod, "metadata", "ownerReferences", default=[])
    return any(owner.get("controller") and owner["kind"] == "DaemonSet" for owner in owners)


def started(pod: Object, since: datetime) -> bool:
    """Whether all containers of a pod were started since then. The API tells whole seconds."""
    instants = [
        of(status, "state", "running", "startedAt")
        for status in of(pod, "status", "containerStatuses", default=[])
    ]
    whole = since.replace(microsecond=0)
    return bool(instants) and all(text and instant(text) >= whole for text in instants)


def missing_of(wanted: Object, node: Object | None, lease: Object | None, pods: list[Object]) -> str | None:
    """What keeps a node from carrying work; None if nothing does.

    Args:
        wanted: C(name), C(since) and C(restarted).
        node: as the API has it; None if it does not.
        lease: its Lease; None if there is none.
        pods: every pod of the cluster.
    """
    name, since = wanted["name"], instant(wanted["since"])
    if node is None:
        return f"{name} has not joined"
    renewed = of(lease or {}, "spec", "renewTime")
    if not renewed or instant(renewed) <= since:
        return f"the kubelet of {name} has not renewed its lease since {since:%H:%M:%S}"
    if not is_ready(node):
        said = [
            c.get("message") for c in of(node, "status", "conditions", default=[]) if c["type"] == "Ready"
        ]
        return f"{name} is not ready" + (f": {said[0]}" if said and said[0] else "")
    own = [
        pod
        for pod in pods
        if of(pod, "spec", "nodeName") == name
        and belongs(pod)
        and not of(pod, "metadata", "deletionTimestamp")
    ]
    late = [
        pod["metadata"]["name"]
        for pod in own
        if not is_ready(pod) or (wanted["restarted"] and not started(pod, since))
    ]
    if late:
        return f"{', '.join(late)} on {name} {'is' if len(late) == 1 else 'are'} not ready"
    return None if own else f"{name} carries none of the pods that belong to every node"


def look(cluster: Cluster, wanted: list[Object]) -> list[str]:
    """What is missing, a sentence each."""
    nodes = {node["metadata"]["name"]: node for node in cluster.nodes()}
    pods = cluster.pods()
    found = (missing_of(item, nodes.get(item["name"]), cluster.lease(item["name"]), pods) for item in wanted)
    return [sentence for sentence in found if sentence]


def watch(wanted: Object, *, check_mode: bool) -> Object:
    """Wait as the arguments say.

    Returns:
        What the module returns; under ``msg``, why it fails.
    """
    cluster = Cluster(wanted["context"], wanted["kubeconfig"])
    deadline = time.monotonic() + wanted["timeout_s"]
    while True:
        missing = look(cluster, wanted["nodes"])
        if not missing or check_mode:
            return {"missing": missing}
        if time.monotonic() >= deadline:
            return {"msg": f"After {wanted['timeout_s']} s in {wanted['context']}: {'; '.join(missing)}"}
        time.sleep(POLL_S)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **reaching.ARGUMENTS,
            "nodes": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "since": {"type": "str", "required": True},
                    "restarted": {"type": "bool", "default": False},
                },
            },
            "timeout_s": {"type": "int", "default": 180},
            **waiting.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    wanted = module.params
    for item in wanted["nodes"]:
        try:
            aware = instant(item["since"]).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            module.fail_json(msg=f"{item['since']!r} is no instant such as 2026-11-23T19:00:00Z.")
    result = guarded(module, wanted["context"], lambda: watch(wanted, check_mode=module.check_mode))
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
