"""``start-nodes``: start nodes that have ended, and tell them what the engine does not.

The engine gives a container that it starts a new /etc/hosts, without the names that minikube had written into
the one before. A kubelet that does not find the control plane by its name waits, twice as long each time, and
its pods with it. So the names are written at once, before it asks. Everything else that minikube once set up
in a node is on its disk.
"""

from __future__ import annotations

import argparse
import json
import threading
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.errors import UserError
from failover_lab.watchdog.engine import Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Collection

RUNNING = "running"
# Of a node that answers, far more than it needs.
_ANSWER_S = 20.0
_OVER = "over"
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


def said(engine: Engine, name: str, argv: list[str]) -> list[str]:
    """The lines that a script in a node writes until it says that it is over.

    Raises:
        EngineError: the node does not run, or has ended or frozen meanwhile.
    """
    shell = engine.shell(name, argv)
    late = threading.Timer(_ANSWER_S, shell.close)
    late.start()
    try:
        shell.write("now")
        lines: list[str] = []
        for line in shell.lines():
            if line == _OVER:
                return lines
            lines.append(line)
    except OSError as error:
        raise EngineError(f"{name} has ended") from error
    finally:
        late.cancel()
        shell.close()
    raise EngineError(f"{name} has ended, or says nothing")


def host_names(engine: Engine, but: Collection[str]) -> str:
    """What minikube wrote into a node's /etc/hosts: a line for each name.

    Args:
        engine: that has the nodes.
        but: nodes that are not asked.

    Raises:
        EngineError: the engine does not answer.
        UserError: no other node that runs has such names.
    """
    for one in engine.listed():
        if one.state != RUNNING or one.name in but:
            continue
        lines = said(engine, one.name, ["sh", "-c", _WHICH])
        if any("control-plane.minikube.internal" in line for line in lines):
            return "\n".join(lines)
    raise UserError(
        "no node that runs knows where the control plane is: `ansible-playbook setup.yml` starts all of them"
    )


def start(engine: Engine, names: Collection[str]) -> dict[str, str]:
    """Start nodes, and tell each what the others are called; one that runs already is told.

    Returns:
        For each since when it runs, as the engine writes it.

    Raises:
        EngineError: the engine does not answer, or one of them cannot be started.
        UserError: nobody knows what the others are called. Nothing was started.
    """
    hosts = host_names(engine, names)
    since = {}
    for name in names:
        engine.start(name)
        said(engine, name, ["sh", "-c", _TELL, "sh", hosts])
        since[name] = engine.inspect(name).started
    return since


def add_parser(commands: argparse._SubParsersAction[arguments.Parser]) -> None:
    """Add ``start-nodes`` to the command line."""
    parser = commands.add_parser(
        "start-nodes",
        help="start nodes that have ended, and tell them where the control plane is",
        description="Starts the containers of nodes of a minikube profile, and writes into each the names "
        "that minikube had written there, which the engine forgets. Prints a line of JSON for each: its "
        "name, and since when it runs.",
    )
    parser.add_argument("--profile", required=True, help="the minikube profile")
    parser.add_argument("--nodes", required=True, type=arguments.names, metavar="X,Y")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``start-nodes``.

    Raises:
        UserError: the engine does not answer, or cannot start one of them.
    """
    try:
        since = start(Engine(options.profile), options.nodes)
    except EngineError as error:
        raise UserError(f"the container engine cannot start {', '.join(options.nodes)}: {error}") from error
    for name, instant in since.items():
        print(json.dumps({"name": name, "since": instant}))
    return 0
