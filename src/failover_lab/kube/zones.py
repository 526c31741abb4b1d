"""``zones``: which zone each node is in; and, zone by zone, whether Kubernetes replaces what is lost."""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.kube.client import Api, items
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import ZONE, ZONE_BY
from failover_lab.kube.objects import name_of, of

if TYPE_CHECKING:
    from collections.abc import Collection

    from failover_lab.kube.objects import Object

_MOST = 26
# What the node controller goes by (its flags --unhealthy-zone-threshold, --node-eviction-rate,
# --secondary-node-eviction-rate and --large-cluster-size-threshold), in nodes a second.
PARTIAL_AT, PARTIAL_NODES = 0.55, 3
RATE, SLOW_RATE, LARGE = 0.1, 0.01, 50


def zone_of(node: Object) -> str:
    """The zone that a node is in; empty: in none."""
    return str(of(node, "metadata", "labels", ZONE, default=""))


def rates(nodes: list[Object], lost: Collection[str]) -> dict[str, float]:
    """How many nodes a second the node controller would empty in each zone, with these lost; 0: none.

    Args:
        nodes: all of them.
        lost: the names of those that are not ready.
    """
    zones: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        zones[zone_of(node)].append(name_of(node))
    gone = {zone: sum(name in lost for name in names) for zone, names in zones.items()}
    # Where nobody is heard any more, it is more likely that the controller itself is cut off.
    if all(gone[zone] == len(names) for zone, names in zones.items()):
        return dict.fromkeys(zones, 0.0)
    return {zone: _rate(gone[zone], len(names)) for zone, names in zones.items()}


def _rate(gone: int, size: int) -> float:
    """Of a zone in which some still live; one that is lost as a whole is emptied like any other."""
    if gone == size or gone < PARTIAL_NODES or gone / size < PARTIAL_AT:
        return RATE
    return SLOW_RATE if size > LARGE else 0.0


def eviction_wait_s(nodes: list[Object], lost: Collection[str]) -> float:
    """How long after the first of these the node controller empties the last; 0: one at most, or none ever.

    Args:
        nodes: all of them.
        lost: the names of those that are lost at once, in one zone.
    """
    rate = next((rates(nodes, lost)[zone_of(node)] for node in nodes if name_of(node) in lost), 0.0)
    return (len(lost) - 1) / rate if rate else 0.0


def names_of(count: int) -> list[str]:
    """The names of so many zones."""
    return [f"zone-{chr(ord('a') + number)}" for number in range(count)]


def assigned(nodes: list[Object], count: int) -> dict[str, str]:
    """The zone of each node that is the lab's to say: as it is if it may stay, else where fewest are.

    Args:
        nodes: all of them. One with a zone that somebody else has given keeps that.
        count: of zones; 1: none.
    """
    ours = [
        node
        for node in nodes
        if ZONE_BY in of(node, "metadata", "annotations", default={}) or not zone_of(node)
    ]
    if count == 1:
        return dict.fromkeys((name_of(node) for node in ours), "")
    zones = names_of(count)
    most = -(-len(nodes) // count)
    sizes = Counter(zone_of(node) for node in nodes if node not in ours)
    result: dict[str, str] = {}
    for node in sorted(ours, key=name_of):
        zone = zone_of(node)
        if zone in zones and sizes[zone] < most:
            result[name_of(node)] = zone
            sizes[zone] += 1
    for node in sorted(ours, key=name_of):
        if name_of(node) not in result:
            result[name_of(node)] = zone = min(zones, key=lambda one: (sizes[one], one))
            sizes[zone] += 1
    return result


def label(api: Api, count: int, *, change: bool) -> dict[str, str]:
    """Give each node its zone; gives back those that were changed, or would be.

    Raises:
        UserError: there are fewer nodes than zones, or the API server said no.
    """
    try:
        nodes = items(api.request("get", "/api/v1/nodes"))
        if len(nodes) < count:
            raise UserError(
                f"cluster_zones is {count}, and there are {len(nodes)} nodes: not more zones than nodes"
            )
        by_name = {name_of(node): node for node in nodes}
        wanted = {
            name: zone for name, zone in assigned(nodes, count).items() if zone != zone_of(by_name[name])
        }
        for name, zone in wanted.items():
            # One request: no moment in which the label is there and nobody knows whose it is.
            mark = {"labels": {ZONE: zone or None}, "annotations": {ZONE_BY: "setup" if zone else None}}
            if change:
                api.request("patch", f"/api/v1/nodes/{name}", {"metadata": mark})
    except RefusedError as refusal:
        raise UserError(f"the cluster refused to say which zone its nodes are in: {refusal}") from refusal
    return wanted


def add_parser(commands: arguments.Commands) -> None:
    """Add ``zones`` to the command line."""
    parser = arguments.command(commands, "zones", run)
    parser.add_argument(
        "--zones", type=arguments.number(1, _MOST, " zones"), required=True, metavar="N", help="1: none"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be changed")
    arguments.add_cluster(parser)


def run(options: argparse.Namespace) -> Answer:
    """Say which zone each node is in, by the label topology.kubernetes.io/zone.

    Spreads the nodes over so many zones. One that is in a zone already stays there if that is even, and one
    that somebody else has put into a zone in any case. Prints, as JSON, the nodes that were changed.
    """
    api = Api(options.context, options.kubeconfig)
    changed = label(api, int(options.zones), change=not options.dry_run)
    print(json.dumps(changed))
    return Answer({"nodes": changed}, changed=bool(changed))
