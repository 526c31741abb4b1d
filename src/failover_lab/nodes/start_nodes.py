"""``start-nodes``: start nodes that have ended, and tell them what the engine does not.

The engine gives a container that it starts a new /etc/hosts, without the names that minikube had written into
the one before. A kubelet that does not find the control plane by its name waits, twice as long each time, and
its pods with it. So the names are written at once, before it asks. Everything else that minikube once set up
in a node is on its disk.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.nodes.driver import ENDED, RUNNING, Driver, DriverError
from failover_lab.nodes.script import ANSWER_S, until_over
from failover_lab.nodes.state import CONTROL_PLANE

if TYPE_CHECKING:
    from collections.abc import Collection

_ANSWER_S = ANSWER_S
# Both wait for a word first: what is written before anybody listens may be lost.
_WHICH = r"""
read -r _
grep '\.minikube\.internal$' /etc/hosts
echo over
"""
# The file is the engine's, mounted there: it is written into, not replaced. A kubelet that is there already
# may have asked before the names were. One that comes with the node is waited for: to whoever looks next, the
# node lacks nothing.
_TELL = r"""
read -r _
others=$(grep -v '\.minikube\.internal$' /etc/hosts)
printf '%s\n%s\n' "$others" "$1" >/etc/hosts
case $(systemctl is-active kubelet 2>/dev/null) in
    activ*) systemctl restart kubelet ;;
esac
tries=0
until systemctl is-active --quiet kubelet 2>/dev/null || [ $((tries += 1)) -gt 100 ]; do sleep 0.1; done
echo over
"""


def said(engine: Driver, name: str, argv: list[str]) -> list[str]:
    """The lines that a script in a node writes until it says that it is over.

    Raises:
        DriverError: the node does not run, or has ended or frozen meanwhile.
    """
    return until_over(engine, name, argv, _ANSWER_S)[0]


def told(engine: Driver, name: str) -> list[str]:
    """What minikube wrote into a node's /etc/hosts: a line for each name; none if it knows no control plane.

    Raises:
        DriverError: the node does not run, or has ended or frozen meanwhile.
    """
    lines = said(engine, name, ["sh", "-c", _WHICH])
    return lines if any(CONTROL_PLANE in line for line in lines) else []


def start(engine: Driver, names: Collection[str] | None = None) -> dict[str, str]:
    """Start nodes, and tell each what the others are called; one that runs already is told.

    Args:
        engine: that has the nodes.
        names: which; None for every node that has ended, or runs and was not told.

    Returns:
        For each since when it runs, as the engine writes it.

    Raises:
        DriverError: the engine does not answer, or one of them cannot be started.
        UserError: no other node knows what they are called. Nothing was started.
    """
    listed = engine.listed()
    if not getattr(engine, "forgets_names", True):
        names = [one.name for one in listed if one.state in ENDED] if names is None else names
        return {name: _started(engine, name) for name in names}
    known = {
        one.name: told(engine, one.name)
        for one in listed
        if one.state == RUNNING and (names is None or one.name not in names)
    }
    if names is None:
        names = [one.name for one in listed if one.state in ENDED or known.get(one.name) == []]
    hosts = next(filter(None, known.values()), None)
    if names and hosts is None:
        raise UserError(
            "no node that runs knows where the control plane is: `docker stop` all of them, and "
            "`ansible-playbook setup.yml` starts them"
        )
    since = {}
    for name in names:
        engine.start(name)
        said(engine, name, ["sh", "-c", _TELL, "sh", "\n".join(hosts or [])])
        since[name] = engine.inspect(name).started
    return since


def _started(engine: Driver, name: str) -> str:
    """Start a node that lacks nothing afterwards; since when it runs."""
    engine.start(name)
    return engine.inspect(name).started


def add_parser(commands: arguments.Commands) -> None:
    """Add ``start-nodes`` to the command line."""
    parser = arguments.command(commands, "start-nodes", run)
    nodes.add_options(parser)
    parser.add_argument(
        "--nodes",
        type=arguments.names,
        metavar="X,Y",
        help="which; without it, every node that has ended, or runs and does not know the control plane",
    )


def run(options: argparse.Namespace) -> Answer:
    """Start nodes that have ended, and tell them where the control plane is.

    Starts the containers of nodes of a minikube profile, and writes into each the names that minikube had
    written there, which the engine forgets. Prints a line of JSON for each: its name, and since when it
    runs.

    Raises:
        UserError: the engine does not answer, or cannot start one of them.
    """
    try:
        since = start(nodes.driver_of(options.driver, options.profile), options.nodes)
    except DriverError as error:
        which = ", ".join(options.nodes or [f"the nodes of {options.profile}"])
        raise UserError(f"{error.who} cannot start {which}: {error}") from error
    rows = [{"name": name, "since": instant} for name, instant in since.items()]
    for row in rows:
        print(json.dumps(row))
    return Answer({"nodes": rows}, changed=bool(rows))
