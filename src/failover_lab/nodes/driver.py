"""What can be asked of nodes and done to them, whoever does it: the protocol of a driver.

A driver knows the nodes of one profile by their names in the cluster. What it runs in a node runs there as
root, and gets there by a way of its own: the node's network may be cut off.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from failover_lab.errors import UserError

#: The states, in a driver's words, of a node that runs, and of one that a start brings back. To a driver that
#: only asks the node itself, one that ended says nothing.
RUNNING = "running"
OFF, UNREACHABLE = "off", "unreachable"
ENDED = ("exited", "created", "dead", OFF, UNREACHABLE)


class DriverError(Exception):
    """The driver does not answer, or has refused.

    Attributes:
        who: has not answered, as the user knows it.
        remedy: what has to be, so that it does.
    """

    who = "the driver of the nodes"
    remedy = "it has to reach them"


class NodeState(enum.StrEnum):
    """What a driver says of a node's machine, whatever the cluster thinks of it."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ABSENT = "absent"
    UNKNOWN = "unknown"

    @property
    def is_down(self) -> bool:
        """Nothing of the node runs any more: what ran has ended for good."""
        return self in {NodeState.STOPPED, NodeState.ABSENT}


@dataclass(frozen=True)
class Listed:
    """One node in a driver's list.

    Attributes:
        id: another one's of the same name differs.
        state: in the driver's word: ``running``, ``paused``, or one of ``ENDED``.
        networks: that it is on, by their names, where they are the driver's own.
    """

    name: str
    id: str
    state: str
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspected:
    """One node by itself.

    Attributes:
        started: when it was started last, as the driver writes it; empty where it is absent.
        id: as in the list.
    """

    state: NodeState
    started: str = ""
    id: str = ""


class Shell(Protocol):
    """A program in a node, with its input and output; lives as long as this side does."""

    def write(self, line: str) -> None:
        """Send one line.

        Raises:
            OSError: the program or the driver is gone.
        """

    def lines(self) -> Iterator[str]:
        """Each line that the program writes, until it ends."""

    def close(self) -> None:
        """End the program: its input ends with the connection."""


class Fencer(Protocol):
    """What the watchdog needs to give a node's work away.

    A node goes by its name, or by the id that the driver gives it, as one that was renamed has to.
    """

    def inspect(self, name: str) -> Inspected:
        """One node, asked by itself; one that is not there is ``ABSENT``.

        Raises:
            DriverError: the driver does not answer.
        """

    def kill(self, name: str) -> None:
        """End everything in a node at once; it may be paused, have ended, or be absent.

        Raises:
            DriverError: the driver does not answer, or has refused.
        """

    def run(self, name: str, argv: list[str]) -> str:
        """Run a program in a node to its end; gives back what it wrote, errors included.

        Raises:
            DriverError: the driver does not answer, or the node does not run.
        """


class Watched(Protocol):
    """What the watchdog looks at nodes by."""

    def containers(self) -> dict[str, NodeState]:
        """The state of each node.

        Raises:
            DriverError: the driver does not answer.
        """

    def events(self) -> Iterator[str]:
        """The name of each node to which something happens, as it happens: a hint to look, and no more.

        It ends with the connection, and where the driver refuses.

        Raises:
            DriverError: the driver does not answer.
        """

    def stop_events(self) -> None:
        """End these events, from another thread than the one that waits for them."""

    def shell(self, name: str, argv: list[str]) -> Shell:
        """Start a program in a node and keep hold of its input and output.

        Raises:
            DriverError: the driver does not answer, or the node does not run.
        """


class Driver(Fencer, Watched, Protocol):
    """All that can be asked of nodes and done to them.

    Attributes:
        name: by which it is chosen.
        profile: whose nodes they are.
        machine: what each node is, in a word.
        fences: whether a node that it has killed is dead for certain, and stays so until it is started here.
    """

    name: str
    profile: str
    machine: str
    fences: bool

    def listed(self) -> list[Listed]:
        """The nodes, in whatever state.

        Raises:
            DriverError: the driver does not answer.
        """

    def has(self, name: str, path: str) -> bool:
        """Whether there is such a file in a node, which need not run. Without that node: no.

        Raises:
            DriverError: the driver does not answer.
        """

    def start(self, name: str) -> None:
        """Start a node that has ended; one that runs stays as it is.

        Raises:
            DriverError: the driver does not answer, or has refused, or there is no such node.
        """

    def pause(self, name: str) -> None:
        """Stop every process of a node, while its kernel goes on; one that is paused stays so.

        Raises:
            DriverError: the driver does not answer, or has refused, or the node does not run.
        """

    def resume(self, name: str) -> None:
        """Let the processes of a node go on; one that is not paused stays as it is.

        Raises:
            DriverError: the driver does not answer, or has refused, or there is no such node.
        """

    def ended_at(self, name: str, since: float) -> float | None:
        """When a node was killed last, in seconds since 1970 by this machine's clock; None: not since then.

        Raises:
            DriverError: the driver does not answer.
        """

    def paused_at(self, name: str, since: float) -> float | None:
        """When a node was paused last, as ``ended_at`` says it.

        Raises:
            DriverError: the driver does not answer.
        """


@runtime_checkable
class Neighbouring(Protocol):
    """A driver whose nodes may be processes of this machine's own kernel."""

    def process(self, name: str) -> int | None:
        """The number on this machine of a node's first process; None: it has none, or none here.

        Raises:
            DriverError: the driver does not answer.
        """


@runtime_checkable
class Rebooting(Protocol):
    """A driver whose nodes come back by themselves once they are told to; those of others are started."""

    def reboot(self, name: str) -> float:
        """Have a node reboot at once, without a word to anybody; gives back when, in seconds since 1970.

        Raises:
            DriverError: the driver does not answer, or has refused, or the node does not run.
        """


class Owner(Driver, Protocol):
    """A driver whose nodes are things of this machine, which something else may have the name of."""

    def marked(self) -> list[Listed]:
        """All nodes of all profiles here.

        Raises:
            DriverError: the driver does not answer.
        """

    def labels(self, kind: str, name: str) -> dict[str, str] | None:
        """What a container, a volume or a network of exactly this name has for labels; None if there is none.

        Args:
            kind: ``container``, ``volume`` or ``network``.
            name: of it.

        Raises:
            DriverError: the driver does not answer.
        """


def unanswered(error: DriverError) -> UserError:
    """What to tell whoever has asked a driver that does not answer."""
    return UserError(f"{error.who} does not answer: {error}; {error.remedy}")
