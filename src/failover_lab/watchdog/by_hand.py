"""``remediate``: an operator's work on a node that is lost, by hand and at once."""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer, no
from failover_lab.errors import UserError
from failover_lab.kube.errors import RefusedError
from failover_lab.nodes.driver import DriverError, NodeState
from failover_lab.run import marks
from failover_lab.run.layout import Lab
from failover_lab.watchdog.cluster import member
from failover_lab.watchdog.recorder import Recorder

if TYPE_CHECKING:
    from failover_lab.nodes.driver import Driver
    from failover_lab.watchdog.act import Outcome
    from failover_lab.watchdog.cluster import Api
    from failover_lab.watchdog.journal import Journal

_THREADS = 8
_BY = "an operator"


class OperatorsRecorder(Recorder):
    """Notes the operator's steps under the operator's name, and not on what ground a watchdog would act."""

    def __init__(self, out: Path | None) -> None:
        """Begin; ``out`` is the run's directory, if there is a run."""
        super().__init__(out)
        self.steps: list[str] = []

    def note(self, event: str, **details: str) -> None:
        """Write down that this has just happened."""
        if event != "dead":
            self.steps.append(self.line_of("", event, details))
            super().note(event, **details)

    @staticmethod
    def mark_of(event: str) -> str:
        """What it is called among a run's marks."""
        return f"operator_{event}"

    @staticmethod
    def line_of(at: str, event: str, details: dict[str, str]) -> str:  # noqa: ARG004  as that of all
        """How a step is told to whoever watches: it is done now, and nobody looks for its instant."""
        return " ".join([event, *(f"{key}={value}" for key, value in details.items())])


def others(api: Api, engine: Driver, node: str) -> list[str]:
    """The nodes that run, where flows may have to be cleared.

    Raises:
        UserError: the node must not be given away, or nobody says so.
    """
    try:
        members = {m.name: m for m in map(member, api.nodes())}
    except RefusedError as error:
        raise UserError(f"the cluster cannot be asked for its nodes: {error.account}") from error
    if node not in members:
        raise UserError(f"there is no node {node}; give one of {', '.join(sorted(members))}")
    controls = [name for name, m in members.items() if m.control_plane]
    if controls == [node]:
        raise UserError(f"{node} is the only control plane: without it nothing could take its place")
    containers = engine.containers()
    if node not in containers:
        raise UserError(f"{node} is no container of this engine, so nobody can make sure that it is dead")
    return sorted(
        name
        for name, state in containers.items()
        if name != node and name in members and state is NodeState.RUNNING
    )


async def give_away(
    node: str,
    running: list[str],
    *,
    api: Api,
    engine: Driver,
    recorder: Recorder,
    journal: Journal,
    namespace: str,
) -> Outcome:
    """Fence the node, mark it out of service, delete its pods, clear the flows to them."""
    from failover_lab.watchdog.act import GiveAway  # noqa: PLC0415  other commands do not pay for it
    from failover_lab.watchdog.judge import Ground  # noqa: PLC0415

    with concurrent.futures.ThreadPoolExecutor(_THREADS, "operator") as executor:
        giving = GiveAway(
            api=api,
            engine=engine,
            recorder=recorder,
            journal=journal,
            executor=executor,
            namespace=namespace,
            clear_flows=True,
            by=_BY,
        )
        # Whatever the node may be doing: the one ground on which a container that runs is ended.
        return await giving.run(node, Ground.SILENT, running)


def add_parser(commands: arguments.Commands) -> None:
    """Add ``remediate`` to the command line."""
    parser = arguments.command(commands, "remediate", run)
    parser.add_argument("--node", required=True, help="the node's name")
    nodes.add_options(parser)
    arguments.add_cluster(parser, context="of kubectl; default: that of the profile's name")
    parser.add_argument("--namespace", default="site", help="whose pods are given away (default site)")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="default: the lab's own")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a run's directory, for marks")


def run(options: argparse.Namespace) -> Answer:
    """End a node for certain and give its work away, by hand.

    Ends the node's container by SIGKILL, unless it has ended; marks the node out of service; deletes its
    pods of the namespace; clears other nodes' flows to them. `watchdog --release` takes the mark off once
    the node is back. Refused while a watchdog runs, and for the only control plane.
    """
    from failover_lab.watchdog import rights  # noqa: PLC0415
    from failover_lab.watchdog.act import Outcome  # noqa: PLC0415
    from failover_lab.watchdog.cluster import connect  # noqa: PLC0415
    from failover_lab.watchdog.journal import Journal, JournalError  # noqa: PLC0415
    from failover_lab.watchdog.only_one import only_one  # noqa: PLC0415

    lab = Lab(options.state_dir) if options.state_dir else Lab.of(options.profile)
    recorder = OperatorsRecorder(options.out)
    api = connect(options.kubeconfig, options.context or options.profile)
    engine = nodes.fencing(nodes.driver_of(options.driver, options.profile))
    with only_one(lab.directory, options.profile):
        try:
            running = others(api, engine, options.node)
        except DriverError as error:
            raise UserError(f"{error.who} does not answer: {error}") from error
        rights.insist(api, options.namespace)
        journal = Journal(lab.watchdog_journal)
        try:
            outcome = asyncio.run(
                give_away(
                    options.node,
                    running,
                    api=api,
                    engine=engine,
                    recorder=recorder,
                    journal=journal,
                    namespace=options.namespace,
                )
            )
        except JournalError as error:
            raise error.told() from error
        finally:
            journal.close()
            recorder.settle()
    if outcome is not Outcome.GIVEN_AWAY:
        why = f"{options.node} was {outcome}"
        recorder.say(why)
        recorder.settle()
        return no(why, {"steps": recorder.steps}, changed=bool(recorder.steps))
    if options.out is not None:
        marks.append(options.out, [marks.OPERATOR_DONE], {"node": options.node})
    return Answer({"steps": recorder.steps}, changed=True)
