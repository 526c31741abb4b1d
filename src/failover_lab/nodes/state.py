"""``nodes``: what state each node of a profile is in, as the engine and the node itself say."""

from __future__ import annotations

import argparse
import concurrent.futures
import json
from typing import Any

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer
from failover_lab.nodes import symptoms
from failover_lab.nodes.driver import RUNNING, Driver, DriverError
from failover_lab.nodes.script import answers

#: How the lab's own rules in a node are told from everybody else's: their preference, which nothing else has.
PREFERENCE = 3713
# And those that drop some packets, from those that drop all.
LOSS_PREFERENCE = PREFERENCE + 1
#: And its limits of processors: by their period, in microseconds, which nobody else chooses.
PERIOD_US = 37130
#: Finds the group of all pods of a node, by either version of cgroups and either driver of the kubelet's.
PODS_GROUPS = r"""
ours=PERIOD
pods_groups() {
    for at in /sys/fs/cgroup /sys/fs/cgroup/* /sys/fs/cgroup/*/*; do
        for group in "$at/kubepods" "$at/kubepods.slice" "$at"/*-kubepods.slice; do
            if [ -e "$group/cpu.max" ] || [ -e "$group/cpu.cfs_quota_us" ]; then echo "$group"; fi
        done
    done
}
# Of version 1, in the words of version 2.
limit() { cat "$1/cpu.max" 2>/dev/null || echo "$(cat "$1/cpu.cfs_quota_us") $(cat "$1/cpu.cfs_period_us")"; }
""".replace("PERIOD", str(PERIOD_US))
INTERFACE = "eth0"
# A node that freezes as it is asked must not hold up everybody else.
_ANSWER_S = 10.0
# The name by which a kubelet finds the control plane. minikube writes it down in a node that it starts, as
# does `start-nodes`; the engine alone does not.
CONTROL_PLANE = "control-plane.minikube.internal"
#: Has a node tell of itself, given its interface, the preference of the lab's filters, the name of the
#: control plane, and the kubelet's unit.
LOOK = (
    PODS_GROUPS
    + r"""
cut() { tc filter show dev "$1" "$2" pref "$3" 2>/dev/null | grep -q . && echo true || echo false; }
nameless() { grep -qF "$1" /etc/hosts && echo false || echo true; }
slow() {
    for group in $(pods_groups); do
        case $(limit "$group") in max\ * | -1\ *) ;; *" $ours") echo true; return ;; esac
    done
    echo false
}
lossy() { [ "$(cut "$1" ingress "$2")$(cut "$1" egress "$2")" != falsefalse ] && echo true || echo false; }
printf '{"lossy": %s, "slow": %s, ' "$(lossy "$1" "$(($2 + 1))")" "$(slow)"
printf '"incoming": %s, "outgoing": %s, "kubelet": "%s", "nameless": %s, "half_open_s": %s}\n' \
  "$(cut "$1" ingress "$2")" "$(cut "$1" egress "$2")" "$(systemctl is-active "${4:-kubelet}" 2>/dev/null)" \
  "$(nameless "$3")" \
  "$(cat /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_syn_sent 2>/dev/null || echo null)"
"""
)

# It waits for a word first: what is written before anybody listens may be lost.
_QUESTION = f"\nread -r _{LOOK}"

Row = dict[str, Any]


def asked(engine: Driver, name: str, interface: str, preference: int) -> Row:
    """What a node that runs says of itself; empty if it does not.

    Args:
        engine: that has it.
        name: of the node.
        interface: whose filters are looked at.
        preference: the number of the lab's own filters among them.
    """
    question = ["sh", "-c", _QUESTION, "sh", interface, str(preference), CONTROL_PLANE]
    try:
        said = json.loads("".join(answers(engine, name, question, _ANSWER_S)) or "{}")
    except (DriverError, OSError, ValueError):
        # One that ends just now says nothing; its state says enough.
        return {}
    return said if isinstance(said, dict) else {}


def answered(engine: Driver, row: Row, interface: str, preference: int) -> Row:
    """What the engine knows of a node that runs, and what the node says of itself."""
    since = engine.inspect(row["name"]).started
    return {"since": since} | asked(engine, row["name"], interface, preference)


def look(engine: Driver, interface: str, preference: int) -> list[Row]:
    """A row for each node: ``name``, ``id``, ``state`` in the engine's word.

    Of those that run also ``since`` (when it was started, as the engine writes it), ``incoming`` and
    ``outgoing`` (whether the lab cuts that direction off), ``kubelet`` (systemd's word), ``nameless``
    (whether it was started but not told where the control plane is), ``lossy`` (whether the lab drops some of
    its packets), ``slow`` (whether the lab limits its pods' share of the processors) and ``half_open_s`` (how
    long the kernel remembers a connection that was not answered, in seconds).

    Raises:
        DriverError: the engine does not answer.
    """
    rows: list[Row] = [{"name": one.name, "id": one.id, "state": one.state} for one in engine.listed()]
    running = [row for row in rows if row["state"] == RUNNING]
    with concurrent.futures.ThreadPoolExecutor(max(1, len(running))) as threads:
        said = threads.map(lambda row: answered(engine, row, interface, preference), running)
        for row, answer in zip(running, said, strict=True):
            row.update(answer)
    if not getattr(engine, "forgets_names", True):
        # Its nodes find the control plane by themselves.
        for row in running:
            row["nameless"] = False
    return rows


def add_parser(commands: arguments.Commands) -> None:
    """Add ``nodes`` to the command line."""
    parser = arguments.command(commands, "nodes", run)
    nodes.add_options(parser)
    parser.add_argument("--interface", default=INTERFACE, help=f"of the nodes, default {INTERFACE}")
    parser.add_argument(
        "--preference",
        type=int,
        default=PREFERENCE,
        metavar="N",
        help=f"the number of the lab's own filters, default {PREFERENCE}",
    )


def run(options: argparse.Namespace) -> Answer:
    """Say what state the nodes' containers are in, and the nodes themselves.

    Prints a line of JSON for each node of a minikube profile: its container's state, and, if it runs,
    whether the lab cuts it off, its kubelet runs, and it knows where the control plane is. Which of that
    are symptoms of a fault is told too.
    """
    rows = look(nodes.driver_of(options.driver, options.profile), options.interface, options.preference)
    rows = [row | {"symptoms": symptoms.of(row)} for row in rows]
    for row in rows:
        print(json.dumps(row))
    return Answer({"nodes": rows})
