"""What each command does in Ansible's check mode: the one place that says so."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from failover_lab.door import former

if TYPE_CHECKING:
    from collections.abc import Sequence


class Check(Enum):
    """What becomes of a command in check mode."""

    #: It only reads, and runs as ever.
    RUNS = "runs"
    #: It does not run. If it did, something would be changed.
    WOULD_CHANGE = "would change something"
    #: It does not run. It waits for what others would have done, or only it could tell what it would change.
    MAY_CHANGE = "may change nothing"


#: By command, or by command and option where that makes the difference.
COMMANDS = {
    "application": Check.RUNS,
    "ask-api": Check.WOULD_CHANGE,
    "bases": Check.RUNS,
    "belongings": Check.RUNS,
    "belongings --remember": Check.MAY_CHANGE,
    "check-service": Check.RUNS,
    "check-spread": Check.MAY_CHANGE,
    "delete-pods": Check.WOULD_CHANGE,
    "driver": Check.RUNS,
    "engine-here": Check.RUNS,
    "evict": Check.WOULD_CHANGE,
    "facts": Check.WOULD_CHANGE,
    "forgotten": Check.RUNS,
    "htpasswd": Check.MAY_CHANGE,
    "kernel": Check.RUNS,
    "live": Check.WOULD_CHANGE,
    "live --where": Check.MAY_CHANGE,
    "mark": Check.WOULD_CHANGE,
    "no-proxy": Check.RUNS,
    "node": Check.WOULD_CHANGE,
    "node same": Check.RUNS,
    "nodes": Check.RUNS,
    "observe": Check.WOULD_CHANGE,
    "open-files": Check.RUNS,
    "own-context": Check.RUNS,
    "predict": Check.RUNS,
    "probe": Check.WOULD_CHANGE,
    "proxy-rules": Check.MAY_CHANGE,
    "proxy-rules --heard": Check.RUNS,
    "proxy-rules --program": Check.RUNS,
    "ready": Check.RUNS,
    "remote": Check.RUNS,
    "remediate": Check.WOULD_CHANGE,
    "replay": Check.MAY_CHANGE,
    "replay --export": Check.WOULD_CHANGE,
    "report": Check.WOULD_CHANGE,
    "roll-back": Check.MAY_CHANGE,
    "roll-out": Check.WOULD_CHANGE,
    "start-nodes": Check.MAY_CHANGE,
    "start-nodes --nodes": Check.WOULD_CHANGE,
    "stop": Check.MAY_CHANGE,
    "subnet": Check.RUNS,
    "trace": Check.WOULD_CHANGE,
    "uncordon": Check.MAY_CHANGE,
    "unjoined": Check.RUNS,
    "wait-answers": Check.MAY_CHANGE,
    "wait-restarts": Check.MAY_CHANGE,
    "wait-steady": Check.MAY_CHANGE,
    "wait-steady --mark": Check.WOULD_CHANGE,
    "wait-steady --mark-first": Check.WOULD_CHANGE,
    "watchdog": Check.WOULD_CHANGE,
    "watchdog --release": Check.MAY_CHANGE,
    "zones": Check.WOULD_CHANGE,
    "zones --dry-run": Check.RUNS,
}


def check(words: Sequence[str]) -> Check:
    """What becomes of a command in check mode; one that is not known is left to say so itself.

    Args:
        words: the command and its options, such as ``["evict", "--node=lab-m02"]``.
    """
    words, _ = former.present(words)
    command = words[0] if words else ""
    for word in words[1:]:
        special = COMMANDS.get(f"{command} {word.partition('=')[0]}")
        if special is not None:
            return special
    return COMMANDS.get(command, Check.RUNS)
