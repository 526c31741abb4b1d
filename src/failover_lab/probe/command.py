"""``probe``: the witness as a command."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer, no, said_aside
from failover_lab.errors import UserError
from failover_lab.probe.engine import Settings
from failover_lab.probe.options import add_to, service_from
from failover_lab.probe.probing import Run, allow_open_files
from failover_lab.probe.progress import Progress
from failover_lab.probe.schedule import default_reused_rate
from failover_lab.probe.service import Service
from failover_lab.run import files, layout
from failover_lab.run.lifetime import StopCondition

if TYPE_CHECKING:
    import argparse

_REUSED_CONNECTIONS = 10
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 3.0, 5.0
_DURATION_S = 60.0
_RATE = 200.0


def add_parser(commands: argparse._SubParsersAction[arguments.Parser]) -> None:
    """Add ``probe`` to the command line."""
    parser = commands.add_parser(
        "probe",
        help="send requests at a constant rate and record each",
        description="Sends requests to any service at a constant rate, whatever that does, and says how they "
        "fared. With --out, each is recorded there, in requests.csv.gz; without, none. With both "
        "kinds of connections the rate is that of the new ones; the reused ones get a tenth of it (at least "
        "1/s) unless --reused-rate says otherwise. Ends after --duration, or after -n requests. With "
        "--stop-file, --parent-pid or --max-duration it runs until one of them says stop, and for --duration "
        "at least. SIGTERM and SIGINT end it at any time, and in good order; a second one at once. Status 0; "
        "1 if none was answered, or more were lost or took longer than allowed; 2 if it could not be done.",
    )
    rates = arguments.rate(0.1, 20_000)
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument(
        "url_here", nargs="?", type=arguments.target, metavar="[--url] URL", help="http:// or https://"
    )
    whom.add_argument("--url", type=arguments.target, metavar="URL", help="the same, by its name")
    parser.add_argument(
        "--rate",
        type=rates,
        default=_RATE,
        metavar="N",
        help=f"requests/s, or such as 200/1m (default {_RATE:g})",
    )
    parser.add_argument(
        "-n",
        "--requests",
        type=arguments.whole(1, 10**9),
        metavar="N",
        help="so many in all (default: no limit)",
    )
    parser.add_argument(
        "--connections",
        choices=("new", "reused", "both"),
        default="both",
        help="a new one for each request, some that are kept open, or both kinds (default both)",
    )
    parser.add_argument(
        "--reused-rate",
        type=rates,
        metavar="N",
        help="requests/s over all reused connections (default: a tenth of the rate, at least 1)",
    )
    parser.add_argument(
        "--reused-connections",
        type=arguments.whole(1, 1000),
        default=_REUSED_CONNECTIONS,
        metavar="N",
        help=f"that are kept open (default {_REUSED_CONNECTIONS})",
    )
    parser.add_argument(
        "--duration",
        type=arguments.number(0.1, 7 * 86400, " s"),
        metavar="S",
        help=f"so many seconds (default {_DURATION_S:g}, if nothing ends it)",
    )
    arguments.add_lifetime(parser)
    timeouts = arguments.number(0.05, 120, " s")
    parser.add_argument(
        "--connect-timeout",
        type=timeouts,
        default=_CONNECT_TIMEOUT_S,
        metavar="S",
        help=f"for a connection (default {_CONNECT_TIMEOUT_S:g})",
    )
    parser.add_argument(
        "--read-timeout",
        type=timeouts,
        default=_READ_TIMEOUT_S,
        metavar="S",
        help=f"for the whole answer from then on, with the handshake of TLS (default {_READ_TIMEOUT_S:g})",
    )
    parser.add_argument(
        "--source-ports",
        choices=("cycle", "system"),
        default="cycle",
        help="cycle: all from 1024 to 65535 in turn, so that each rests as long as possible (default)",
    )
    add_to(parser)
    parser.add_argument(
        "--max-lost",
        type=arguments.whole(0, 10**9),
        metavar="N",
        help="status 1 if more are lost (default: any)",
    )
    parser.add_argument(
        "--max-p99",
        type=arguments.number(0.001, 1e6, " ms"),
        metavar="MS",
        help="status 1 if 99%% took longer, a lost one counting as its time-out (default: any)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON (default: as text)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="record each request in this directory (default: nowhere)"
    )
    arguments.add_seconds(parser, "--progress", 0.0, "a line every S seconds, 0 for none", high=3600)
    parser.set_defaults(run=run)

    checking = commands.add_parser(
        "open-files", help="check that a probe may open as many sockets as it can need"
    )
    checking.add_argument("--rate", type=rates, default=_RATE, metavar="N", help="requests/s (default 200)")
    checking.add_argument("--connections", choices=("new", "reused", "both"), default="both")
    checking.set_defaults(
        run=check_open_files,
        url=None,
        requests=None,
        duration=None,
        max_duration=None,
        stop_file=None,
        parent_pid=None,
        reused_rate=None,
        reused_connections=_REUSED_CONNECTIONS,
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
    )


def check_open_files(options: argparse.Namespace) -> Answer:
    """Say that there is room for them, before anything else is done.

    Raises:
        UserError: there is not.
    """
    allow_open_files(settings_from(options, Service()))
    print("enough")
    return Answer()


def _told(options: argparse.Namespace) -> bool:
    """Whether somebody else says when to stop."""
    return any(value is not None for value in (options.stop_file, options.parent_pid, options.max_duration))


def settings_from(options: argparse.Namespace, service: Service) -> Settings:
    """What to send, from the command line.

    Raises:
        UserError: two settings contradict each other.
    """
    least_s = options.duration or 0.0
    if options.max_duration is not None and options.max_duration < least_s:
        raise UserError(
            f"--max-duration {options.max_duration:g} is less than --duration {least_s:g}; raise "
            "one or lower the other"
        )
    new = options.connections in {"new", "both"}
    reused_rate = options.reused_rate
    if reused_rate is None:
        reused_rate = default_reused_rate(options.rate) if new else options.rate
    return Settings(
        target=options.url,
        new_rate=options.rate if new else 0.0,
        reused_rate=reused_rate if options.connections in {"reused", "both"} else 0.0,
        reused_connections=options.reused_connections,
        connect_timeout_s=options.connect_timeout,
        read_timeout_s=options.read_timeout,
        service=service,
        duration_s=None if _told(options) else _duration_s(options),
        most=options.requests,
    )


def _duration_s(options: argparse.Namespace) -> float | None:
    """How long to send, where nobody says stop."""
    return options.duration or (None if options.requests else _DURATION_S)


def run(options: argparse.Namespace) -> Answer:
    """Carry out ``probe``."""
    with said_aside(aside=options.json):
        answered = _probed(options)
    if options.json:
        print(json.dumps(answered.data, indent=1))
    return answered


def _probed(options: argparse.Namespace) -> Answer:
    options.url = options.url or options.url_here
    stop = StopCondition.told(options, least_s=options.duration or 0.0)
    probe = None
    progress = Progress()
    try:
        settings = settings_from(options, service_from(options))
        probe = Run(
            settings,
            options.out,
            stop,
            options.progress,
            progress=progress,
            cycle_ports=options.source_ports == "cycle",
            given=options.resolve,
            all_addresses=options.addresses == "all",
        )
        if warning := probe.warning():
            progress.say(warning)
        reason = probe.run()
    except UserError as error:
        progress.close()
        if options.out is not None:
            _leave_word(options, error, begun=probe is not None)
        raise
    # Whoever says when to stop watches it meanwhile, and asks for a report in any case.
    watched = options.stop_file is not None or options.parent_pid is not None
    data = {"reason": reason, "url": options.url.url, "addresses": probe.addresses, "asked": probe.asked}
    data |= probe.figures.told()
    lines = [] if watched else [f"{options.url.url} ({', '.join(probe.asked)})", *probe.figures.lines()]
    progress.close("\n".join([*lines, f"{probe.summary()}; stopped: {reason}"]))
    whys = [] if watched else [probe.no_answer()]
    if options.max_lost is not None and probe.figures.lost > options.max_lost:
        whys.append(f"{probe.figures.lost} requests were lost, and --max-lost allows {options.max_lost}")
    p99_ms = probe.figures.all.percentile_ms(0.99)
    if options.max_p99 is not None and p99_ms is not None and p99_ms > options.max_p99:
        whys.append(
            f"99% of the requests took up to {p99_ms:.1f} ms, and --max-p99 allows {options.max_p99:g}"
        )
    if whys := [why for why in whys if why]:
        for why in whys:
            print(f"{arguments.PROGRAM}: error: {why}", file=sys.stderr)
        return no("; ".join(whys), data, changed=options.out is not None)
    return Answer(data, changed=options.out is not None)


def _leave_word(options: argparse.Namespace, error: UserError, *, begun: bool) -> None:
    """Beside a play nobody reads what is printed; who waits for it reads this. Another run's status stays."""
    status = layout.Run(options.out).probe().status
    waited_for = options.stop_file is not None or options.out.exists()
    if begun or (waited_for and not status.exists()):
        with contextlib.suppress(OSError):
            options.out.mkdir(parents=True, exist_ok=True)
            files.write_json(status, {"state": "ended", "trouble": str(error)})
