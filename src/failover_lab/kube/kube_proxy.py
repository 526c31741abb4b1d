"""How each node's kube-proxy writes the node's rules: by which of the kernel's means, and how soon."""

from __future__ import annotations

import re
from dataclasses import dataclass
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

MODES = IPTABLES, NFTABLES = ("iptables", "nftables")
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
# kubeadm's "as it comes" is nothing in quotation marks.
MODE = re.compile(r"^mode: \"?([a-z]*)\"?$", re.MULTILINE)


@dataclass(frozen=True)
class Writing:
    """How one writes its node's rules.

    Attributes:
        mode: one of ``MODES``, or another that somebody has set.
        period_s: for how long it gathers changes before it writes.
    """

    mode: str = IPTABLES
    period_s: float = OWN_S

    def __str__(self) -> str:
        """As lines for a comparison."""
        return f"mode: {self.mode}\nmin_sync_s: {self.period_s:g}\n"


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

    def writing(self, pod: Object) -> Writing | None:
        """How one writes, from itself; None if it does not answer."""
        path = f"{PODS}/{name_of(pod)}:10249/proxy/configz"
        try:
            running = self._get(path)["kubeproxy.config.k8s.io"]
        except RefusedError as refusal:
            if refusal.status in {404, 500, 502, 503, 504}:
                return None
            raise
        # Before Kubernetes 1.32 each way to write rules had its own.
        text = running.get("MinSyncPeriod") or of(running, "IPTables", "MinSyncPeriod", default="")
        return Writing(running.get("Mode") or IPTABLES, seconds(str(text))) if text else None

    def end(self, pod: Object) -> None:
        """Delete one; its DaemonSet puts another in its place."""
        self.request("delete", f"{PODS}/{name_of(pod)}")


def written_in(text: str, mode: str, period_ms: int | None) -> str:
    """The configuration with these and all else as it was, to the byte; no period is Kubernetes' own."""
    there = MODE.search(text)
    if there is not None and (there[1] or IPTABLES) != mode:
        text = MODE.sub('mode: ""' if mode == IPTABLES else f"mode: {mode}", text)
    return PERIOD.sub(rf"\1 {'0s' if period_ms is None else f'{period_ms}ms'}", text)


def answers(cluster: Proxies, *, wait_s: float) -> list[tuple[Object, Writing | None]]:
    """What every kube-proxy says; one whose node has only just come back may need a while to answer."""
    found: list[tuple[Object, Writing | None]] = []

    def missing() -> str:
        found[:] = [(pod, cluster.writing(pod)) for pod in cluster.proxies()]
        return "an answer" if any(writing is None for _, writing in found) else ""

    until(missing, wait_s)
    return found


def replace(cluster: Proxies, pod: Object, wanted: Writing, timeout_s: float) -> str:
    """Put another in a kube-proxy's place; what is missing if it takes too long, and else nothing."""
    node = pod["spec"]["nodeName"]
    cluster.end(pod)

    def missing() -> str:
        there = [one for one in cluster.proxies() if of(one, "spec", "nodeName") == node]
        fresh = [one for one in there if one["metadata"]["uid"] != pod["metadata"]["uid"]]
        if not any(is_ready(one) for one in fresh):
            return "none is ready in its place"
        if any(cluster.writing(one) != wanted for one in fresh):
            return "the one in its place does not say that it runs as set"
        return ""

    return until(missing, timeout_s)


def _check(text: str, mode: str, period_ms: int | None) -> None:
    """Complain of what the configuration has no place for.

    Raises:
        UserError: it has none.
    """
    for wanted, place, name, setting in (
        (period_ms is not None, PERIOD, "minSyncPeriod", "cluster_failure_detection"),
        (mode != IPTABLES, MODE, "mode", "cluster_kube_proxy_mode"),
    ):
        if wanted and not place.search(text):
            raise UserError(
                f"The ConfigMap kube-proxy of kube-system has no {name}: kubeadm did not write it. "
                f"Leave {setting} out."
            )


def set_writing(
    cluster: Proxies,
    *,
    mode: str,
    period_ms: int | None,
    context: str,
    timeout_s: float,
    check_mode: bool,
) -> Object:
    """Have every kube-proxy write like this; gives back what the module returns.

    Args:
        cluster: to ask and to change.
        mode: one of ``MODES``.
        period_ms: for how long it gathers changes; None for Kubernetes' own.
        context: its name, for messages.
        timeout_s: how long each single one may take to be replaced.
        check_mode: change nothing.

    Raises:
        UserError: it cannot be, or one is not replaced in time.
    """
    if period_ms is not None and not 1 <= period_ms <= LONGEST_MS:
        raise UserError(f"min_sync_ms is {period_ms}: kube-proxy takes 1 to {LONGEST_MS}.")
    wanted = Writing(mode, OWN_S if period_ms is None else period_ms / 1000)
    text = cluster.config()
    if not text:
        return {"steps": []}
    _check(text, mode, period_ms)
    found = answers(cluster, wait_s=0 if check_mode else min(timeout_s, ANSWER_S))
    steps = []
    if (new := written_in(text, mode, period_ms)) != text:
        if not check_mode:
            cluster.set_config(new)
        steps.append("the kube-proxies to come")
    others = [(pod, writing) for pod, writing in found if writing != wanted]
    for pod, _ in others:
        node = pod["spec"]["nodeName"]
        missing = "" if check_mode else replace(cluster, pod, wanted, timeout_s)
        if missing:
            see = f"kubectl --context {context} -n kube-system describe pods -l {SELECTOR}"
            raise UserError(
                f"After {timeout_s} s the kube-proxy of {node} is not as set: {missing}. See `{see}`."
            )
        steps.append(f"the kube-proxy of {node}")
    before = next((writing for _, writing in others if writing is not None), wanted)
    return {
        "steps": steps,
        "changed": bool(steps),
        "diff": {"before": str(before), "after": str(wanted)},
    }
