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
