"""For how long each node's kube-proxy gathers changes before it writes the node's rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from failover_lab.errors import UserError
from failover_lab.kube.client import items
from failover_lab.kube.cluster import Cluster
from failover_lab.kube.detection import seconds
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.objects import is_leaving, is_ready, name_of, of
from failover_lab.waiting import until

if TYPE_CHECKING:
    from failover_lab.kube.objects import Object

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
        staying = [pod for pod in items(self._get(PODS, labelSelector=SELECTOR)) if not is_leaving(pod)]
        return sorted(staying, key=lambda pod: str(of(pod, "spec", "nodeName", default="")))

    def period_s(self, pod: Object) -> float | None:
        """With which period one runs, from itself; None if it does not answer."""
        path = f"{PODS}/{name_of(pod)}:10249/proxy/configz"
        try:
            running = self._get(path)["kubeproxy.config.k8s.io"]
        except RefusedError as refusal:
            if refusal.status in {404, 500, 502, 503, 504}:
                return None
            raise
        # Before Kubernetes 1.32 each way to write rules had its own.
        text = running.get("MinSyncPeriod") or of(running, "IPTables", "MinSyncPeriod", default="")
        return seconds(str(text)) if text else None

    def end(self, pod: Object) -> None:
        """Delete one; its DaemonSet puts another in its place."""
        self.request("delete", f"{PODS}/{name_of(pod)}")


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


def set_period(
    cluster: Proxies, wanted_ms: int | None, *, context: str, timeout_s: float, check_mode: bool
) -> Object:
    """Have every kube-proxy run with this period; gives back what the module returns.

    Args:
        cluster: to ask and to change.
        wanted_ms: None for Kubernetes' own.
        context: its name, for messages.
        timeout_s: how long each single one may take to be replaced.
        check_mode: change nothing.

    Raises:
        UserError: the period cannot be, or one is not replaced in time.
    """
    if wanted_ms is not None and not 1 <= wanted_ms <= LONGEST_MS:
        raise UserError(f"min_sync_ms is {wanted_ms}: kube-proxy takes 1 to {LONGEST_MS}.")
    wanted_s = OWN_S if wanted_ms is None else wanted_ms / 1000
    text = cluster.config()
    if not text:
        return {"steps": []}
    if wanted_ms is not None and not PERIOD.search(text):
        raise UserError(
            "The ConfigMap kube-proxy of kube-system has no minSyncPeriod: kubeadm did not write it. "
            "Leave cluster_failure_detection out."
        )
    found = answers(cluster, wait_s=0 if check_mode else min(timeout_s, ANSWER_S))
    steps = []
    if (new := written_in(text, wanted_ms)) != text:
        if not check_mode:
            cluster.set_config(new)
        steps.append("the kube-proxies to come")
    for pod, period_s in found:
        if period_s == wanted_s:
            continue
        node = pod["spec"]["nodeName"]
        missing = "" if check_mode else replace(cluster, pod, wanted_s, timeout_s)
        if missing:
            see = f"kubectl --context {context} -n kube-system describe pods -l {SELECTOR}"
            raise UserError(
                f"After {timeout_s} s the kube-proxy of {node} is not as set: {missing}. See `{see}`."
            )
        steps.append(f"the kube-proxy of {node}")
    before_s = max((period_s for _, period_s in found if period_s is not None), default=wanted_s)
    return {
        "steps": steps,
        "changed": bool(steps),
        "diff": {"before": f"min_sync_s: {before_s:g}\n", "after": f"min_sync_s: {wanted_s:g}\n"},
    }
