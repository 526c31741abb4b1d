"""``proxy-rules``: wait until nodes send to a Service's pods of now, and to no others.

A node that was cut off comes back with the rules of before, and keeps them until its kube-proxy hears of
changes again: its connection to the API was silent, and TCP asks after it ever more seldom. If it announces
the address meanwhile, users are sent to pods that are gone.
"""

from __future__ import annotations

import argparse
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from failover_lab import arguments, nodes
from failover_lab.door.answer import Answer, no
from failover_lab.errors import UserError
from failover_lab.kube.client import Api, items
from failover_lab.kube.errors import RefusedError
from failover_lab.nodes import remote
from failover_lab.nodes.driver import Driver, DriverError
from failover_lab.nodes.remote_command import Row, answer, rows_of
from failover_lab.waiting import until

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from failover_lab.kube.objects import Object
    from failover_lab.nodes.driver import Shell

# Where kube-proxy's rules for a Service lead: addresses with ports. Without "known" it is the answer of a
# node that has no such rules of any Service: another kind of proxy. Which of the kernel's two tables they are
# in is the choice of kube-proxy, and not always that of the host's own command.
_LEADS = r"""
leads() {
    for save in iptables-save iptables-nft-save iptables-legacy-save; do
        rules=$($save -t nat 2>/dev/null) || continue
        case $rules in *KUBE-SVC-*) printf known; break ;; esac
    done
    printf '%s\n' "$rules" | grep -E -- "--comment \"$1[:\"]" | grep -o -- '--to-destination [0-9.:]*' |
        while read -r _ to; do printf ' %s' "$to"; done
    echo
}
"""
# Answers each line.
_QUESTION = _LEADS + 'while read -r _; do leads "$1"; done'
# For a host, which is asked once: it waits by itself, and then says how its rules are.
_WAITS = r"""
right() {
    case $(leads "$1" | tr ' ' '\n' | LC_ALL=C sort -u | xargs) in "$2" | '') ;; *) return 1 ;; esac
}
over=$(($(date +%s) + {timeout}))
tell() { say "{\"service\": \"$1\", \"leads\": \"$(leads "$1")\"}"; }
until { {right}; } || [ "$(date +%s)" -ge "$over" ]; do sleep 0.5; done
{tell}
"""
_POLL_S = 0.5
# A look that is begun in time may take so long; a node that freezes as it is asked must not hold it up.
_ANSWER_S = 10.0

_KNOWN = "known"

Found = dict[str, set[str] | None]


def leads_to(told: str) -> set[str] | None:
    """The addresses in a node's answer; None if its proxy is of another kind."""
    known, *addresses = told.split() or [""]
    return set(addresses) if known == _KNOWN else None


def ready(slices: list[Object]) -> set[str]:
    """Address and port of each endpoint that is listed as ready."""
    return {
        f"{address}:{port['port']}"
        for item in slices
        for endpoint in item.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready")
        for address in endpoint["addresses"]
        for port in item.get("ports") or []
    }


def program(wanted: Mapping[str, set[str]], timeout_s: float) -> str:
    """The program with which a node that is a host waits until its rules are right, and tells how they are.

    Args:
        wanted: for each Service, by ``namespace/name``, where it is to lead.
        timeout_s: how long it waits, in seconds.
    """
    right = [f"right {name} '{' '.join(sorted({_KNOWN, *to}))}'" for name, to in wanted.items() if to]
    waits = (
        _WAITS.replace("{timeout}", str(round(timeout_s)))
        .replace("{right}", " && ".join(right) or "true")
        .replace("{tell}", "\n".join(f"tell {name}" for name in wanted))
    )
    return remote.HEAD + _LEADS + waits


def stale(wanted: set[str], found: Found) -> list[str]:
    """What is wrong with the rules of which node, in words; empty if nothing is."""
    return [
        f"{name} {'still sends to' if more else 'does not send to'} {', '.join(sorted(more or less))}"
        for name, addresses in sorted(found.items())
        if addresses is not None
        for more, less in [(addresses - wanted, wanted - addresses)]
        if more or less
    ]


def ask(shells: dict[str, tuple[Shell, Iterator[str]]]) -> Found:
    """Where the rules of each node lead, asked of all at once.

    Raises:
        UserError: one of them says nothing any more.
    """
    for name, (shell, _) in shells.items():
        _question(name, shell)
    return {name: _answer(name, lines) for name, (_, lines) in shells.items()}


def _question(name: str, shell: Shell) -> None:
    try:
        shell.write("now")
    except OSError as error:
        raise _silent(name) from error


def _answer(name: str, lines: Iterator[str]) -> set[str] | None:
    line = next(lines, None)
    if line is None:
        raise _silent(name)
    return leads_to(line)


def _silent(name: str) -> UserError:
    return UserError(f"{name} has ended or frozen while it was asked for its rules; `docker ps` shows which")


def _end(shells: dict[str, tuple[Shell, Iterator[str]]]) -> None:
    for shell, _ in shells.values():
        shell.close()


def endpoints(api: Api, namespace: str, service: str) -> set[str]:
    """Address and port of each ready endpoint of a Service.

    Raises:
        RefusedError: the API server said no.
        UserError: it does not answer.
    """
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    return ready(items(api.request("get", path, labelSelector=f"kubernetes.io/service-name={service}")))


def compared(
    api: Api, engine: Driver, names: Collection[str], service: str, options: argparse.Namespace
) -> list[str]:
    """Wait as the options say; what is wrong with the rules of a Service at the end.

    Raises:
        DriverError: the engine does not answer, or a node does not run.
        RefusedError: the API server said no.
        UserError: a node has ended or frozen meanwhile.
    """
    with ExitStack() as stack:
        shells: dict[str, tuple[Shell, Iterator[str]]] = {}
        for name in names:
            shell = engine.shell(name, ["sh", "-c", _QUESTION, "sh", f"{options.namespace}/{service}"])
            stack.callback(shell.close)
            shells[name] = (shell, shell.lines())
        late = threading.Timer(options.timeout + _ANSWER_S, _end, [shells])
        stack.callback(late.cancel)
        late.start()

        def look() -> list[str]:
            wanted = endpoints(api, options.namespace, service)
            # Of none that is ready, kube-proxy makes other rules.
            return stale(wanted, ask(shells)) if wanted else []

        return until(look, options.timeout, every_s=_POLL_S)


def told(wanted: Mapping[str, set[str]], heard: list[Row]) -> list[str]:
    """What is wrong with the rules of hosts, by what each has said; empty if nothing is.

    Raises:
        UserError: one of them was not reached, or says nothing of a Service.
    """
    said = {
        one["name"]: {row["service"]: row["leads"] for row in answer(one, "tell its rules")} for one in heard
    }
    return [
        sentence
        for service, addresses in wanted.items()
        if addresses
        for sentence in stale(addresses, {name: leads_to(rows[service]) for name, rows in said.items()})
    ]


def add_parser(commands: arguments.Commands) -> None:
    """Add ``proxy-rules`` to the command line."""
    parser = arguments.command(commands, "proxy-rules", run)
    nodes.add_options(parser)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--nodes", type=arguments.names, metavar="X,Y", help="that the driver reaches")
    who.add_argument("--program", action="store_true", help="print what nodes that are hosts are to run")
    who.add_argument("--heard", type=rows_of, metavar="JSON", help="what each host has said to that")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--service", required=True, type=arguments.names, metavar="A,B")
    arguments.add_cluster(parser)
    arguments.add_seconds(parser, "--timeout", 60.0)


def run(options: argparse.Namespace) -> Answer:
    """Wait until nodes send to a Service's pods of now, and to no others.

    Compares the rules of kube-proxy (iptables) in nodes of a minikube profile with the Service's
    endpoints. Status 1 if they still differ at the end. A node with another kind of proxy is passed over.
    Hosts wait by themselves, with the program that ``--program`` prints.

    Raises:
        UserError: the driver or the cluster does not answer, or a node does not run.
    """
    try:
        engine = nodes.driver_of(options.driver, options.profile) if options.nodes else None
        api = Api(options.context, options.kubeconfig)
        if engine is not None:
            wrong = [
                sentence
                for service in options.service
                for sentence in compared(api, engine, options.nodes, service, options)
            ]
        else:
            wanted = {
                f"{options.namespace}/{service}": endpoints(api, options.namespace, service)
                for service in options.service
            }
            if options.program:
                command = remote.wrapped(program(wanted, options.timeout))
                print(command)
                return Answer({"run": command})
            wrong = told(wanted, options.heard)
    except DriverError as error:
        raise UserError(f"a node cannot be asked for its rules: {error}; {error.remedy}") from error
    except RefusedError as error:
        raise UserError(f"the cluster cannot be asked for the Service's endpoints: {error}") from error
    for sentence in wrong:
        print(sentence)
    return no("; ".join(wrong)) if wrong else Answer()
