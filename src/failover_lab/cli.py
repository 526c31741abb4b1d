"""The command line: one subcommand for each thing that the witness does."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import __version__, arguments
from failover_lab.application import bases
from failover_lab.application import command as application_command
from failover_lab.door import answer, former
from failover_lab.errors import UserError
from failover_lab.faults import driver_choice, predict
from failover_lab.host import (
    belongings,
    engine_here,
    htpasswd,
    kernel,
    no_proxy,
    own_context,
    streams,
    subnet,
)
from failover_lab.kube import delete_pods, restarts, roll_out, zones
from failover_lab.kube import drain as drain_command
from failover_lab.live import command as live_command
from failover_lab.nodes import (
    actions,
    forgotten,
    incomplete,
    proxy_rules,
    remote_command,
    start_nodes,
    state,
)
from failover_lab.nodes.driver import DriverError, unanswered
from failover_lab.observe import command as observe_command
from failover_lab.probe import api, ready, spread, wait
from failover_lab.probe import command as probe_command
from failover_lab.probe import options as probe_options
from failover_lab.report import command as report_command
from failover_lab.run import marks, stop
from failover_lab.trace import command as trace_command
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
        actions,
        start_nodes,
        incomplete,
        forgotten,
        belongings,
        own_context,
        proxy_rules,
        remote_command,
        driver_choice,
        zones,
        spread,
        predict,
    )
    operator = (drain_command, delete_pods, restarts, roll_out, by_hand)
    witness = (
        ready,
        probe_options,
        probe_command,
        marks,
        wait,
        observe_command,
        api,
        trace_command,
        watchdog_command,
        stop,
        report_command,
        live_command,
    )
    for module in (*lab, *operator, *witness):
        module.add_parser(commands)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        0: done and all is well; 1: done, and the answer is no; 2: it could not be done, a line says why;
        3: it broke down, which is a bug, and a line says where more is written; 130: it was interrupted.

    Raises:
        OSError: there is no room for what it says.
    """
    _take_any_character()
    # Filled word by word: it holds what was said before the word that is wrong.
    options = argparse.Namespace()
    typed, notice = former.present(sys.argv[1:] if argv is None else argv)
    if notice:
        print(f"{arguments.PROGRAM}: {notice}", file=sys.stderr)
    try:
        parser().parse_args(typed, options)
        with answer.said_aside(aside=options.answer_as_json):
            answered: answer.Answer = options.run(options)
    except arguments.UsageError as error:
        _tell(error, options)
        sys.exit(2)
    except (UserError, DriverError) as error:
        _tell(unanswered(error) if isinstance(error, DriverError) else error, options)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        # As the shell has it: 128 and the number of the signal.
        return 130
    except Exception as error:  # noqa: BLE001  the last one: with Python's own status, 1, it would be an answer
        _tell(UserError(_broke_down(error)), options)
        return 3
    if options.answer_as_json:
        print(answered.as_json())
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # It is done, and the answer is what it is, whoever has read it.
        _say_no_more()
    return answered.status


def _take_any_character() -> None:
    """A terminal that lacks a character gets another one for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")


def _say_no_more() -> None:
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w", encoding="ascii") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _broke_down(error: Exception) -> str:
    """What to say of a bug.

    Raises:
        OSError: there is no room for what it says, which is none.
    """
    if isinstance(error, OSError) and error.errno in streams.NO_ROOM:
        raise error
    what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    told = f"this is a bug of {arguments.PROGRAM} {__version__} ({what})"
    try:
        number, name = tempfile.mkstemp(prefix=f"{arguments.PROGRAM}-bug-", suffix=".txt")
        with open(number, "w", encoding="utf-8", errors="replace") as file:  # noqa: PTH123  it is open
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{told}; it broke down in {where.filename}, line {where.lineno}"
    return f"{told}; the details lie in {name}: report it with them"


def _tell(error: UserError, options: argparse.Namespace) -> None:
    print(f"{arguments.PROGRAM}: error: {error}", file=sys.stderr)
    if options.answer_as_json:
        print(answer.error_as_json(str(error)))
