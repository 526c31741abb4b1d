#!/usr/bin/python
"""Sets for how long each node's kube-proxy gathers changes before it writes the node's rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kube_proxy
short_description: How soon the nodes' rules follow a Service's endpoints
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - A kube-proxy that has just written its node's rules waits for its C(minSyncPeriod) before it writes them
    again. When a node is lost, the first of its pods that leaves a Service's endpoints is taken out of the
    rules at once, and the others only after that time; until then they are sent connections.
  - Sets the period in the ConfigMap C(kube-proxy), as kubeadm has written it, and replaces the kube-proxies
    that run with another one, node after node. A node's rules stay while none runs on it.
  - A cluster without that ConfigMap has another kind of proxy, and nothing is done.
extends_documentation_fragment: failover_lab.lab.reaching
options:
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
    description: The period in force before and after.
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

import re
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from failover_lab.kube import reaching
from failover_lab.kube.cluster import Cluster, guarded, is_ready, of, until
from failover_lab.kube.detection import seconds

try:
    from kubernetes.client import ApiException
except ImportError:
    # The work is not begun without it.
    ApiException = Exception

if TYPE_CHECKING:
    from failover_lab.kube.cluster import Object

OWN_S = 1.0
# One that is silent for longer does not run, and is replaced.
ANSWER_S = 60
# Its own syncPeriod, after which it writes in any case.
LONGEST_MS = 30_000
PODS = "/api/v1/namespaces/kube-system/pods"
CONFIG = ("kube-proxy", "config.conf")
SELECTOR = "k8s-app=kube-proxy"
# One in the section of each way to write rules, of which only one is in use. kubeadm's "as it comes" is 0s.
PERIOD = re.compile(r"^( +minSyncPeriod:) .*$", re.MULTILINE)


class Proxies(Cluster):
    """The part of the API that tells about kube-proxies."""

    def config(self) -> str:
        """What every kube-proxy is started with; empty if the cluster has none of kubeadm's."""
        return self.config_map(*CONFIG)

    def set_config(self, text: str) -> None:
        """Change it, for those that start from now on."""
        self.set_config_map(*CONFIG, text)

    def proxies(self) -> list[Object]:
        """Their pods that are not about to go, by node."""
        items = self._get(PODS, labelSelector=SELECTOR)["items"]
        staying = [pod for pod in items if not of(pod, "metadata", "deletionTimestamp")]
        return sorted(staying, key=lambda pod: str(of(pod, "spec", "nodeName", default="")))

    def period_s(self, pod: Object) -> float | None:
        """With which period one runs, from itself; None if it does not answer."""
        path = f"{PODS}/{pod['metadata']['name']}:10249/proxy/configz"
        try:
            running = self._get(path)["kubeproxy.config.k8s.io"]
        except ApiException as error:
            if error.status in {404, 500, 502, 503, 504}:
                return None
            raise
        # Before Kubernetes 1.32 each way to write rules had its own.
        text = running.get("MinSyncPeriod") or of(running, "IPTables", "MinSyncPeriod", default="")
        return seconds(str(text)) if text else None

    def end(self, pod: Object) -> None:
        """Delete one; its DaemonSet puts another in its place."""
        self._client.request("delete", f"{PODS}/{pod['metadata']['name']}", _request_timeout=10)


def written_in(text: str, period_ms: int | None) -> str:
    """The configuration with this period and all else as it was, to the byte; None is Kubernetes' own."""
    return PERIOD.sub(rf"\1 {'0s' if period_ms is None else f'{period_ms}ms'}", text)


def answers(cluster: Proxies, *, wait_s: float) -> list[tuple[Object, float | None]]:
    """Every kube-proxy with its period; one whose node has only just come back may need a while to answer."""
    found: list[tuple[Object, float | None]] = []

    def missing() -> str:
        found[:] = [(pod, cluster.period_s(pod)) for pod in cluster.proxies()]
        return "an answer" if any(period_s is None for _, period_s in found) else ""

    until(missing, wait_s)
    return found


def replace(cluster: Proxies, pod: Object, wanted_s: float, timeout_s: float) -> str:
    """Put another in a kube-proxy's place; what is missing if it takes too long, and else nothing."""
    node = pod["spec"]["nodeName"]
    cluster.end(pod)

    def missing() -> str:
        there = [one for one in cluster.proxies() if of(one, "spec", "nodeName") == node]
        fresh = [one for one in there if one["metadata"]["uid"] != pod["metadata"]["uid"]]
        if not any(is_ready(one) for one in fresh):
            return "none is ready in its place"
        if any(cluster.period_s(one) != wanted_s for one in fresh):
            return "the one in its place does not say that it runs as set"
        return ""

    return until(missing, timeout_s)


def work(module: AnsibleModule) -> Object:
    """Do as the arguments say; what the module returns, or under ``msg`` why it fails."""
    wanted_ms, timeout_s = module.params["min_sync_ms"], module.params["timeout_s"]
    if wanted_ms is not None and not 1 <= wanted_ms <= LONGEST_MS:
        return {"msg": f"min_sync_ms is {wanted_ms}: kube-proxy takes 1 to {LONGEST_MS}."}
    wanted_s = OWN_S if wanted_ms is None else wanted_ms / 1000
    cluster = Proxies(module.params["context"], module.params["kubeconfig"])
    text = cluster.config()
    if not text:
        return {"steps": [], "changed": False}
    if wanted_ms is not None and not PERIOD.search(text):
        return {
            "msg": "The ConfigMap kube-proxy of kube-system has no minSyncPeriod: kubeadm did not write it. "
            "Leave cluster_failure_detection out."
        }
    found = answers(cluster, wait_s=0 if module.check_mode else min(timeout_s, ANSWER_S))
    steps = []
    if (new := written_in(text, wanted_ms)) != text:
        if not module.check_mode:
            cluster.set_config(new)
        steps.append("the kube-proxies to come")
    for pod, period_s in found:
        if period_s == wanted_s:
            continue
        node = pod["spec"]["nodeName"]
        missing = "" if module.check_mode else replace(cluster, pod, wanted_s, timeout_s)
        if missing:
            see = f"kubectl --context {module.params['context']} -n kube-system describe pods -l {SELECTOR}"
            return {
                "msg": f"After {timeout_s} s the kube-proxy of {node} is not as set: {missing}. See `{see}`."
            }
        steps.append(f"the kube-proxy of {node}")
    before_s = max((period_s for _, period_s in found if period_s is not None), default=wanted_s)
    return {
        "steps": steps,
        "changed": bool(steps),
        "diff": {"before": f"min_sync_s: {before_s:g}\n", "after": f"min_sync_s: {wanted_s:g}\n"},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **reaching.ARGUMENTS,
            "min_sync_ms": {"type": "int"},
            "timeout_s": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    result = guarded(module, module.params["context"], lambda: work(module))
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
