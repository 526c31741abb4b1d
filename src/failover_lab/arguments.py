"""Command line arguments: one-line errors, and types that name the range they accept."""

from __future__ import annotations

import argparse
import inspect
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from failover_lab.errors import UserError
from failover_lab.run import instants

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_lab.door.answer import Answer

    #: The subcommands of the command line.
    Commands = argparse._SubParsersAction["Parser"]  # noqa: SLF001 - it has no other name

PROGRAM = "failover-lab"
_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")


class UsageError(UserError):
    """What was typed is no command of this program; it ends where it was to begin, by ``SystemExit``."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Leave the message to whoever asked for the parsing.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message} (see {self.prog} --help)")


def command(commands: Commands, name: str, run: Callable[[argparse.Namespace], Answer]) -> Parser:
    """Add a command whose page is what carries it out says of itself: a line for the list, and the rest.

    Args:
        commands: of the command line.
        name: what is typed.
        run: carries it out, given what was typed.
    """
    says = inspect.getdoc(run) or ""
    head, _, rest = says.partition("\n\nRaises:")[0].partition("\n\n")
    parser = commands.add_parser(name, help=head[:1].lower() + head[1:].rstrip("."), description=rest or None)
    parser.set_defaults(run=run)
    return parser


def number(low: float, high: float, unit: str = "") -> Callable[[str], float]:
    """A type for a number within these bounds, both included."""

    def convert(value: str) -> float:
        try:
            result = float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r} is no number") from None
        if not low <= result <= high:
            raise argparse.ArgumentTypeError(f"{value} is out of range; give {low:g} to {high:g}{unit}")
        return result

    return convert


def whole(low: int, high: int) -> Callable[[str], int]:
    """A type for a whole number within these bounds, both included."""

    def convert(value: str) -> int:
        try:
            result = int(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r} is no whole number") from None
        if not low <= result <= high:
            raise argparse.ArgumentTypeError(f"{value} is out of range; give {low} to {high}")
        return result

    return convert


def add_cluster(parser: argparse.ArgumentParser, *, context: str = "default: the current one") -> None:
    """Add the options that say which cluster is meant.

    Args:
        parser: of a subcommand.
        context: what the help says of the context.
    """
    parser.add_argument("--context", metavar="NAME", help=context)
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: as kubectl finds it")


def names(value: str) -> list[str]:
    """A type for names with commas between; nothing given means none."""
    return [name for name in (part.strip() for part in value.split(",")) if name]


def instant(value: str) -> float:
    """A type for an ISO 8601 instant with a time zone."""
    try:
        return instants.parse(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; give an instant such as 2026-11-23T19:00:00Z") from None


def authority(host: str, port: int) -> str:
    """Host and port as a URL and the Host header have them."""
    host = f"[{host}]" if ":" in host else host
    return host if port == 80 else f"{host}:{port}"


@dataclass(frozen=True)
class Target:
    """Where requests go: ``http://host:port/path``."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        return authority(self.host, self.port)

    @property
    def url(self) -> str:
        """The whole address again."""
        return f"http://{self.authority}{self.path}"

    def unknown(self, why: object) -> UserError:
        """What to tell whoever has given a host that cannot be looked up."""
        return UserError(f"{self.host} has no address ({why}); give one that can be looked up")


def target(value: str) -> Target:
    """A type for an http:// address; without a path, /whoami is meant."""
    try:
        parts = urllib.parse.urlsplit(value)
        port = parts.port or 80
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is no address: {error}") from None
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if parts.scheme != "http" or not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise argparse.ArgumentTypeError(
            f"{value!r} is no address; give one such as http://192.168.49.100/whoami"
        )
    if not path.isascii() or not path.isprintable() or " " in path:
        raise argparse.ArgumentTypeError(f"{value!r} has characters that must be percent-encoded")
    return Target(parts.hostname, port, path if parts.path not in {"", "/"} else "/whoami")
