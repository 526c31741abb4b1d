"""``driver``: who reaches a cluster's nodes, and whether a kind of fault can be done by it."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.faults import kinds
from failover_lab.kube.objects import internal_address, name_of, of
from failover_lab.nodes import remote
from failover_lab.nodes.driver import Driver, DriverError

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.faults.kinds import Kind
    from failover_lab.kube.objects import Object

NAMES = ("docker", "ssh", "custom")
#: What the driver ssh does in a node; `start` waits for one that comes back by itself.
_IN_NODES = ("same", "rules", "cut-off", "join", "stop-kubelet", "start-kubelet")
_BY_SSH = (*_IN_NODES, "kill", "start", "reboot")
GROUP = "nodes"

Row = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """What a user has.

    Attributes:
        hosts: those of the inventory's group ``nodes``, each with ``host``, ``address`` and ``node``.
        tasks: the folder of the user's own task files; None: there is none.
        how: the driver ssh ends a machine.
    """

    hosts: tuple[Row, ...] = ()
    tasks: Path | None = None
    how: str = remote.HOWS[0]
    kind: str = ""
    files: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        """Look into the folder.

        Raises:
            UserError: there is none.
        """
        if self.tasks is not None:
            if not self.tasks.is_dir():
                raise UserError(
                    f"node_tasks is {self.tasks}, which is no folder: give that of your task files"
                )
            found = sorted(path.stem.replace("_", "-") for path in self.tasks.glob("*.yml"))
            object.__setattr__(self, "files", tuple(found))

    def check(self, driver: str) -> None:
        """See that there is what a driver needs.

        Raises:
            UserError: there is not.
        """
        if driver == "ssh" and not self.hosts:
            raise UserError(
                f"fault_driver=ssh needs the inventory's group {GROUP}, with a host for each node: add it, "
                "as docs/how-to/nodes-by-ssh.md shows; docker needs none, where nodes are containers of this "
                "machine's engine"
            )
        if driver == "custom" and self.tasks is None:
            raise UserError(
                "fault_driver=custom needs node_tasks, the folder of your task files; docker needs none"
            )
        if driver == "custom" and "state" not in self.files:
            raise UserError(
                f"fault_driver=custom needs state.yml in {self.tasks}, which says whether a node runs"
            )


def matched(hosts: tuple[Row, ...], members: list[Object]) -> dict[str, Row]:
    """The hosts by the nodes that they are: by the node's name, that of the host, or the node's address.

    Raises:
        UserError: one of them is no node, or two are the same.
    """
    by_name = {name_of(node): node for node in members}
    by_address = {internal_address(node): name_of(node) for node in members}
    found: dict[str, Row] = {}
    for host in hosts:
        name = host.get("node") or (
            host["host"] if host["host"] in by_name else by_address.get(str(host.get("address")))
        )
        if name not in by_name:
            raise UserError(
                f"{host['host']} of the group {GROUP} is no node of the cluster ({', '.join(by_name)}): "
                "give it the node's name by node_name, or the node's address as ansible_host"
            )
        if name in found:
            raise UserError(
                f"{found[name]['host']} and {host['host']} of the group {GROUP} are both {name}: one is"
            )
        node = by_name[name]
        address = internal_address(node)
        found[name] = {
            "name": name,
            "host": host["host"],
            "address": address,
            "machine_id": str(of(node, "status", "nodeInfo", "machineID", default="")),
            "ask": remote.wrapped(remote.ask(address)),
        }
    return found


def abilities(driver: str, given: Given) -> dict[str, str]:
    """What can be done to nodes, and by whom; the user's own files go before what a driver does itself."""
    if driver == "docker":
        return {}
    own = {verb: "custom" for verb in given.files if verb not in ("state", "fence", "rules")}
    ssh = dict.fromkeys(_BY_SSH if driver == "ssh" else _IN_NODES if given.hosts else ("same",), "ssh")
    if driver == "custom":
        # Whether it runs says its own state.yml.
        ssh["same"] = "custom"
    return ssh | own


def check(driver: str, kind: Kind, can: dict[str, str]) -> None:
    """See that a driver can do a kind, and undo it.

    Raises:
        UserError: it cannot; the sentence names what can.
    """
    if driver == "docker" or kind.needs != "driver":
        return
    lacks = [verb for verb in kind.verbs if verb not in can]
    if not lacks:
        return
    able = [
        other.name
        for other in kinds.table().values()
        if other.needs == "driver" and all(verb in can for verb in other.verbs)
    ]
    files = " and ".join(f"{verb.replace('-', '_')}.yml" for verb in lacks)
    raise UserError(
        f"fault_driver={driver} cannot do fault_kind={kind.name}: docker can, where nodes are containers of "
        f"this machine's engine; {files} in the folder node_tasks would say how"
        + (f"; or choose fault_kind={' or '.join(able)}" if able else "")
    )


def choose(name: str, given: Given, members: Callable[[], list[Object]], docker: Callable[[], Driver]) -> str:
    """The driver that ``auto`` means, and any other by its own name.

    Raises:
        UserError: there is none.
    """
    if name != "auto":
        return "docker" if name == "minikube" else name
    why = ""
    try:
        known = {name_of(node) for node in members()}
        lacking = sorted(known - {one.name for one in docker().listed()})
        if not lacking:
            return "docker"
        verb = "is" if len(lacking) == 1 else "are"
        why = f"{', '.join(lacking)} {verb} no container of this machine's engine"
    except DriverError as error:
        why = f"{error.who} does not answer"
    except UserError as error:
        if not str(error).startswith("the container engine"):
            raise
        why = "no container engine answers here"
    if given.hosts:
        return "ssh"
    raise UserError(
        f"fault_kind={given.kind or 'kill'} needs a driver that breaks a node and brings it back, and there "
        f"is none for this cluster: {why}, and the inventory has no group {GROUP}. Put the nodes' hosts into "
        "that group (fault_driver=ssh), say by node_tasks how it is done (fault_driver=custom), or choose "
        "fault_kind=" + " or ".join(kind.name for kind in kinds.table().values() if kind.needs == "api")
    )


def spec(driver: str, knows: Row) -> str:
    """What commands of this package are told of a driver."""
    return json.dumps({"name": driver} | knows) if knows else driver


def add_parser(commands: arguments.Commands) -> None:
    """Add ``driver`` to the command line."""
    parser = arguments.command(commands, "driver", run)
    parser.add_argument("--driver", default="auto", metavar="NAME", help="auto, docker, ssh or custom")
    parser.add_argument("--kind", default="", help="of fault, which it has to be able to do")
    parser.add_argument(
        "--to-fence", action="store_true", help="it has to say for certain that a node is dead"
    )
    parser.add_argument("--own", action="store_true", help="the lab has made the cluster, by minikube")
    parser.add_argument("--hosts", default="[]", metavar="JSON", help=f"the inventory's group {GROUP}")
    parser.add_argument("--tasks", type=Path, metavar="DIR", help="the user's own task files")
    parser.add_argument("--how", choices=remote.HOWS, default=remote.HOWS[0], help="ssh ends a machine")
    parser.add_argument(
        "--inventory", action="append", default=[], metavar="SOURCE", help="of Ansible, for custom"
    )
    parser.add_argument("--state-dir", default="", metavar="DIR", help="the lab's own, for custom")
    parser.add_argument("--config", default="", metavar="FILE", help="Ansible's settings, for custom")
    arguments.add_cluster(parser)


def run(options: argparse.Namespace) -> Answer:
    """Say who reaches a cluster's nodes, and how.

    Prints the driver's name. With a kind of fault, sees that it can be done and undone.

    Raises:
        UserError: there is none, or the cluster does not answer.
    """
    if options.driver not in ("auto", "minikube", *NAMES):
        raise UserError(
            f"there is no driver {options.driver!r} of nodes: choose auto or one of {', '.join(NAMES)}"
        )
    given = Given(tuple(json.loads(options.hosts)), options.tasks, options.how, options.kind)
    config = None if options.kubeconfig is None else str(options.kubeconfig)
    listed: list[list[Object]] = []

    def members() -> list[Object]:
        if not listed:
            listed.append(nodes.objects(options.context, config))
        return listed[0]

    knows: dict[str, Row] = {
        "docker": {} if options.own else {"context": options.context, "kubeconfig": config}
    }

    def docker() -> Driver:
        return nodes.driver_of(spec("docker", knows["docker"]), options.context)

    driver = choose(options.driver, given, members, docker)
    given.check(driver)
    if options.to_fence and driver != "docker" and not (driver == "custom" and "fence" in given.files):
        raise UserError(
            "fault_recovery=watchdog and manual need a driver that says for certain that a node is dead, "
            f"which fault_driver={driver} cannot: docker can, and custom with a fence.yml in node_tasks; or "
            "choose fault_recovery=automatic"
        )
    can = abilities(driver, given)
    if options.kind:
        check(driver, kinds.of(options.kind), can)
    hosts = {} if driver == "docker" else matched(given.hosts, members())
    if driver == "custom":
        # Those that no host reaches have names and addresses all the same.
        for node in members():
            hosts.setdefault(
                name_of(node),
                {"name": name_of(node), "host": "", "address": internal_address(node), "machine_id": ""},
            )
        knows["custom"] = {
            "tasks": str(given.tasks),
            "inventory": options.inventory,
            "config": options.config,
            "state": options.state_dir,
            "hosts": {name: {"host": one["host"], "address": one["address"]} for name, one in hosts.items()},
        }
    print(driver)
    return Answer(
        {
            "driver": driver,
            "by": can,
            "hosts": list(hosts.values()),
            "spec": spec(driver, knows.get(driver, {})),
        }
    )
