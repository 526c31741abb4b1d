"""The processes of a pod as its node has them: its application's first one, and the one of its sandbox.

They are found by their control groups, whatever the container runtime is and whether its own command is
there: the path of a group has the container's id, and that of a pod's groups the pod's UID.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.nodes.driver import DriverError
from failover_lab.nodes.script import carried_out

if TYPE_CHECKING:
    from failover_lab.nodes.driver import Driver

_TARGET = re.compile(r"([-0-9a-zA-Z]+)=([0-9a-f]{12,}(?:\+[0-9a-f]{12,})*)")
_KILL_S = 30.0
# The oldest process of a group is its first: what `kubectl exec` or a probe has started is younger. All are
# found before the first is killed. Who is killed is not gone before its parent has taken notice: a zombie is
# dead.
_HEAD = r"""
oldest() {
    while read -r file; do
        pid=${file#/proc/}; pid=${pid%/cgroup}
        awk -v pid="$pid" '{ sub(/.*\) /, ""); print $20, pid }' "/proc/$pid/stat" 2>/dev/null || true
    done | sort -n -k1,1 -k2,2 | head -n 1 | cut -d ' ' -f 2
}
in_group() { grep -l "$@" -- /proc/[0-9]*/cgroup 2>/dev/null || true; }
lives() { state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) && case $state in [ZX]*) false ;; esac; }
victims=
"""
_TAIL = r"""
date +%s.%N
kill -KILL $victims
for pid in $victims; do
    tries=0
    while lives "$pid"; do
        [ $((tries += 1)) -le 200 ] || { echo "process $pid lives on"; exit 1; }
        sleep 0.05
    done
done
"""
# Given: for each pod the id of its application's container, and those of all its containers, with + between.
_KILL_FIRST = (
    _HEAD
    + r"""
for pod in "$@"; do
    ids=${pod#*=}
    pid=$(in_group -e "${ids%%+*}" | oldest)
    [ -n "$pid" ] || { echo "the container ${ids%%+*} has no process"; exit 1; }
    victims="$victims $pid"
done
"""
    + _TAIL
)
# systemd writes a UID with underscores. What is in no container that the cluster knows of holds the pod.
_KILL_SANDBOX = (
    _HEAD
    + r"""
for pod in "$@"; do
    uid=${pod%%=*}
    known=$(echo "${pod#*=}" | sed 's/+/\\|/g')
    pid=$(in_group -e "pod$uid" -e "pod$(echo "$uid" | tr - _)" | while read -r file; do
        grep -q "$known" "$file" 2>/dev/null || echo "$file"
    done | oldest)
    [ -n "$pid" ] || { echo "the pod $uid has no process of a sandbox"; exit 1; }
    victims="$victims $pid"
done
"""
    + _TAIL
)


@dataclass(frozen=True)
class Target:
    """One pod's containers.

    Attributes:
        uid: of the pod.
        containers: their ids, that of the application first.
    """

    uid: str
    containers: tuple[str, ...]

    @property
    def word(self) -> str:
        """As a program in the node is told."""
        return f"{self.uid}={'+'.join(self.containers)}"


def targets(text: str) -> list[Target]:
    """A type for ``UID=ID+ID,…``."""
    result = []
    for word in filter(None, text.split(",")):
        match = _TARGET.fullmatch(word)
        if match is None:
            raise argparse.ArgumentTypeError(f"{word!r} is not UID=ID+ID")
        result.append(Target(match[1], tuple(match[2].split("+"))))
    return result


def _killed(
    driver: Driver, name: str, program: str, options: argparse.Namespace, whose: str
) -> dict[str, Any]:
    if not options.containers:
        raise UserError(f"nobody says of which pods on {name} {whose} is to be killed")
    try:
        words = [target.word for target in options.containers]
        return {"at": float(carried_out(driver, name, program, *words, within_s=_KILL_S)[0])}
    except (DriverError, ValueError, IndexError) as error:
        raise UserError(f"On {name}, {whose} could not be killed: {error}.") from error


def kill_first(driver: Driver, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """SIGKILL to the first process of each pod's application.

    Raises:
        UserError: there is none, or it lives on.
    """
    return _killed(driver, name, _KILL_FIRST, options, "the first process of an application")


def kill_sandbox(driver: Driver, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """SIGKILL to the process that holds each pod's namespaces.

    Raises:
        UserError: there is none, or it lives on.
    """
    return _killed(driver, name, _KILL_SANDBOX, options, "the process of a pod's sandbox")
