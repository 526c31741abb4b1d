"""``subnet``: may the lab have this network, or does this machine route it elsewhere already?"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.host import policy_routes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

ROUTES = Path("/proc/net/route")
# Those that minikube tries, in its order, where nobody asks for one.
_MINIKUBES = tuple(ipaddress.IPv4Network(f"192.168.{third}.0/24") for third in range(49, 255, 9))


def parse_routes(text: str) -> list[tuple[str, ipaddress.IPv4Network]]:
    """The networks in a table of routes, as Linux prints it in ``/proc/net/route``.

    Returns:
        Pairs of interface and network; the default route is left out. Addresses there are hexadecimal, lowest
        byte first.
    """
    result = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        address, mask = (int.from_bytes(bytes.fromhex(fields[index]), "little") for index in (1, 7))
        if mask:
            network = ipaddress.IPv4Network((address, (mask).bit_count()), strict=False)
            result.append((fields[0], network))
    return result


def conflict(
    wanted: ipaddress.IPv4Network, routes: Iterable[tuple[str, ipaddress.IPv4Network]]
) -> tuple[str, ipaddress.IPv4Network] | None:
    """The first route that shares addresses with the wanted network."""
    return next(((name, network) for name, network in routes if network.overlaps(wanted)), None)


def chosen() -> ipaddress.IPv4Network:
    """The network that minikube would take by itself.

    Raises:
        UserError: this machine would not find it there.
    """
    try:
        main = parse_routes(ROUTES.read_text(encoding="ascii"))
    except OSError:
        return _MINIKUBES[0]
    rules, routes = policy_routes.rules(), policy_routes.routes()
    free = [network for network in _MINIKUBES if not conflict(network, main)]
    good = [network for network in free if not policy_routes.captured(network, rules, routes)]
    if not free or free[0] in good:
        return free[0] if free else _MINIKUBES[0]
    raise UserError(
        f"minikube would take {free[0]}, which {_elsewhere(free[0], rules, routes)}. "
        + (f"Set cluster_subnet={good[0]}" if good else "Set cluster_subnet to a network that is not")
    )


def _elsewhere(
    network: ipaddress.IPv4Network, rules: list[policy_routes.Object], routes: list[policy_routes.Object]
) -> str:
    """Where another table sends it, as the rest of a sentence; empty if none does."""
    found = policy_routes.captured(network, rules, routes)
    return f"table {found[0]} of this machine's routes sends through {found[1]} (`ip rule`)" if found else ""


def run(options: argparse.Namespace) -> Answer:
    """Check that a network for the lab is free.

    Raises:
        UserError: it is no network of a usable size, not private, or in use.
    """
    if not options.wanted:
        subnet = chosen()
        print(subnet)
        return Answer({"subnet": str(subnet)})
    try:
        wanted = ipaddress.IPv4Network(options.wanted)
    except ValueError as error:
        raise UserError(
            f"cluster_subnet {options.wanted} is no IPv4 network ({error}); give one such as 192.168.70.0/24"
        ) from error
    if not wanted.is_private or wanted.prefixlen > 24:
        raise UserError(
            f"cluster_subnet {wanted} must be a private network of /24 or larger, such as 192.168.70.0/24"
        )
    try:
        found = conflict(wanted, parse_routes(ROUTES.read_text(encoding="ascii")))
    except OSError:
        found = None  # no Linux: the engine itself refuses what overlaps
    if found:
        raise UserError(
            f"cluster_subnet {wanted} is taken: this machine routes {found[1]} through {found[0]}. "
            "Choose another one, or leave cluster_subnet unset and a free one is found"
        )
    if away := _elsewhere(wanted, policy_routes.rules(), policy_routes.routes()):
        raise UserError(f"cluster_subnet {wanted} is not to be had: {away}. Choose another one")
    print("free")
    return Answer({"subnet": str(wanted)})


def add_parser(commands: arguments.Commands) -> None:
    """Add this subcommand."""
    parser = arguments.command(commands, "subnet", run)
    parser.add_argument("--wanted", required=True, metavar="CIDR", help="empty: the one that minikube takes")
