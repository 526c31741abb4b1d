"""``forgotten``: nodes that run, and that the cluster does not know any more: ``kubectl delete node``.

A kubelet makes its node known once, as it starts, and never again. Its node's pods are deleted meanwhile, and
its part of the pods' network may be another one afterwards: so the whole node is to start anew, not its
kubelet alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.kube.client import Api, items
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.objects import name_of
from failover_lab.nodes.driver import RUNNING, Driver
from failover_lab.nodes.incomplete import CREDENTIALS

if TYPE_CHECKING:
    import argparse


def forgotten(engine: Driver, known: set[str]) -> list[str]:
    """The names of those running containers of a profile that have joined once, and are no nodes any more.

    Args:
        engine: that has them.
        known: the names of the cluster's nodes.

    Raises:
        DriverError: the engine does not answer.
    """
    return sorted(
        one.name
        for one in engine.listed()
        if one.state == RUNNING and one.name not in known and engine.has(one.name, CREDENTIALS)
    )


def add_parser(commands: arguments.Commands) -> None:
    """Add ``forgotten`` to the command line."""
    parser = arguments.command(commands, "forgotten", run)
    nodes.add_options(parser)
    arguments.add_cluster(parser)


def run(options: argparse.Namespace) -> Answer:
    """Say which nodes run that the cluster does not know any more.

    Prints the name of each node of a minikube profile whose container runs and has joined the cluster
    once, and which the API does not list any more. One on each line.

    Raises:
        UserError: the cluster does not answer.
        DriverError: the engine does not.
    """
    try:
        known = items(Api(options.context, options.kubeconfig).request("get", "/api/v1/nodes"))
        engine = nodes.driver_of(options.driver, options.profile)
        names = forgotten(engine, set(map(name_of, known)))
    except RefusedError as refusal:
        raise UserError(f"the cluster does not tell its nodes: {refusal}") from refusal
    for name in names:
        print(name)
    return Answer({"nodes": names})
