"""The cluster's machines: what state they are in, and what can be done to them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from failover_lab.errors import UserError

if TYPE_CHECKING:
    import argparse

    from failover_lab.nodes.driver import Driver, Owner

#: The drivers by name, each with its class, which raises UserError where it cannot be used.
DRIVERS = {"docker": "failover_lab.nodes.docker:Engine"}
DEFAULT = "docker"
#: What the setting ``fault_driver`` may say for it as well: whoever is the lab's own, and a former name.
_THE_DEFAULT = ("auto", "minikube")


def driver_of(name: str, profile: str) -> Driver:
    """The driver of this name, for the nodes of a profile.

    Raises:
        UserError: there is no such driver, or it cannot be used here.
    """
    module, _, maker = DRIVERS.get(DEFAULT if name in _THE_DEFAULT else name, "").partition(":")
    if not module:
        raise UserError(f"there is no driver {name!r} of nodes: choose one of {', '.join(sorted(DRIVERS))}")
    # Clients take a moment to import, and other commands do not pay for it.
    made: Driver = getattr(importlib.import_module(module), maker)(profile)
    return made


def fencing(driver: Driver) -> Driver:
    """The same driver, if a node that it has killed is dead for certain.

    Raises:
        UserError: it is not, so that two of one pod might run at once.
    """
    if not driver.fences:
        raise UserError(
            f"the driver {driver.name} cannot say for certain that a node is dead, so nobody may give its "
            "work away: docker can; without it, Kubernetes does so by itself (fault_recovery=automatic)"
        )
    return driver


def owner_of(profile: str) -> Owner:
    """The driver whose nodes are things of this machine.

    Raises:
        UserError: it cannot be used here.
    """
    return cast("Owner", driver_of("docker", profile))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which nodes are meant, and who reaches them."""
    parser.add_argument("--profile", required=True, help="whose nodes: the minikube profile")
    add_driver(parser)


def add_driver(parser: argparse.ArgumentParser) -> None:
    """Add the option that says who reaches the nodes."""
    parser.add_argument("--driver", default=DEFAULT, metavar="NAME", help=f"of the nodes, default {DEFAULT}")
