"""``check-spread``: does every pod and every node answer through the address?"""

from __future__ import annotations

import collections
import dataclasses
import http.client
import json
import math
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from failover_lab import arguments
from failover_lab.door.answer import Answer, no
from failover_lab.probe import identity
from failover_lab.probe.ports import Ports
from failover_lab.waiting import until

if TYPE_CHECKING:
    import argparse

    from failover_lab.arguments import Target


_KNOWN_PACE_S = 0.01
_GOOD = range(200, 400)
# Who answered where answers name nobody.
_ANYBODY = identity.Identity("", "")
# So many good answers in a row say that an address is there.
_ANSWERS = 20
# Of the witness, unless it is told otherwise.
_RATE = 200.0
# For so long at most one request waits for the very first answer.
_FIRST_S = 3.0


_LEAST_REQUESTS = 300
# One in a million: that chance alone keeps a pod that answers as well as the others from being asked.
_MISSED = 1e-6


def enough(pods: int) -> int:
    """How many requests, each to a pod chosen at random, so many pods need for each to be asked."""
    return max(_LEAST_REQUESTS, math.ceil(pods * math.log(max(pods, 1) / _MISSED)))


def rested_ports(family: int, avoid: int, now: float) -> Ports:
    """Source ports from which the witness has not asked for long, and will not for as long.

    A node that was lost leaves half-open connections behind: for two minutes the kernels send whoever asks
    from the same port again to a pod that is gone. The witness goes round all ports, so the rested ones are
    half a round away from where it is.

    Args:
        family: of the sockets.
        avoid: the server's own port.
        now: the time in seconds.
    """
    ports = Ports(family, _RATE, avoid, now)
    ports.go_half_round()
    return ports


@dataclass
class Spread:
    """Who answered so far, and who did not."""

    expect_pods: list[str]
    expect_nodes: list[str]
    requests: int = 0
    failed: int = 0
    pods: collections.Counter[str] = field(default_factory=collections.Counter)
    nodes: collections.Counter[str] = field(default_factory=collections.Counter)

    @property
    def missing_pods(self) -> list[str]:
        """Expected pods that have not answered."""
        return [name for name in self.expect_pods if name not in self.pods]

    @property
    def missing_nodes(self) -> list[str]:
        """Expected nodes from which nothing has answered."""
        return [name for name in self.expect_nodes if name not in self.nodes]

    @property
    def complete(self) -> bool:
        """Whether everything expected has answered."""
        return not self.missing_pods and not self.missing_nodes

    def figures(self) -> dict[str, Any]:
        """The result as it is printed."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "pods": {name: count for name, count in sorted(self.pods.items()) if name},
            "nodes": {name: count for name, count in sorted(self.nodes.items()) if name},
            "missing_pods": self.missing_pods,
            "missing_nodes": self.missing_nodes,
        }


class Asker:
    """Asks who answers, each time on a connection of its own."""

    def __init__(self, target: Target, *, by_name: bool = True) -> None:
        """Nothing is asked yet.

        Args:
            target: where the requests go.
            by_name: whether only an answer that names pod and node is a good one.
        """
        self._target = target
        self._by_name = by_name
        self._ports: dict[int, Ports] = {}

    def _connected(self, timeout_s: float) -> socket.socket:
        """A new connection.

        Raises:
            OSError: there is none.
            UserError: what was given can be no host's name.
        """
        target = self._target
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                target.host, target.port, type=socket.SOCK_STREAM
            )[0]
        except UnicodeError as error:
            # One that is not known yet may be by the next request; this one never will be.
            raise target.unknown(error) from error
        if family not in self._ports:
            self._ports[family] = rested_ports(family, target.port, time.time())
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(timeout_s)
            self._ports[family].bind(sock)
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock

    def ask(self, timeout_s: float) -> identity.Identity | None:
        """One GET; None where no good answer came.

        Raises:
            UserError: what was given can be no host's name.
        """
        target = self._target
        connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout_s)
        try:
            connection.sock = self._connected(timeout_s)
            connection.request("GET", target.path, headers={"Connection": "close", "Host": target.authority})
            response = connection.getresponse()
            body = response.read(65536)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if not self._by_name:
            return _ANYBODY if response.status in _GOOD else None
        return identity.identify(body) if response.status == 200 else None


def check(
    target: Target,
    spread: Spread,
    *,
    requests: int,
    timeout_s: float,
    wait_s: float = 0.0,
    pace_s: float = 0.05,
    by_name: bool = True,
) -> Spread:
    """Send requests until everything expected has answered, or the requests or the time are used up.

    Args:
        target: where to send them.
        spread: what is expected; filled in and given back.
        requests: at most so many, one at a time.
        timeout_s: for one request and for them all.
        wait_s: what fails before the first answer does not count for so long.
        pace_s: the least time from one failure to the next request.
        by_name: whether answers name pod and node; without, it ends after so many good ones.

    An answer of a pod that has answered before is followed by a short pause.

    Raises:
        UserError: what was given can be no host's name.
    """
    ask = Asker(target, by_name=by_name).ask
    if wait_s:
        until(lambda: ask(min(wait_s, _FIRST_S)) is None, wait_s, every_s=pace_s)
    # No wait: each look is a request that counts, and its outcome sets the pace.
    deadline = time.monotonic() + timeout_s
    while spread.requests < requests and (left := deadline - time.monotonic()) > 0:
        began = time.monotonic()
        who = ask(min(left, 5.0))
        spread.requests += 1
        if who is None:
            spread.failed += 1
            # A server that refuses does so in microseconds: without a pace, 300 requests would prove nothing.
            time.sleep(max(0.0, pace_s - (time.monotonic() - began)))
            continue
        fresh = who.pod not in spread.pods
        spread.pods[who.pod] += 1
        spread.nodes[who.node] += 1
        if spread.complete and (by_name or spread.requests >= _ANSWERS):
            break
        if not fresh:
            # The nodes' rules follow the list of endpoints within a second or two, which is longer than 300
            # requests take to the only pod that they know.
            time.sleep(_KNOWN_PACE_S)
    return spread


def add_parser(commands: arguments.Commands) -> None:
    """Add ``check-spread`` to the command line."""
    parser = arguments.command(commands, "check-spread", run)
    parser.add_argument(
        "--url", required=True, type=arguments.target, help="http://ADDRESS, /whoami is added"
    )
    parser.add_argument(
        "--requests",
        type=arguments.whole(1, 1_000_000),
        help=f"at most (default {_LEAST_REQUESTS}, and more for many pods)",
    )
    parser.add_argument(
        "--expect-pods", type=arguments.names, default=[], metavar="A,B", help="pods that must answer"
    )
    parser.add_argument(
        "--expect-nodes", type=arguments.names, default=[], metavar="X,Y", help="nodes that must"
    )
    arguments.add_seconds(parser, "--timeout", 60.0, "for all", low=0.1)
    arguments.add_seconds(parser, "--wait", 0.0, "for the first answer, before which nothing counts")
    parser.add_argument(
        "--identity",
        choices=["auto", "none"],
        default="auto",
        help="what an answer says of who gave it: auto, as /whoami does; none, and any status from 200 to "
        "399 is good",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Does every pod and every node answer through the address?

    Sends GET /whoami, each on a new connection, until every expected pod and node has answered; with
    --identity=none, until some twenty answers have come. Status 0 when all have and no request failed, else
    1.
    """
    by_name = options.identity == "auto"
    url: Target = options.url
    if by_name and url.path == "/":
        url = dataclasses.replace(url, path="/whoami")
    spread = check(
        url,
        Spread(options.expect_pods, options.expect_nodes) if by_name else Spread([], []),
        requests=options.requests or enough(len(options.expect_pods)),
        timeout_s=options.timeout,
        wait_s=options.wait,
        by_name=by_name,
    )
    # What is wrong first: there may be many pods.
    lines = [f"{spread.requests} requests, {spread.failed} failed"]
    for what, missing in (("pod", spread.missing_pods), ("node", spread.missing_nodes)):
        lines += [f"{what} {name}: no answer" for name in missing]
    for what, seen in (("pod", spread.pods), ("node", spread.nodes)):
        lines += [f"{what} {name}: {count}" for name, count in sorted(seen.items()) if name]
    print(json.dumps(spread.figures()) if options.json else "\n".join(lines))
    if spread.complete and not spread.failed and spread.requests:
        return Answer(spread.figures())
    return no("; ".join(lines), spread.figures())
