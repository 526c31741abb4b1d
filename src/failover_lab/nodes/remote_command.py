"""``remote``: what plays run in nodes that are hosts, and what the answers mean.

Ansible reaches them, by whatever connection the inventory says, and runs what this says; nothing is sent from
here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.nodes import remote, symptoms
from failover_lab.nodes.actions import DIRECTIONS, add_identities
from failover_lab.nodes.driver import RUNNING, UNREACHABLE

Row = dict[str, Any]
T = TypeVar("T")
_MOST_S = 7 * 86400


def rows_of(value: str) -> list[Row]:
    """A type for what was heard of nodes: a list in JSON, each with ``name``."""
    try:
        found = json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it is no JSON: {error}") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) and "name" in one for one in found):
        raise argparse.ArgumentTypeError("it is no list of nodes, each with a name")
    return found


def _facts(heard: Row) -> remote.Facts | None:
    """What a node has said of itself; None: nobody reaches it.

    Raises:
        UserError: it has been reached and says nothing, or it is another machine than the node.
    """
    name, host = heard["name"], heard.get("host") or heard["name"]
    if heard.get("unreachable"):
        return None
    found = _of(name, lambda: remote.facts(str(heard.get("stdout", ""))))
    if found is None:
        raise UserError(
            f"{host} was reached and does not say what state it is in{_last(heard)}: "
            "it needs sh, and root by `become`"
        )
    known = str(heard.get("machine_id", ""))
    if known and found.machine_id != known:
        raise UserError(
            f"{host} of the group nodes is not the node {name}: their /etc/machine-id differ. Nothing was "
            "done to it; correct ansible_host, or name the node it is by node_name"
        )
    return found


def _of(name: str, ask: Callable[[], T]) -> T:
    """What a node says; a refusal names it."""
    try:
        return ask()
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _last(heard: Row) -> str:
    said = f"{heard.get('stdout', '')}\n{heard.get('stderr', '')}\n{heard.get('msg') or ''}".split("\n")
    lines = [line.strip() for line in said if line.strip() and remote.SAYS not in line]
    return f" ({lines[-1][:200]})" if lines else ""


def state(heard: Row) -> Row:
    """A node as the command ``nodes`` tells of one; its state may have been told by somebody else."""
    row: Row = {"name": heard["name"], "id": str(heard.get("machine_id", ""))}
    if "state" in heard:
        row |= {"state": heard["state"]}
    else:
        found = _facts(heard)
        row |= {"state": UNREACHABLE} if found is None else {"state": RUNNING} | found.row
    return row | {"symptoms": symptoms.of(row)}


def same(heard: Row, identities: Collection[str]) -> Row:
    """See that a node is the one that was chosen, and answers.

    Raises:
        UserError: it is not, or does not.
    """
    found = _facts(heard)
    if found is not None and (not identities or found.machine_id in identities):
        return {"name": heard["name"]}
    what = "not reached" if found is None else "another one"
    raise UserError(
        f"{heard['name']} has vanished since it was chosen: its host is {what}{_last(heard)}. Nothing was "
        "done to it."
    )


def scripts(heard: list[Row], deed: remote.Deed) -> list[Row]:
    """What each of these nodes is to run.

    Raises:
        UserError: one of them is not reached, or cannot do it.
    """
    found = []
    for one in heard:
        said = _facts(one)
        if said is None:
            raise UserError(f"{one['name']} is not reached{_last(one)}, so nothing can be done in it")
        found.append((one["name"], said))
    return [
        {"name": name, "run": remote.wrapped(_of(name, lambda: remote.program(deed, said)))}  # noqa: B023  at once
        for name, said in found
    ]


def answer(heard: Row, action: str) -> list[Row]:
    """What a node has said to a program, at least a row.

    Args:
        heard: of it, with ``name``.
        action: that the program was to do, for the sentence.

    Raises:
        UserError: it refuses, or has said nothing.
    """
    said = _of(heard["name"], lambda: remote.told(str(heard.get("stdout", ""))))
    if not said:
        raise UserError(f"{heard['name']} does not say that it could {action}{_last(heard)}")
    return said


def done(heard: list[Row], action: str, asked_at: float | None) -> list[Row]:
    """When it was done to each of these nodes.

    Raises:
        UserError: it was not.
    """
    rows = []
    for one in heard:
        said = answer(one, action)
        at = {"at": remote.at(said[-1], asked_at)} if "at" in said[-1] else {}
        rows.append({"name": one["name"]} | at)
    return rows


def add_parser(commands: arguments.Commands) -> None:
    """Add ``remote`` to the command line."""
    parser = arguments.command(commands, "remote", run)
    parser.add_argument("what", choices=["state", "same", "script", "done"])
    parser.add_argument(
        "--heard", required=True, type=rows_of, metavar="JSON", help="what each node has said"
    )
    add_identities(parser)
    parser.add_argument("--action", default="", help="of the role node, with hyphens")
    parser.add_argument(
        "--deadline", type=arguments.whole(1, _MOST_S), default=600, metavar="S",
        help="after so long a node heals itself (default 600)",
    )  # fmt: skip
    parser.add_argument("--direction", choices=DIRECTIONS, default="both", help="cut-off: default both")
    parser.add_argument("--how", choices=remote.HOWS, default=remote.HOWS[0], help="kill: default poweroff")
    parser.add_argument("--end-by", default="", metavar="COMMAND", help="kill: with --how=command")
    parser.add_argument("--starts-elsewhere", action="store_true", help="kill: somebody else starts it again")
    parser.add_argument(
        "--asked-at", type=arguments.number(0, 1e12), metavar="T", help="done: when, in seconds since 1970"
    )


def run(options: argparse.Namespace) -> Answer:
    """Say what plays are to run in nodes that are hosts, and what the answers mean.

    Prints a line of JSON for each node: its state, a script, or when something was done to it.
    """
    if options.what == "state":
        rows = [state(one) for one in options.heard]
    elif options.what == "same":
        rows = [same(one, options.id) for one in options.heard]
    elif options.what == "script":
        deed = remote.Deed(
            options.action,
            options.deadline,
            tuple(DIRECTIONS[options.direction].split()),
            options.how,
            options.end_by,
            elsewhere=options.starts_elsewhere,
        )
        rows = scripts(options.heard, deed)
    else:
        rows = done(options.heard, options.action, options.asked_at)
    for row in rows:
        print(json.dumps(row))
    return Answer({"nodes": rows})
