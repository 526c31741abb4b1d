"""``evict`` and ``uncordon``: empty a node, and let it take pods again."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer, no
from failover_lab.errors import UserError
from failover_lab.kube.client import Api
from failover_lab.kube.cordon import cordon, exists, uncordon
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.evict import Drain, Eviction, progress, reasons
from failover_lab.kube.names import CORDONED_BY
from failover_lab.waiting import until

if TYPE_CHECKING:
    import argparse

LOOK_EVERY_S = 0.25


def add_parser(commands: arguments.Commands) -> None:
    """Add ``evict`` and ``uncordon`` to the command line."""
    parser = arguments.command(commands, "evict", run)
    parser.add_argument("--node", required=True, help="the node's name")
    parser.add_argument(
        "--cordon-as",
        metavar="WHO",
        help=f"cordon the node first, and write WHO to its annotation {CORDONED_BY}; default: it is cordoned",
    )
    parser.add_argument("--uid", default="", help="the node's, for --cordon-as: refuse another of its name")
    parser.add_argument(
        "--orphans", action="store_true", help="evict pods as well that nothing brings back (default: refuse)"
    )
    arguments.add_cluster(parser)
    arguments.add_seconds(parser, "--timeout", 300.0, low=1)
    parser = arguments.command(commands, "uncordon", run_uncordon)
    arguments.add_cluster(parser)


def carry_out(drain: Drain, timeout_s: float) -> str:
    """Evict until nobody is left or the time is over; prints a line at every change, and every 4 s.

    Returns:
        why pods are left; empty where none is.

    Raises:
        UserError: the API server said no.
    """

    def look() -> tuple[list[Eviction], RefusedError | None]:
        try:
            return drain.look(), None
        except RefusedError as refusal:
            # A moment's silence is no reason to leave a node half empty.
            if not refusal.passing:
                raise UserError(f"the cluster refused: {refusal}") from refusal
            return [row for row in drain.evictions.values() if row.gone_s is None], refusal

    left, silence = until(
        look,
        timeout_s,
        every_s=LOOK_EVERY_S,
        over=lambda found: found[1] is None and drain.only_held(found[0]),
        tell=lambda _: progress(drain.evictions.values()),
        at_changes=True,
    )
    if silence is not None:
        raise UserError(f"the cluster refused: {silence}") from silence
    return reasons(left)


def run(options: argparse.Namespace) -> Answer:
    """Evict the pods of a node, disruption budgets respected.

    Evicts every pod of a node but those of DaemonSets and of the node itself, and waits until they are
    gone. What a disruption budget refuses is asked for again until the time is over. Each pod that is
    left then has a line of its own. The last line is JSON: each pod with its namespace. Status 1 where
    pods are left.
    """
    api = Api(options.context, options.kubeconfig)
    cordoned = False
    if not options.cordon_as:
        exists(api, options.node)
    elif not (cordoned := cordon(api, options.node, options.uid, options.cordon_as)):
        print(f"{options.node} was cordoned by somebody else, and will stay so", flush=True)
    drain = Drain(api, options.node, orphans=options.orphans)
    why = carry_out(drain, options.timeout)
    left = [row for row in drain.evictions.values() if row.gone_s is None] if why else []
    if why:
        why = f"after {time.monotonic() - drain.began:.0f} s: {why}"
        # A line for each: one with all of them would be too long to read.
        for row in left:
            print(f"left: {row.title}")
        print(why)
    figures = [row.figures() for row in drain.evictions.values()]
    print(json.dumps(figures))
    data = {"left": [row.figures() for row in left], "evictions": figures}
    changed = cordoned or bool(figures)
    return no(why, data, changed=changed) if why else Answer(data, changed=changed)


def run_uncordon(options: argparse.Namespace) -> Answer:
    """Uncordon the nodes that evict has cordoned.

    Uncordons each node that bears the annotation of `evict --cordon-as`, and takes that off; prints their
    names. One that somebody else has cordoned stays so.
    """
    names = list(uncordon(Api(options.context, options.kubeconfig)))
    for name in names:
        print(name)
    return Answer({"nodes": names}, changed=bool(names))
