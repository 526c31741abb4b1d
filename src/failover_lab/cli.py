"""The command line: one subcommand for each thing that the witness does."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from failover_lab import __version__, arguments
from failover_lab.application import bases
from failover_lab.application import command as application_command
from failover_lab.door import answer
from failover_lab.errors import UserError
from failover_lab.faults import predict
from failover_lab.host import belongings, engine_here, htpasswd, kernel, no_proxy, own_context, subnet
from failover_lab.kube import delete_pods
from failover_lab.kube import drain as drain_command
from failover_lab.nodes import deeds, forgotten, incomplete, proxy_rules, start_nodes, state
from failover_lab.observe import command as observe_command
from failover_lab.probe import command as probe_command
from failover_lab.probe import ready, spread, wait
from failover_lab.report import command as report_command
from failover_lab.run import marks, stop
from failover_lab.watchdog import by_hand
from failover_lab.watchdog import command as watchdog_command

if TYPE_CHECKING:
    from collections.abc import Sequence


def parser() -> arguments.Parser:
    """The whole command line."""
    result = arguments.Parser(prog=arguments.PROGRAM, description=__doc__)
    result.add_argument("--version", action="version", version=f"{arguments.PROGRAM} {__version__}")
    result.add_argument(
        "--json",
        action="store_true",
        # A subcommand may have an option of this name.
        dest="answer_as_json",
        help="the answer as JSON on standard output; what people read goes to standard error",
    )
    commands = result.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=arguments.Parser
    )
    lab = (
        application_command,
        bases,
        htpasswd,
        engine_here,
        kernel,
        subnet,
        no_proxy,
        state,
        deeds,
        start_nodes,
        incomplete,
        forgotten,
        belongings,
        own_context,
        proxy_rules,
        spread,
        predict,
    )
    hands = (drain_command, delete_pods, by_hand)
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
    # Filled word by word: it holds what was said before the word that is wrong.
    options = argparse.Namespace()
    try:
        parser().parse_args(argv, options)
        with answer.said_aside(aside=options.answer_as_json):
            answered: answer.Answer = options.run(options)
    except arguments.UsageError as error:
        _tell(error, options)
        sys.exit(2)
    except UserError as error:
        _tell(error, options)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        # As the shell has it: 128 and the number of the signal.
        return 130
    if options.answer_as_json:
        print(answered.as_json())
    return answered.status


def _tell(error: UserError, options: argparse.Namespace) -> None:
    print(f"{arguments.PROGRAM}: error: {error}", file=sys.stderr)
    if options.answer_as_json:
        print(answer.error_as_json(str(error)))
