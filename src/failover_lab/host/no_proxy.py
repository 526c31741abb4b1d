"""``no-proxy``: what only this machine can reach must not be asked of a proxy, which has no way to it."""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

LOOPBACK = "127.0.0.1"


def names(exceptions: str, network: ipaddress.IPv4Network) -> bool:
    """Whether a list of exceptions from a proxy has this network in it.

    Args:
        exceptions: as in ``NO_PROXY``: names, addresses and networks between commas. ``*`` is all there is,
            but only by itself: Go's programs read it in a list too, curl and Python do not.
        network: all of it must be there, in one entry.
    """
    if exceptions.strip() == "*":
        return True
    for entry in _entries(exceptions):
        try:
            if network.subnet_of(ipaddress.IPv4Network(entry, strict=False)):
                return True
        except ValueError:
            continue  # a name
    return False


def missing(environment: Mapping[str, str], network: ipaddress.IPv4Network) -> list[str]:
    """What would be asked of the proxy, were a cluster on this network; nothing without a proxy.

    Programs differ in which spelling of the variables goes first: where both are set, both have to name it.
    """
    if not any(
        environment.get(name) or environment.get(name.upper()) for name in ("https_proxy", "all_proxy")
    ):
        return []
    given = _given(environment) or [""]
    wanted = {LOOPBACK: ipaddress.IPv4Network(LOOPBACK), str(network): network}
    return [word for word, there in wanted.items() if not all(names(listed, there) for listed in given)]


def remedy(environment: Mapping[str, str], words: list[str]) -> str:
    """A command that names them in both spellings, beside what either of them names already."""
    given = [entry for exceptions in _given(environment) for entry in _entries(exceptions)]
    listed = shlex.quote("*" if "*" in given else ",".join(dict.fromkeys(given + words)))
    return f"export NO_PROXY={listed} no_proxy={listed}"


def handed_on(environment: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """The docker command's own settings, and the proxies that it gives to each container, to nodes too."""
    folder = environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/"), ".docker")
    path = Path(folder, "config.json")
    try:
        settings = json.loads(path.read_text(encoding="utf-8")).get("proxies") or {}
        host = environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        found = settings.get(host) or settings.get("default") or {}
        named = {"https_proxy": "httpsProxy", "all_proxy": "allProxy", "no_proxy": "noProxy"}
        return path, {name: str(found[key]) for name, key in named.items() if found.get(key)}
    except (OSError, ValueError, AttributeError):
        # The docker command itself says what is wrong with it.
        return path, {}


def _given(environment: Mapping[str, str]) -> list[str]:
    """The lists of exceptions that are set."""
    return [environment[name] for name in ("no_proxy", "NO_PROXY") if environment.get(name)]


def _entries(exceptions: str) -> list[str]:
    """What is between the commas."""
    return [entry for entry in map(str.strip, exceptions.split(",")) if entry]


def run(options: argparse.Namespace) -> Answer:
    """Check that the lab's network is not asked of a proxy.

    Raises:
        UserError: one does, or that is no network.
    """
    try:
        network = ipaddress.IPv4Network(options.network)
    except ValueError as error:
        raise UserError(f"{options.network} is no IPv4 network: {error}") from error
    if lacking := missing(os.environ, network):
        raise UserError(
            f"there is a proxy, and NO_PROXY does not name {' and '.join(lacking)}, which only this machine "
            f"can reach: {remedy(os.environ, lacking)}"
        )
    path, proxies = handed_on(os.environ)
    if lacking := missing(proxies, network):
        listed = ",".join(_entries(proxies.get("no_proxy", "")) + lacking)
        raise UserError(
            f"{path} hands a proxy to every container, the nodes among them, and its noProxy does not name "
            f'{" and ".join(lacking)}, which no proxy can reach: have it say "noProxy": "{listed}"'
        )
    print("direct")
    return Answer()


def add_parser(commands: arguments.Commands) -> None:
    """Add this subcommand."""
    parser = arguments.command(commands, "no-proxy", run)
    parser.add_argument("--network", required=True, metavar="CIDR")
