"""``trace``: which pod the kernel gave each connection to, as a command."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.run import files, instants
from failover_lab.run.layout import Run
from failover_lab.run.lifetime import StopCondition
from failover_lab.trace.log import About, Writer
from failover_lab.trace.nodes import Nodes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection

    from failover_lab.arguments import Target

# Long enough that a read has something to take, short enough for the instants.
_READ_EVERY_S = 0.05
_WRITE_EVERY_S = 0.5
_LOOK_EVERY_S = 0.2
_END_S = 2.0
NOBODY = "none"


def add_parser(commands: argparse._SubParsersAction[arguments.Parser]) -> None:
    """Add ``trace`` to the command line."""
    parser = commands.add_parser(
        "trace",
        help="write down to which pod the nodes' kernels send each connection",
        description="Hears from each node's kernel of every connection to the Service's address, and writes "
        "it to trace.csv.gz: when, from whom, which node received it, and to which pod's address and port it "
        "is sent. trace.json says which nodes were heard from when to when, and what was lost. Runs until "
        "SIGTERM, SIGINT, the stop file, the end of the parent, or --max-duration.",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the run's directory")
    parser.add_argument("--url", required=True, type=arguments.target, help="what the probe asks for")
    parser.add_argument(
        "--address",
        type=arguments.names,
        default=[],
        metavar="IP,IP",
        help="to which addresses the probe connects; default: all that its host has",
    )
    parser.add_argument("--profile", default="", help="whose nodes: the minikube profile")
    parser.add_argument(
        "--driver",
        default=nodes.DEFAULT,
        metavar="NAME",
        help=f"of the nodes, default {nodes.DEFAULT}; {NOBODY}: nobody reaches them, which is written down",
    )
    says = "obey the stop file only after so long, as the probe does"
    arguments.add_seconds(parser, "--duration", 0.0, says, low=0.1, high=7 * 86400)
    arguments.add_lifetime(parser)
    parser.set_defaults(run=run)


def addresses(target: Target, given: Collection[str] = ()) -> list[tuple[str, int]]:
    """All addresses of the one that is asked, each with the port.

    Args:
        target: what is asked.
        given: its addresses, where they are known.

    Raises:
        UserError: the name is not known, or one of them is no address.
    """
    if given:
        try:
            return [(str(ipaddress.ip_address(one)), target.port) for one in sorted(given)]
        except ValueError as error:
            raise UserError(f"{error}; give --address addresses such as 192.168.49.200") from error
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise target.unknown(error) from error
    return sorted({(str(address[0]).partition("%")[0], target.port) for *_, address in found})


class _Looker(threading.Thread):
    """Looks for nodes to hear, until told to stop."""

    def __init__(self, traced: Nodes) -> None:
        super().__init__(name="trace-look", daemon=True)
        self._traced = traced
        self._over = threading.Event()
        self._failure: UserError | None = None

    def run(self) -> None:
        try:
            while not self._over.is_set():
                self._traced.look()
                self._over.wait(_LOOK_EVERY_S)
        except UserError as error:
            self._failure = error

    def check(self) -> None:
        """Complain if it could not go on."""
        if self._failure is not None:
            raise self._failure
        if not self.is_alive():
            raise UserError("the look for nodes broke down; what they said from then on is missing")

    def end(self) -> None:
        """Let it end; one that waits for an engine is not waited for."""
        self._over.set()
        self.join(_END_S)


def trace(out: Path, traced: Nodes, url: str, stop: StopCondition) -> None:
    """Hear the nodes until it is time to stop.

    Raises:
        UserError: what they say cannot be written, or nobody reaches them.
    """
    next_write = 0.0
    trouble = ""
    looker = _Looker(traced)
    looker.start()
    try:
        while stop.reason() is None:
            looker.check()
            traced.read()
            if time.monotonic() >= next_write:
                next_write = time.monotonic() + _WRITE_EVERY_S
                traced.log.flush()
                _tell(out, traced, url, ended=False)
            time.sleep(_READ_EVERY_S)
    except UserError as error:
        # Beside a play nobody reads what it prints; the report reads this.
        trouble = str(error)
        raise
    finally:
        looker.end()
        traced.close()
        with contextlib.suppress(*([UserError] if trouble else [])):
            traced.log.close()
        _tell(out, traced, url, ended=True, trouble=trouble)


def _tell(out: Path, traced: Nodes, url: str, *, ended: bool, trouble: str = "") -> None:
    about = About(
        url,
        _own_addresses(traced.targets),
        dict(traced.by),
        traced.spans + traced.heard(),
        list(traced.losses),
        dict(traced.unheard),
        trouble,
        traced.log.written if ended else None,
    )
    _write(out, about)


def _own_addresses(targets: Collection[tuple[str, int]]) -> list[str]:
    """From which addresses this machine's own connections go to these."""
    found = set()
    for address, port in targets:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        # Nothing is sent: the route says it.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, port))
            found.add(str(sock.getsockname()[0]))
    return sorted(found)


def _write(out: Path, about: About) -> None:
    state = {"pid": os.getpid(), "state": "tracing" if about.written is None else "ended"}
    try:
        files.write_json(Run(out).trace, about.as_json() | state)
    except OSError as error:
        raise UserError(f"cannot write {Run(out).trace}: {error.strerror}") from error


def run(options: argparse.Namespace) -> Answer:
    """Carry out ``trace``."""
    stop = StopCondition.told(options, least_s=options.duration)
    url = options.url.url
    files.make_directory(options.out, "--out")
    if options.driver == NOBODY:
        told = "nobody reaches the nodes of this cluster: there is no driver for them"
        _write(options.out, About(url, trouble=told, written=0))
        print(told)
        return Answer({"connections": 0, "reason": told}, changed=True)
    try:
        traced = Nodes(
            nodes.driver_of(options.driver, options.profile),
            addresses(options.url, options.address),
            instants.shared_clock(options.out),
            Writer(options.out),
        )
    except UserError as error:
        if not Run(options.out).trace.exists():
            with contextlib.suppress(UserError):
                _write(options.out, About(url, trouble=str(error), written=0))
        raise
    trace(options.out, traced, url, stop)
    print(f"{traced.log.written} entries written; stopped: {stop.reason()}")
    return Answer({"connections": traced.log.written, "reason": stop.reason()}, changed=True)
