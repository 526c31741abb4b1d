"""What the frontier is made of: ways to lose a node, and ways to get over it."""

from __future__ import annotations

from dataclasses import dataclass

ROLES = {"announcer": "the node that announces the address", "other": "another node"}


@dataclass(frozen=True)
class Case:
    """One way to lose a node, and to get over it.

    Attributes:
        words: what it is, for the page.
        kind: of the fault.
        detection: `cluster_failure_detection`.
        recovery: `fault_recovery`.
        roles: which nodes are broken, each in a run of its own.
    """

    words: str
    kind: str = "kill"
    detection: str = "default"
    recovery: str = "automatic"
    roles: tuple[str, ...] = tuple(ROLES)


# The watchdog and the operator are shown against Kubernetes' own detection, so that what is gained is theirs;
# with `fast`, the orchestrator would be done before anybody could type.
CASES = {
    "fast": Case("killed; `cluster_failure_detection=fast`, the orchestrator alone", detection="fast"),
    "watchdog": Case("killed; Kubernetes' own detection, the lab's watchdog", recovery="watchdog"),
    "manual": Case(
        "killed; Kubernetes' own detection, somebody who types `recover.yml` as soon as the lab asks for it",
        recovery="manual",
    ),
    "default": Case("killed; Kubernetes' own detection, the orchestrator alone"),
    "freeze": Case(
        "paused (`fault_kind=freeze`); the lab's watchdog",
        kind="freeze",
        recovery="watchdog",
        roles=("announcer",),
    ),
    "partition": Case(
        "cut off both ways (`fault_kind=partition`); the lab's watchdog",
        kind="partition",
        recovery="watchdog",
        roles=("announcer",),
    ),
    "pod": Case(
        "one pod of it killed with no grace (`fault_kind=pod`); the orchestrator alone",
        kind="pod",
        roles=("other",),
    ),
}


@dataclass(frozen=True)
class Limits:
    """The most that the median of a case's runs should come to; None: there is no limit.

    Attributes:
        address: seconds after the fault; 0: the address is not to move.
        endpoints: seconds after the fault.
        capacity: seconds after the fault.
        tail: seconds after the endpoints, for which requests still went to a pod that was gone.
        lost: percent of the requests in the minute after the fault.
    """

    address: float | None = None
    endpoints: float | None = None
    capacity: float | None = None
    tail: float | None = None
    lost: float | None = None


# For kube-proxy, whose rules follow the list of endpoints.
RULES_S = 1
LIMITS = {
    ("fast", "announcer"): Limits(address=4, endpoints=7, capacity=15, tail=RULES_S, lost=9),
    ("fast", "other"): Limits(address=0, endpoints=7, capacity=15, tail=RULES_S, lost=4),
    ("watchdog", "announcer"): Limits(address=2, endpoints=2, capacity=6, tail=RULES_S, lost=2),
    ("watchdog", "other"): Limits(address=2, endpoints=2, capacity=6, tail=RULES_S, lost=2),
    ("freeze", "announcer"): Limits(address=3, endpoints=3, capacity=8, tail=RULES_S, lost=4),
    ("partition", "announcer"): Limits(address=3, endpoints=3, capacity=8, tail=RULES_S, lost=4),
    ("pod", "other"): Limits(address=0, endpoints=1, capacity=5, tail=0, lost=0.5),
}
