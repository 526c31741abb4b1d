"""The cluster's machines: what state they are in, and what can be done to them."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any, cast

from failover_lab.errors import UserError

if TYPE_CHECKING:
    import argparse

    from failover_lab.kube.objects import Object
    from failover_lab.nodes import proof
    from failover_lab.nodes.driver import Driver, Owner

#: The drivers by name, each with its class, which raises UserError where it cannot be used.
DRIVERS = {"docker": "failover_lab.nodes.docker:Engine", "custom": "failover_lab.nodes.custom:Custom"}
DEFAULT = "docker"
#: What the setting ``fault_driver`` may say for it as well: whoever is the lab's own, and a former name.
_THE_DEFAULT = ("auto", "minikube")


def driver_of(name: str, profile: str) -> Driver:
    """The driver of this name, for the nodes of a profile.

    Args:
        name: of it; or, as JSON, what it has to know besides, with its ``name``.
        profile: of minikube, or the cluster's context.

    Raises:
        UserError: there is no such driver, or it cannot be used here.
    """
    name, knows = _read(name)
    if name == "ssh":
        raise UserError(
            "the driver ssh reaches nodes by Ansible's plays alone, and this works in them by itself: docker "
            "can, where nodes are containers of this machine's engine"
        )
    module, _, maker = DRIVERS.get(DEFAULT if name in _THE_DEFAULT else name, "").partition(":")
    if not module:
        raise UserError(f"there is no driver {name!r} of nodes: choose one of {', '.join(sorted(DRIVERS))}")
    # Clients take a moment to import, and other commands do not pay for it.
    made: Driver = getattr(importlib.import_module(module), maker)(profile, **knows)
    return made


def _read(name: str) -> tuple[str, dict[str, Any]]:
    """A driver's name, and what it has to know besides."""
    if not name.startswith("{"):
        return name, {}
    try:
        knows = json.loads(name)
        name = str(knows.pop("name"))
    except (ValueError, KeyError, AttributeError) as error:
        raise UserError(f"--driver is a name, or JSON with one, and {name} is neither") from error
    if "context" in knows:
        context, kubeconfig = knows.pop("context"), knows.pop("kubeconfig", None)
        knows["nodes"] = lambda: _members(context, kubeconfig)
    return name, knows


def objects(context: str | None, kubeconfig: str | None) -> list[Object]:
    """The nodes as their cluster knows them.

    Raises:
        UserError: it does not tell.
    """
    from failover_lab.kube.client import Api, items  # noqa: PLC0415  as above
    from failover_lab.kube.errors import RefusedError  # noqa: PLC0415

    try:
        return items(Api(context, kubeconfig).request("get", "/api/v1/nodes"))
    except RefusedError as refusal:
        raise UserError(f"the cluster does not tell its nodes: {refusal}") from refusal


def _members(context: str, kubeconfig: str | None) -> list[proof.Member]:
    """The same, as far as a container can be proven to be one of them."""
    from failover_lab.nodes.proof import member  # noqa: PLC0415  as above

    return [member(node) for node in objects(context, kubeconfig)]


def fencing(driver: Driver) -> Driver:
    """The same driver, if a node that it has killed is dead for certain.

    Raises:
        UserError: it is not, so that two of one pod might run at once.
    """
    if not driver.fences:
        raise UserError(
            f"the driver {driver.name} cannot say for certain that a node is dead, so nobody may give its "
            "work away: docker can, and custom with a fence.yml; without it, Kubernetes does so by itself "
            "(fault_recovery=automatic)"
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
