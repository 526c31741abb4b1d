"""The command line: one subcommand for each thing that the witness does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from failover_lab import (
    __version__,
    arguments,
    belongings,
    direct,
    engine_here,
    forgotten,
    htpasswd,
    kernel,
    nodes,
    own_context,
    predict,
    routes,
    spread,
    start_nodes,
    stop,
    subnet,
    unjoined,
)
from failover_lab.drain import command as drain_command
from failover_lab.errors import UserError
from failover_lab.hands import delete_pods, give_away
from failover_lab.observe import command as observe_command
from failover_lab.probe import command as probe_command
from failover_lab.probe import marks, ready, wait
from failover_lab.report import command as report_command
from failover_lab.watchdog import command as watchdog_command

if TYPE_CHECKING:
    from collections.abc import Sequence


def parser() -> arguments.Parser:
    """The whole command line."""
    result = arguments.Parser(prog=arguments.PROGRAM, description=__doc__)
    result.add_argument("--version", action="version", version=f"{arguments.PROGRAM} {__version__}")
    commands = result.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=arguments.Parser
    )
    lab = (
        htpasswd,
        engine_here,
        kernel,
        subnet,
        direct,
        nodes,
        start_nodes,
        unjoined,
        forgotten,
        belongings,
        own_context,
        routes,
        spread,
        predict,
    )
    hands = (drain_command, delete_pods, give_away)
    witness = (ready, probe_command, marks, wait, observe_command, watchdog_command, stop, report_command)
    for module in (*lab, *hands, *witness):
        module.add_parser(commands)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        0: done and all is well; 1: done, and the answer is no; 2: it could not be done, a line says why;
        130: it was interrupted.
    """
    options = parser().parse_args(argv)
    try:
        status: int = options.run(options)
    except UserError as error:
        print(f"{arguments.PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        # As the shell has it: 128 and the number of the signal.
        return 130
    return status
