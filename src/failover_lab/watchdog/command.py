"""``watchdog``: the watchdog as a command."""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import dataclasses
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer, no
from failover_lab.errors import UserError
from failover_lab.host.priority import hasten
from failover_lab.kube.errors import RefusedError
from failover_lab.nodes.pace import Pace
from failover_lab.run import files
from failover_lab.run.layout import Lab, Run
from failover_lab.run.lifetime import StopCondition
from failover_lab.watchdog.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Collection

    from failover_lab.nodes.driver import Driver, Fencer
    from failover_lab.watchdog.cluster import Api
    from failover_lab.watchdog.journal import Journal

# The questions under way at once: three that repeat, a deletion with its flows, a return, the status.
_THREADS = 24
_LOOK_EVERY_S = 0.5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _profile(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise argparse.ArgumentTypeError(f"{value!r} is no name of a profile; use letters, digits, - and .")
    return value


def add_parser(commands: arguments.Commands) -> None:
    """Add ``watchdog`` to the command line."""
    parser = arguments.command(commands, "watchdog", run)
    seconds = arguments.number
    parser.add_argument("--profile", type=_profile, default="failover-lab", help="default failover-lab")
    nodes.add_driver(parser)
    arguments.add_cluster(parser, context="of kubectl; default: that of the profile's name")
    parser.add_argument("--namespace", default="site", help="whose pods are given away (default site)")
    parser.add_argument(
        "--clear-flows", action="store_true", help="clear other nodes' flows to the dead pods"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="a run's directory, for marks and the state")
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="lock and journal (default: the lab's own)"
    )
    parser.add_argument(
        "--journal", type=Path, metavar="FILE", help=f"default: {Lab.watchdog_journal.name} in --state-dir"
    )
    parser.add_argument(
        "--interval", type=seconds(0.05, 10, " s"), default=Pace.interval_s, metavar="S",
        help=f"between two looks (default {Pace.interval_s:g})",
    )  # fmt: skip
    parser.add_argument(
        "--confirm", type=arguments.whole(1, 20), default=Pace.confirm, metavar="N",
        help=f"looks in a row that must agree (default {Pace.confirm})",
    )  # fmt: skip
    arguments.add_lifetime(parser, most_s=365 * 86400)
    parser.add_argument(
        "--release", action="store_true",
        help="only take the mark off nodes that are back, and end; status 1 if one is not back",
    )  # fmt: skip
    parser.add_argument(
        "--wait", type=seconds(0, 3600, " s"), default=0.0, metavar="S",
        help="with --release: so long for nodes to come back (default 0)",
    )  # fmt: skip
    parser.add_argument(
        "--but", type=arguments.names, default=[], metavar="X,Y",
        help="with --release: not off these, which are to stay as they are",
    )  # fmt: skip


def run(options: argparse.Namespace) -> Answer:
    """Find a dead node, fence it and give its work away; take it back when it is back.

    Watches the nodes of a minikube profile on this machine. A node is dead when two independent paths
    agree for several looks in a row: the engine says that its container has ended or is paused, or its
    peers do not reach it; and its kubelet does not answer this machine. It is then fenced by SIGKILL and
    marked out of service, its pods of the namespace are deleted, and the mark is taken off when it is
    back. Never the only control plane, none while another node may be dead, and nothing while this machine
    is too busy or all are silent. Runs until SIGTERM, SIGINT, the stop file, the end of the parent, or
    --max-duration. Its state is in watchdog.json, in the run's directory or else in --state-dir.
    """
    from failover_lab.watchdog.cluster import connect  # noqa: PLC0415  clients take a moment to import

    if options.wait and not options.release:
        raise UserError("--wait says how long to wait for a return; give it with --release")
    if options.out is not None:
        files.make_directory(options.out, "--out")
    lab = Lab(options.state_dir) if options.state_dir else Lab.of(options.profile)
    api = connect(options.kubeconfig, options.context or options.profile)
    if options.release:
        return _release_alone(options, lab, Recorder(options.out), api)
    recorder = Recorder(options.out, lab.journal)
    stop = StopCondition.told(options)
    # Below the probe, which measures, and before all that keeps a machine busy.
    hasten(1)
    return _watch(options, lab, recorder, api, stop)


def _watch(
    options: argparse.Namespace, lab: Lab, recorder: Recorder, api: Api, stop: StopCondition
) -> Answer:
    from failover_lab.watchdog.journal import Journal  # noqa: PLC0415
    from failover_lab.watchdog.loop import Settings, Watchdog  # noqa: PLC0415
    from failover_lab.watchdog.only_one import only_one  # noqa: PLC0415

    settings = Settings(
        profile=options.profile,
        namespace=options.namespace,
        clear_flows=options.clear_flows,
        status=Run(options.out).watchdog if options.out else lab.watchdog,
    )
    pace = dataclasses.replace(Pace(), interval_s=options.interval, confirm=options.confirm)

    async def watch(engine: Driver, journal: Journal) -> Watchdog:
        with concurrent.futures.ThreadPoolExecutor(_THREADS, "watchdog") as executor:
            watchdog = Watchdog(
                settings, pace=pace, api=api, engine=engine, recorder=recorder, journal=journal, stop=stop,
                executor=executor,
            )  # fmt: skip
            await watchdog.run()
            return watchdog

    about = {"namespace": options.namespace, "status": str(settings.status.resolve())}
    with only_one(lab.directory, options.profile, **about):
        journal = Journal(options.journal or lab.watchdog_journal)
        try:
            engine = nodes.fencing(nodes.driver_of(options.driver, options.profile))
            watchdog = asyncio.run(watch(engine, journal))
        finally:
            journal.close()
    gone = ", ".join(watchdog.given_away) or "none"
    recorder.say(f"{watchdog.looks} looks; nodes given away: {gone}; stopped: {stop.reason()}")
    recorder.settle()
    return Answer({"given_away": list(watchdog.given_away)}, changed=True)


def _release_alone(options: argparse.Namespace, lab: Lab, recorder: Recorder, api: Api) -> Answer:
    from failover_lab.watchdog.journal import Journal  # noqa: PLC0415
    from failover_lab.watchdog.only_one import HeldError, only_one  # noqa: PLC0415

    engine = nodes.driver_of(options.driver, options.profile)
    try:
        with only_one(lab.directory, options.profile):
            journal = Journal(options.journal or lab.watchdog_journal)
            try:
                return release(api, engine, recorder, journal=journal, wait_s=options.wait, but=options.but)
            finally:
                journal.close()
    except HeldError:
        # A watchdog that runs keeps the journal, and finds by itself what has been taken off.
        return release(api, engine, recorder, wait_s=options.wait, but=options.but)


def release(
    api: Api,
    engine: Fencer,
    recorder: Recorder,
    *,
    journal: Journal | None = None,
    wait_s: float = 0.0,
    but: Collection[str] = (),
) -> Answer:
    """Take the watchdog's mark off every node that is back.

    Args:
        api: of the cluster.
        engine: with its containers.
        recorder: notes what is done.
        journal: where what the watchdog has left open is closed; None: a watchdog that runs does so.
        wait_s: so long for nodes that are not back yet.
        but: nodes that keep it.

    Returns:
        yes: no other node bears it any more; no: one does, and a line says why.

    Raises:
        UserError: the API server does not answer, or the journal cannot be written.
    """
    from failover_lab.watchdog.journal import JournalError  # noqa: PLC0415

    try:
        return asyncio.run(_release(api, engine, recorder, journal=journal, wait_s=wait_s, but=but))
    except JournalError as error:
        raise error.told() from error


async def _release(
    api: Api,
    engine: Fencer,
    recorder: Recorder,
    *,
    journal: Journal | None,
    wait_s: float,
    but: Collection[str],
) -> Answer:
    from failover_lab.watchdog.cluster import member  # noqa: PLC0415
    from failover_lab.watchdog.giveback import GiveBack  # noqa: PLC0415

    deadline = time.monotonic() + wait_s
    with concurrent.futures.ThreadPoolExecutor(_THREADS, "release") as executor:
        taking = GiveBack(api=api, engine=engine, recorder=recorder, journal=journal, executor=executor)
        # Not by `waiting`, which sleeps: each look asks kubelets, and that is done in this event loop.
        while True:
            try:
                marked = [m.name for m in map(member, api.nodes()) if m.ours]
                marked += [name for name in (journal.phases if journal else ()) if name not in marked]
            except RefusedError as error:
                raise UserError(f"the cluster cannot be asked for its nodes: {error.account}") from error
            missing = {
                name: why
                for name in marked
                if name not in but and (why := await taking.look(name)) is not None
            }
            if not missing or time.monotonic() >= deadline:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
    recorder.settle()
    lines = [f"{name} stays out of service: {why}" for name, why in missing.items()]
    for line in lines:
        print(line)
    data = {"released": [step["node"] for step in recorder.actions if step["event"] == "released"]}
    changed = bool(recorder.actions)
    return no("; ".join(lines), data, changed=changed) if lines else Answer(data, changed=changed)
