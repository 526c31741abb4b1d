"""``unjoined``: nodes that minikube has begun to make, and was ended before they joined the cluster.

minikube counts them as nodes, says nothing of any node while one of them lacks its keys, and has none of them
join later: it does so as it makes a machine, and never again. So the engine is asked, which also knows of
containers that have ended.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer

if TYPE_CHECKING:
    from failover_lab.nodes.driver import Driver

# With this a kubelet makes itself known to the API. kubeadm leaves it to the kubelet to write it, as the last
# thing of a join; it is in the container, not on the node's disk.
CREDENTIALS = "/etc/kubernetes/kubelet.conf"


def unjoined(engine: Driver) -> list[str]:
    """The names of those containers of a profile that are no nodes of the cluster.

    Raises:
        DriverError: the engine does not answer.
    """
    return sorted(one.name for one in engine.listed() if not engine.has(one.name, CREDENTIALS))


def add_parser(commands: arguments.Commands) -> None:
    """Add ``unjoined`` to the command line."""
    parser = arguments.command(commands, "unjoined", run)
    nodes.add_options(parser)


def run(options: argparse.Namespace) -> Answer:
    """Say which nodes have never joined the cluster.

    Prints the name of each node of a minikube profile that is a container and no more: minikube was ended
    before the node had joined the cluster. One on each line.

    Raises:
        DriverError: the engine does not answer.
    """
    names = unjoined(nodes.driver_of(options.driver, options.profile))
    for name in names:
        print(name)
    return Answer({"nodes": names})
