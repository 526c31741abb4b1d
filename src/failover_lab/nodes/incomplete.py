"""``unjoined``: nodes that minikube has begun to make, and was ended before they joined the cluster.

minikube counts them as nodes, says nothing of any node while one of them lacks its keys, and has none of them
join later: it does so as it makes a machine, and never again. So the engine is asked, which also knows of
containers that have ended.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from failover_lab.door.answer import Answer
from failover_lab.nodes.docker import Engine, EngineError, unanswered

if TYPE_CHECKING:
    from failover_lab import arguments

# With this a kubelet makes itself known to the API. kubeadm leaves it to the kubelet to write it, as the last
# thing of a join; it is in the container, not on the node's disk.
CREDENTIALS = "/etc/kubernetes/kubelet.conf"


def unjoined(engine: Engine) -> list[str]:
    """The names of those containers of a profile that are no nodes of the cluster.

    Raises:
        EngineError: the engine does not answer.
    """
    return sorted(one.name for one in engine.listed() if not engine.has(one.name, CREDENTIALS))


def add_parser(commands: argparse._SubParsersAction[arguments.Parser]) -> None:
    """Add ``unjoined`` to the command line."""
    parser = commands.add_parser(
        "unjoined",
        help="say which nodes have never joined the cluster",
        description="Prints the name of each node of a minikube profile that is a container and no more: "
        "minikube was ended before the node had joined the cluster. One on each line.",
    )
    parser.add_argument("--profile", required=True, help="the minikube profile")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Answer:
    """Carry out ``unjoined``.

    Raises:
        UserError: the engine does not answer.
    """
    try:
        names = unjoined(Engine(options.profile))
    except EngineError as error:
        raise unanswered(error) from error
    for name in names:
        print(name)
    return Answer({"nodes": names})
