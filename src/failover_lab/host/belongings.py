"""``belongings``: the containers, disks and network of one lab, by its own record; and what is in its place.

minikube's labels do not say to which profile something belongs, and the beginning of a name is somebody
else's as well: ``team-m02`` may be the second node of ``team``, or a lab. What counts is minikube's account
of the profile, which names its nodes, and a copy of it in the lab's own state, which is left when minikube
has forgotten the profile; and the network that a container is on, which is called like the profile.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.nodes.minikube import MARK, node_name, of_profile
from failover_lab.run.layout import Lab

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_lab.nodes.driver import Owner


_PROFILE_LABEL = "name.minikube.sigs.k8s.io"


def machines(profile_dir: Path) -> set[str]:
    """What minikube calls the machines of a profile, by its account; it need not be whole."""
    try:
        nodes = json.loads((profile_dir / "config.json").read_text(encoding="utf-8"))["Nodes"]
        names = [str(node.get("Name") or "") for node in nodes]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        names = []
    return {profile_dir.name, *(f"{profile_dir.name}-{name}" for name in names if name)}


def others(home: Path, profile: str) -> set[str]:
    """What minikube calls the machines of the other profiles in the same home."""
    folders = [path for path in home.glob("profiles/*") if path.is_dir() and path.name != profile]
    return {name for folder in folders for name in machines(folder)}


def recorded(home: Path, profile: str, state_dir: Path) -> set[str]:
    """The machines of a profile, by minikube's account and by the lab's own."""
    try:
        noted = json.loads(Lab(state_dir).nodes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        noted = []
    return machines(home / "profiles" / profile) | {str(name) for name in noted if isinstance(name, str)}


def remember(names: Iterable[str], state_dir: Path) -> None:
    """Write the machines into the lab's own account, in one step.

    Raises:
        UserError: it cannot be written.
    """
    target = Lab(state_dir).nodes
    partial = target.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(sorted(names)) + "\n", encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise UserError(f"the lab's account of its nodes cannot be written: {error}") from error


def belongings(engine: Owner, names: set[str], foreign: set[str]) -> list[tuple[str, str]]:
    """What the engine has of a lab.

    Args:
        engine: of the profile.
        names: of its machines, by its record.
        foreign: the names of other profiles' machines.

    Returns:
        Pairs of ``container``, ``volume`` or ``network`` and a name.

    Raises:
        DriverError: the engine does not answer.
    """
    form = node_name(engine.profile)
    mine, strangers = set(), set(foreign)
    for one in engine.marked():
        by_network = of_profile(engine.profile, one.networks)
        if by_network if by_network is not None else one.name in names - foreign:
            if one.name in names or form.fullmatch(one.name):
                mine.add(one.name)
        else:
            strangers.add(one.name)
    disks = {
        name
        for name in mine | (names - strangers)
        if (engine.labels("volume", name) or {}).get(MARK) == "true"
    }
    found = [("container", name) for name in sorted(mine)] + [("volume", name) for name in sorted(disks)]
    if _is_the_profiles(engine.labels("network", engine.profile), engine.profile):
        found.append(("network", engine.profile))
    return found


def _is_the_profiles(labels: dict[str, str] | None, profile: str) -> bool:
    return (
        labels is not None and labels.get(MARK) == "true" and labels.get(_PROFILE_LABEL, profile) == profile
    )


def needed(known: set[str], there: set[str], profile: str, count: int) -> list[str]:
    """The names of the machines that minikube will make for a lab of so many nodes.

    Args:
        known: those that minikube's account of the profile has.
        there: those that are there, and the lab's.
        profile: of the lab.
        count: of nodes.
    """
    every = known | there
    # minikube gives the number after the last, not one that has become free.
    numbers = [
        int(name.rpartition("-m")[2]) for name in every - {profile} if node_name(profile).fullmatch(name)
    ]
    last = max(numbers, default=1)
    more = range(last + 1, last + 1 + max(0, count - len(every)))
    return sorted(known - there) + [f"{profile}-m{number:02}" for number in more]


def in_the_way(engine: Owner, foreign: set[str], wanted: Iterable[str]) -> str | None:
    """The first thing that has a name that is wanted and is not the lab's, such as ``container team-m02``.

    minikube would take a disk or a network for its own, whoever has made it.

    Raises:
        DriverError: the engine does not answer.
    """
    for name in wanted:
        if engine.labels("container", name) is not None:
            return f"container {name}"
        disk = engine.labels("volume", name)
        if disk is not None and (disk.get(MARK) != "true" or name in foreign):
            return f"disk {name}"
    network = engine.labels("network", engine.profile)
    if network is not None and not _is_the_profiles(network, engine.profile):
        return f"network {engine.profile}"
    return None


def add_parser(commands: arguments.Commands) -> None:
    """Add ``belongings`` to the command line."""
    parser = arguments.command(commands, "belongings", run)
    parser.add_argument("--profile", required=True, help="the minikube profile")
    parser.add_argument("--minikube-home", required=True, type=Path, help="where minikube keeps the profile")
    parser.add_argument("--state-dir", required=True, type=Path, help="where the lab keeps its own account")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--remember",
        action="store_true",
        help="ask no engine: write down which nodes minikube knows, while it still does",
    )
    what.add_argument(
        "--free-for",
        type=int,
        metavar="N",
        help="print nothing, and refuse if something else has a name that a lab of N nodes would need",
    )


def run(options: argparse.Namespace) -> Answer:
    """Say which containers, disks and network are a lab's.

    Prints a line of JSON for each container, disk (volume) and network of a lab, by its own record.

    Raises:
        UserError: something stands in the lab's place.
        DriverError: the engine does not answer.
    """
    profile, home = options.profile, options.minikube_home
    names = recorded(home, profile, options.state_dir)
    if options.remember:
        remember(names, options.state_dir)
        # For the lab's own use, whose state it is a part of.
        return Answer()
    foreign = others(home, profile)
    engine = nodes.owner_of(profile)
    if options.free_for is not None:
        there = {name for kind, name in belongings(engine, names, foreign) if kind == "container"}
        wanted = needed(machines(home / "profiles" / profile), there, profile, options.free_for)
        if found := in_the_way(engine, foreign, wanted):
            raise UserError(
                f"A {found} exists that this lab did not make, and the lab {profile} would have one of "
                "that name: remove or rename it, or choose another lab_profile."
            )
        return Answer()
    rows = belongings(engine, names, foreign)
    for kind, name in rows:
        print(json.dumps({kind: name}))
    kinds = ("container", "volume", "network")
    return Answer({f"{kind}s": [name for what, name in rows if what == kind] for kind in kinds})
