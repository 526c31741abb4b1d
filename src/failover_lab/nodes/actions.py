"""``node``: what can be done to nodes, by any driver: kill, pause, cut off, stop the kubelet, and undo each.

Each says when it happened, in seconds since 1970 by this machine's clock, which is the nodes' as well.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.nodes import hampered, processes, start_nodes
from failover_lab.nodes.driver import Driver, DriverError, NodeState, Rebooting
from failover_lab.nodes.script import carried_out
from failover_lab.nodes.state import INTERFACE, PREFERENCE
from failover_lab.waiting import until

#: Which ways of the network each direction cuts.
DIRECTIONS = {"both": "ingress egress", "incoming": "ingress", "outgoing": "egress"}
# The engine itself gives a killed container 12 s to end.
_END_S = 20.0
_LOOK_S = 0.05
_KUBELET_S = 60.0
# In the node's own network namespace, before anything else in its kernel: MetalLB answers to ARP by a raw
# socket, which iptables never sees. One byte code for every packet: drop it (2 is TC_ACT_SHOT). Given:
# interface, preference, ways.
_CUT = r"""
tc qdisc show dev "$1" | grep -q clsact || tc qdisc add dev "$1" clsact
date +%s.%N
for way in $3; do
    tc filter add dev "$1" "$way" pref "$2" protocol all bpf da bytecode '1,6 0 0 2,'
done
"""
# Ours alone: what others have there stays, and the queue that holds such rules goes if it is empty then.
_JOIN = r"""
for way in ingress egress; do tc filter del dev "$1" "$way" pref "$2" 2>/dev/null || true; done
[ -n "$(tc filter show dev "$1" ingress; tc filter show dev "$1" egress)" ] || tc qdisc del dev "$1" clsact
"""
_STOP_KUBELET = r"""
date +%s.%N
systemctl stop kubelet
tries=0
while
    state=$(systemctl is-active kubelet || true)
    case $state in inactive | failed) false ;; esac
do
    [ $((tries += 1)) -le 200 ] || { echo "it is $state"; exit 1; }
    sleep 0.1
done
"""

Row = dict[str, Any]


def same(driver: Driver, name: str, options: argparse.Namespace) -> Row:
    """See that a node is the one that was chosen, and runs.

    Raises:
        UserError: it is not, or does not.
    """
    found = driver.inspect(name)
    another = bool(options.id) and found.id not in options.id
    if found.state is NodeState.RUNNING and not another:
        return {}
    what = str(found.state)
    if found.state is NodeState.ABSENT:
        what = "gone"
    elif another:
        what = "another one"
    raise UserError(
        f"{name} has vanished since it was chosen: its {driver.machine} is {what}. Nothing was done to it; "
        "`ansible-playbook status.yml` shows the lab, recover.yml brings nodes back."
    )


def kill(driver: Driver, name: str, _options: argparse.Namespace) -> Row:
    """End everything in a node at once, and see that it has ended.

    Raises:
        UserError: it has not.
    """
    began = time.time()
    if driver.inspect(name).state is NodeState.STOPPED:
        return {}
    driver.kill(name)

    def running() -> NodeState | None:
        state = driver.inspect(name).state
        return None if state is NodeState.STOPPED else state

    if state := until(running, _END_S, every_s=_LOOK_S, over=lambda state: state is NodeState.ABSENT):
        raise UserError(f"{name} was killed and has not ended: it is {state}")
    # Where nobody keeps an account of it: it was asked for then, and is a matter of milliseconds.
    return {"at": driver.ended_at(name, began) or began}


def reboot(driver: Driver, name: str, options: argparse.Namespace) -> Row:
    """Have a node go without a word, and come back.

    Where nobody but this machine can start it, that is done after a while; if it is not, it is found as one
    that was killed.

    Raises:
        UserError: it does not end.
    """
    if isinstance(driver, Rebooting):
        return {"at": driver.reboot(name)}
    row = kill(driver, name, options)
    at = row.get("at", time.time())
    time.sleep(max(0.0, at + options.away - time.time()))
    return {"at": at, "since": start_nodes.start(driver, [name])[name]}


def pause(driver: Driver, name: str, _options: argparse.Namespace) -> Row:
    """Stop every process of a node: its kernel still takes connections and answers to ARP.

    Raises:
        UserError: they go on.
    """
    began = time.time()
    driver.pause(name)
    at = driver.paused_at(name, began)
    # By the account it was: somebody may have ended it since, as a watchdog does.
    if at is None and (state := driver.inspect(name).state) is not NodeState.PAUSED:
        raise UserError(f"{name} was paused, and it is {state}")
    return {"at": at or began}


def resume(driver: Driver, name: str, _options: argparse.Namespace) -> Row:
    """Let the processes of a node go on."""
    driver.resume(name)
    return {}


def cut_off(driver: Driver, name: str, options: argparse.Namespace) -> Row:
    """Drop every packet at the node's own interface, at the lowest layer.

    Raises:
        UserError: its kernel does not take that.
    """
    ways = DIRECTIONS[options.direction]
    try:
        said = carried_out(driver, name, _CUT, options.interface, str(PREFERENCE), ways)
        return {"at": float(said[0])}
    except (DriverError, ValueError, IndexError) as error:
        raise UserError(
            f"{name} could not be cut off ({error}): its kernel needs the modules sch_ingress and cls_bpf, "
            "and the node the command tc. fault_kind=freeze needs neither."
        ) from error


def join(driver: Driver, name: str, options: argparse.Namespace) -> Row:
    """Let packets through again; one that was started anew has no rules any more, and stays as it is."""
    carried_out(driver, name, _JOIN, options.interface, str(PREFERENCE))
    return {}


def stop_kubelet(driver: Driver, name: str, _options: argparse.Namespace) -> Row:
    """Stop a node's kubelet, while its pods go on.

    Raises:
        UserError: it runs on.
    """
    try:
        return {"at": float(carried_out(driver, name, _STOP_KUBELET, within_s=_KUBELET_S)[0])}
    except (DriverError, ValueError, IndexError) as error:
        raise UserError(f"The kubelet of {name} did not stop: {error}.") from error


def start_kubelet(driver: Driver, name: str, _options: argparse.Namespace) -> Row:
    """Start a node's kubelet."""
    carried_out(driver, name, "systemctl start kubelet", within_s=_KUBELET_S)
    return {}


Action = Callable[[Driver, str, argparse.Namespace], Row]
ACTIONS: dict[str, Action] = {
    "same": same,
    "kill": kill,
    "pause": pause,
    "resume": resume,
    "cut-off": cut_off,
    "join": join,
    "stop-kubelet": stop_kubelet,
    "start-kubelet": start_kubelet,
    "reboot": reboot,
    "drop-some": hampered.drop_some,
    "drop-none": hampered.drop_none,
    "slow-down": hampered.slow_down,
    "speed-up": hampered.speed_up,
    "kill-first": processes.kill_first,
    "kill-sandbox": processes.kill_sandbox,
}
START = "start"


def do(driver: Driver, action: str, names: list[str], options: argparse.Namespace) -> list[Row]:
    """Do one thing to each of these nodes; a row for each, with its ``name``.

    Raises:
        UserError: it could not be done to one of them.
    """
    try:
        if action == START:
            return [{"name": name, "since": at} for name, at in start_nodes.start(driver, names).items()]
        # A zone is lost at once: nobody waits for the end of one node before the next is struck.
        with ThreadPoolExecutor(max(1, len(names)), "node") as executor:
            rows = executor.map(lambda name: {"name": name} | ACTIONS[action](driver, name, options), names)
            return list(rows)
    except DriverError as error:
        raise UserError(f"{error.who} cannot {action} {', '.join(names)}: {error}") from error


def add_identities(parser: argparse.ArgumentParser) -> None:
    """Add what ``same`` goes by, whatever a node is called."""
    parser.add_argument(
        "--id",
        default=[],
        type=arguments.names,
        metavar="X,Y",
        help="same: each has to be one of these, whatever it is called; default: any",
    )


def add_parser(commands: arguments.Commands) -> None:
    """Add ``node`` to the command line."""
    parser = arguments.command(commands, "node", run)
    parser.add_argument("action", choices=[*ACTIONS, START])
    nodes.add_options(parser)
    parser.add_argument("--nodes", required=True, type=arguments.names, metavar="X,Y")
    add_identities(parser)
    parser.add_argument("--direction", choices=DIRECTIONS, default="both", help="cut-off: default both")
    parser.add_argument(
        "--percent",
        type=arguments.number(0.1, 100, " %"),
        default=10.0,
        metavar="N",
        help="drop-some: of all packets; slow-down: of one processor; default 10",
    )
    parser.add_argument(
        "--containers",
        type=processes.targets,
        default=[],
        metavar="UID=ID+ID,…",
        help="kill-first, kill-sandbox: for each pod the ids of its containers, the application's first",
    )
    arguments.add_seconds(
        parser, "--away", 5.0, "reboot: how long it is off, where it does not reboot by itself", high=60
    )
    parser.add_argument("--interface", default=INTERFACE, help=f"of the nodes, default {INTERFACE}")


def run(options: argparse.Namespace) -> Answer:
    """Kill, pause, cut off, hamper or start nodes, stop their kubelets, and undo it.

    Does one thing to nodes, by the driver that reaches them, and sees that it is done. Prints a line of
    JSON for each: its name, and when that was.
    """
    driver = nodes.driver_of(options.driver, options.profile)
    rows = do(driver, options.action, options.nodes, options)
    for row in rows:
        print(json.dumps(row))
    return Answer({"nodes": rows}, changed=options.action != "same")
