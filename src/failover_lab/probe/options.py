"""The options of ``probe`` that say what is asked of whom, and what a good answer is."""

from __future__ import annotations

import argparse
import base64
import ipaddress
import os
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.probe import identity, service, tls
from failover_lab.probe.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from failover_lab.arguments import Target
    from failover_lab.probe.exchange import Address

_T = TypeVar("_T")
_METHOD = re.compile(r"[A-Z][A-Z0-9_-]{0,30}")
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*)")
_MOST_BODY = 1 << 24
# The probe's own affair: connections and lengths are what it measures by.
_OWN_HEADERS = {
    "connection": "--connections says which connections are used",
    "content-length": "it is that of the body",
    "transfer-encoding": "the body is sent as it is",
    "expect": "the body is sent at once",
}


def add_parser(commands: argparse._SubParsersAction[arguments.Parser]) -> None:
    """Add ``check-service`` to the command line."""
    parser = commands.add_parser(
        "check-service",
        help="check that a service can be asked as it is to be",
        description="Refuses what probe would be given of a service: options that contradict each other, "
        "files that cannot be read, certificates that are none. Looks up no name, and asks nobody.",
    )
    parser.add_argument(
        "--url", required=True, type=arguments.target, metavar="URL", help="http:// or https://"
    )
    add_to(parser)
    parser.set_defaults(run=check)


def check(options: argparse.Namespace) -> Answer:
    """Say that it can be asked, before anything else is done.

    Raises:
        UserError: it cannot.
    """
    service_from(options)
    given_addresses(options.url, options.resolve)
    print("it can be asked")
    return Answer()


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add them to a command."""
    asked = parser.add_argument_group("what is asked")
    asked.add_argument("--method", type=_method, metavar="M", help="default GET, or POST with a body")
    asked.add_argument(
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="to send as well, several times; Host, User-Agent and Accept take the place of the probe's own",
    )
    asked.add_argument(
        "--headers-file", type=Path, metavar="F", help="more of them, a line each: for those that are secret"
    )
    body = asked.add_mutually_exclusive_group()
    body.add_argument("--body", metavar="TEXT", help="to send (default none)")
    body.add_argument("--body-file", type=Path, metavar="F", help="to send the content of (default none)")
    auth = asked.add_mutually_exclusive_group()
    auth.add_argument(
        "--auth-file", type=Path, metavar="F", help="has USER:PASSWORD for basic authentication"
    )
    auth.add_argument("--auth-variable", metavar="NAME", help="of the environment, has the same")
    asked.add_argument(
        "--resolve",
        type=resolution,
        action="append",
        default=[],
        metavar="HOST:PORT:ADDRESS",
        help="ask this address for that host and port; several with commas between",
    )
    asked.add_argument(
        "--addresses",
        choices=("one", "all"),
        default="one",
        help="of a name with several: ask the first alone (one, the default), or each in turn (all)",
    )
    secure = parser.add_argument_group("https")
    secure.add_argument(
        "--ca", type=Path, metavar="F", help="trust these certificates (default: the system's)"
    )
    secure.add_argument("--insecure", action="store_true", help="take any certificate (default: no)")
    secure.add_argument(
        "--cert", type=Path, metavar="F", help="the client's certificate, in PEM (default none)"
    )
    secure.add_argument("--key", type=Path, metavar="F", help="its key (default: in the same file)")
    secure.add_argument("--sni", metavar="NAME", help="the server's name in TLS (default: the host asked)")
    good = parser.add_argument_group("what a good answer is")
    good.add_argument(
        "--expect-status",
        type=_typed(service.statuses),
        metavar="LIST",
        help="such as 200,301-303 or 2xx (default 200-399; 200 of /whoami)",
    )
    good.add_argument("--expect-text", metavar="TEXT", help="in the body (default: any body is good)")
    good.add_argument(
        "--identity",
        type=_typed(identity.source),
        default=identity.AUTO,
        metavar="SOURCE",
        help="who answered: auto (the default: as the lab's site says it, and of /whoami it has to), "
        "header:NAME, json:FIELD.FIELD, or none",
    )


def _typed(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """A type of an option from what raises ValueError."""

    def convert(value: str) -> _T:
        try:
            return read(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _method(value: str) -> str:
    if not _METHOD.fullmatch(value) or value == "CONNECT":
        raise argparse.ArgumentTypeError(f"{value!r} is no method; give one such as GET, HEAD or POST")
    return value


def _header(value: str) -> tuple[str, str]:
    read = _HEADER.fullmatch(value)
    if read is None or not value.isprintable():
        # Not shown: it may be a secret.
        raise argparse.ArgumentTypeError("that is no header; give one such as 'Accept-Language: es'")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(
            f"the header {read[1]} has characters that no header can have"
        ) from None
    if (why := _OWN_HEADERS.get(read[1].lower())) is not None:
        raise argparse.ArgumentTypeError(f"{read[1]} cannot be given: {why}")
    return read[1], read[2].strip()


def resolution(value: str) -> tuple[str, int, tuple[str, ...]]:
    """A type for ``HOST:PORT:ADDRESS,ADDRESS``."""
    host, _, rest = value.partition(":")
    if value.startswith("["):
        host, _, rest = value[1:].partition("]:")
    port, _, given = rest.partition(":")
    addresses = [address.strip().removeprefix("[").removesuffix("]") for address in given.split(",")]
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or not all(map(_is_address, addresses)):
        raise argparse.ArgumentTypeError(
            f"{value!r} is no HOST:PORT:ADDRESS; give one such as shop.example:443:192.0.2.1"
        )
    return host.lower(), int(port), tuple(addresses)


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give {option} another file") from error


def _secret_headers(path: Path) -> list[tuple[str, str]]:
    try:
        lines = _read(path, "--headers-file").decode("utf-8").splitlines()
        return [_header(line) for line in lines if line.strip()]
    except (UnicodeDecodeError, argparse.ArgumentTypeError) as error:
        raise UserError(f"{path} has no headers, a line each: {error}") from error


def _authorization(options: argparse.Namespace) -> tuple[str, str] | None:
    if options.auth_variable is not None:
        where = f"the variable {options.auth_variable}"
        said = os.environ.get(options.auth_variable, "").encode("utf-8", "surrogateescape")
    elif options.auth_file is not None:
        where = str(options.auth_file)
        said = _read(options.auth_file, "--auth-file").rstrip(b"\r\n")
    else:
        return None
    if b":" not in said or b"\n" in said:
        raise UserError(f"{where} has no user and password; put USER:PASSWORD there, on one line")
    return "Authorization", f"Basic {base64.b64encode(said).decode('ascii')}"


def service_from(options: argparse.Namespace) -> Service:
    """What to ask, and what to expect.

    Raises:
        UserError: a file cannot be read, or two options contradict each other.
    """
    headers = [*options.header, *(_secret_headers(options.headers_file) if options.headers_file else [])]
    names = [name.lower() for name, _ in headers]
    if (authorization := _authorization(options)) is not None:
        if "authorization" in names:
            raise UserError(
                "the header Authorization and basic authentication contradict each other; leave one out"
            )
        headers.append(authorization)
    body = options.body.encode("utf-8") if options.body is not None else None
    if options.body_file is not None:
        body = _read(options.body_file, "--body-file")
    if body is not None and len(body) > _MOST_BODY:
        raise UserError(f"the body has {len(body)} bytes; give one of at most {_MOST_BODY}")
    method = options.method or ("POST" if body is not None else "GET")
    text = (options.expect_text or "").encode("utf-8")
    if text and method == "HEAD":
        raise UserError(
            "an answer to HEAD has no body, and --expect-text looks for a text there; leave one out"
        )
    if text and "accept-encoding" in names:
        raise UserError(
            "with the header Accept-Encoding a body may be packed, and --expect-text would not find its "
            "text; leave one out"
        )
    return Service(
        method=method,
        headers=tuple(headers),
        body=body,
        expect=options.expect_status,
        text=text,
        identity=options.identity,
        tls=_side(options),
    )


def _side(options: argparse.Namespace) -> tls.Side | None:
    """What to bring to each connection by https.

    Raises:
        UserError: a file cannot be read, or two options contradict each other.
    """
    target: Target = options.url
    if target.scheme != "https":
        only = ("ca", "insecure", "cert", "key", "sni")
        if given := [name for name in only if getattr(options, name)]:
            raise UserError(
                f"--{given[0]} is for https, and {target.url} is asked by http; leave it out or ask by https"
            )
        return None
    if options.ca is not None and options.insecure:
        raise UserError("--insecure takes any certificate, whatever --ca says; leave one out")
    if options.key is not None and options.cert is None:
        raise UserError("--key is the key of a certificate; give that by --cert")
    return tls.side(
        options.sni or target.host,
        ca=options.ca,
        insecure=options.insecure,
        certificate=options.cert,
        key=options.key,
    )


def resolve(
    target: Target, given: Sequence[tuple[str, int, tuple[str, ...]]] = ()
) -> list[tuple[int, Address]]:
    """Family and address of each of a host's addresses, in the order in which the system gives them.

    Args:
        target: whose.
        given: what to take instead of what the system knows, by host and port.

    Raises:
        UserError: the name is not known, or an address is given for a host that is not asked.
    """
    found: dict[tuple[int, Address], None] = {}
    for host in given_addresses(target, given) or [target.host]:
        try:
            infos = socket.getaddrinfo(host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise replace(target, host=host).unknown(error) from error
        # The types of getaddrinfo allow for systems whose IPv6 was compiled out.
        found.update(dict.fromkeys((family, cast("Address", address)) for family, _, _, _, address in infos))
    return list(found)


def given_addresses(target: Target, given: Sequence[tuple[str, int, tuple[str, ...]]]) -> list[str]:
    """The addresses that were given for a host; none means those that the system knows.

    Raises:
        UserError: one was given for a host that is not asked.
    """
    found: list[str] = []
    for host, port, addresses in given:
        if (host, port) != (target.host, target.port):
            raise UserError(
                f"--resolve says where {host}:{port} is, and {target.host}:{target.port} is asked; name "
                "the latter"
            )
        found += addresses
    return found
