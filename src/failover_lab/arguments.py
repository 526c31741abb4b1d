"""Command line arguments: one-line errors, and types that name the range they accept."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import ipaddress
import re
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from failover_lab.errors import UserError
from failover_lab.run import instants

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import SupportsWrite

    from failover_lab.door.answer import Answer

    #: The subcommands of the command line.
    Commands = argparse._SubParsersAction["Parser"]  # noqa: SLF001 - it has no other name

PROGRAM = "failover-lab"
N = TypeVar("N", int, float)
# Underscores are no part of a host's name, and yet engines and clusters give such names.
_HOST = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9._]*")
_USER = re.compile(r"[^/]*//[^/?#]*@", re.DOTALL)


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

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # Python's own, from 3.12 on, takes no notice of a disk that is full.
        if message:
            (file or sys.stderr).write(message)


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


def _bounded(read: Callable[[str], N], what: str, low: N, high: N, bounds: str) -> Callable[[str], N]:
    def convert(value: str) -> N:
        try:
            result = read(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r} is no {what}") from None
        if not low <= result <= high:
            raise argparse.ArgumentTypeError(f"{value} is out of range; give {bounds}")
        return result

    return convert


def number(low: float, high: float, unit: str = "") -> Callable[[str], float]:
    """A type for a number within these bounds, both included."""
    return _bounded(float, "number", low, high, f"{low:g} to {high:g}{unit}")


def whole(low: int, high: int) -> Callable[[str], int]:
    """A type for a whole number within these bounds, both included."""
    return _bounded(int, "whole number", low, high, f"{low} to {high}")


_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"(.+)/([0-9]+(?:[.][0-9]+)?)?([smh])")


def rate(low: float, high: float) -> Callable[[str], float]:
    """A type for requests a second within these bounds: a number, or one a time, such as 200/1m."""
    within = number(low, high, " requests/s")

    def convert(value: str) -> float:
        read = _RATE.fullmatch(value)
        if read is None:
            return within(value)
        count = number(0, float("inf"))(read[1])
        seconds = float(read[2] or 1) * _UNITS_S[read[3]]
        if not seconds:
            raise argparse.ArgumentTypeError(f"{value} is no rate; give one such as 200 or 200/1m")
        result = count / seconds
        if not low <= result <= high:
            raise argparse.ArgumentTypeError(f"{value} is out of range; give {low:g} to {high:g} requests/s")
        return result

    return convert


def add_seconds(
    parser: argparse.ArgumentParser,
    name: str,
    default: float,
    says: str = "",
    *,
    low: float = 0.0,
    high: float = 86400.0,
) -> None:
    """Add an option for a number of seconds.

    Args:
        parser: of a subcommand.
        name: of the option.
        default: taken without it.
        says: what the help says of it, beside the default.
        low: the least that may be given.
        high: the most.
    """
    told = f"{says} (default {default:g})" if says else f"default {default:g}"
    parser.add_argument(name, type=number(low, high, " s"), default=default, metavar="S", help=told)


def add_cluster(parser: argparse.ArgumentParser, *, context: str = "default: the current one") -> None:
    """Add the options that say which cluster is meant.

    Args:
        parser: of a subcommand.
        context: what the help says of the context.
    """
    parser.add_argument("--context", metavar="NAME", help=context)
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: as kubectl finds it")


def add_lifetime(parser: argparse.ArgumentParser, *, most_s: float = 7 * 86400) -> None:
    """Add the options that say when to stop, which ``StopCondition.told`` reads.

    Args:
        parser: of a subcommand.
        most_s: how long it may be told to last.
    """
    parser.add_argument(
        "--stop-file", type=Path, metavar="F", help="stop once this file exists (default: none)"
    )
    parser.add_argument(
        "--parent-pid", type=whole(1, 2**31), metavar="P", help="stop with this process (default: none)"
    )
    parser.add_argument(
        "--max-duration",
        type=number(0.1, most_s, " s"),
        metavar="S",
        help="never longer than this (default: no limit)",
    )


def names(value: str) -> list[str]:
    """A type for names with commas between; nothing given means none."""
    return [name for name in (part.strip() for part in value.split(",")) if name]


def instant(value: str) -> float:
    """A type for an ISO 8601 instant with a time zone."""
    try:
        return instants.parse(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; give an instant such as 2026-11-23T19:00:00Z") from None


def authority(host: str, port: int, default: int = 80) -> str:
    """Host and port as a URL and the Host header have them."""
    host = f"[{host}]" if ":" in host else host
    return host if port == default else f"{host}:{port}"


PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Target:
    """Where requests go: ``http://host:port/path``, or ``https``."""

    host: str
    port: int
    path: str
    scheme: str = "http"

    @property
    def authority(self) -> str:
        """What the Host header says: the zone of an address is this machine's own affair."""
        return authority(self.host.partition("%")[0], self.port, PORTS[self.scheme])

    @property
    def url(self) -> str:
        """The whole address again."""
        return f"{self.scheme}://{authority(self.host, self.port, PORTS[self.scheme])}{self.path}"

    def unknown(self, why: object) -> UserError:
        """What to tell whoever has given a host that cannot be looked up."""
        return UserError(f"{self.host} has no address ({why}); give one that can be looked up")


def _host(name: str) -> str:
    """A host as it is looked up and asked for.

    Raises:
        argparse.ArgumentTypeError: it can be none.
    """
    if not name.isascii():
        import idna  # noqa: PLC0415  only where it is needed: its tables are large

        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise argparse.ArgumentTypeError(f"{name!r} can be no host's name: {error}") from None
    address, percent, zone = name.partition("%")
    if ":" in address:
        try:
            ipaddress.IPv6Address(address)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{name!r} is no address: {error}") from None
        # In a URL, the percent sign before a zone is itself percent-encoded.
        return f"{address}%{zone.removeprefix('25')}" if percent else address
    if not _HOST.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{name!r} can be no host's name; give one such as shop.example")
    return name


def target(value: str) -> Target:
    """A type for an http:// or https:// address; without a path, / is meant."""
    like = "give one such as http://192.168.49.100/whoami"
    if _USER.match(value):
        # Neither sent nor shown: it may hold a password.
        raise argparse.ArgumentTypeError(
            "the address holds a user, which would stand in every list of processes; leave it out, and give "
            "user and password by --auth-file or --auth-variable"
        )
    if any(character.isspace() or not character.isprintable() for character in value):
        raise argparse.ArgumentTypeError(
            f"{value!r} has blanks or control characters, which must be percent-encoded"
        )
    try:
        parts = urllib.parse.urlsplit(value)
        port = PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is no address: {error}") from None
    if port is None or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{value!r} is no address; {like}")
    if port == 0:
        raise argparse.ArgumentTypeError(
            f"{value!r} names port 0, at which nobody can be asked; name another"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise argparse.ArgumentTypeError(f"{value!r} has characters that must be percent-encoded")
    return Target(_host(parts.hostname), port, path, parts.scheme)


def site(value: str) -> Target:
    """A type for the address of the lab's site; without a path, its page /whoami is meant."""
    found = target(value)
    return found if found.path != "/" else dataclasses.replace(found, path="/whoami")
