"""``probe``: the witness as a command."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab import __version__, arguments
from failover_lab.door.answer import Answer, no, said_aside
from failover_lab.errors import UserError
from failover_lab.host import priority
from failover_lab.probe import dropped
from failover_lab.probe.engine import LINGER_S, START_S, Engine, Peer, Settings
from failover_lab.probe.figures import Figures
from failover_lab.probe.options import add_to, resolve, service_from
from failover_lab.probe.ports import TRACKED_S, Ports
from failover_lab.probe.progress import Progress
from failover_lab.probe.schedule import default_reused_rate
from failover_lab.probe.service import Service
from failover_lab.probe.tally import Tally
from failover_lab.probe.writer import RunWriter
from failover_lab.run import files, instants, layout, marks, records
from failover_lab.run.lifetime import StopCondition

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

# Whoever waits for a steady state waits this much longer at most.
_STATUS_EVERY_S = 0.2
_SPARE_FILES = 64
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
    seconds = arguments.number(0.1, 7 * 86400, " s")
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
        type=seconds,
        metavar="S",
        help=f"so many seconds (default {_DURATION_S:g}, if nothing ends it)",
    )
    parser.add_argument(
        "--max-duration", type=seconds, metavar="S", help="never longer than this (default: no limit)"
    )
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
    parser.add_argument(
        "--stop-file", type=Path, metavar="F", help="stop once this file exists (default: none)"
    )
    parser.add_argument(
        "--parent-pid",
        type=arguments.whole(1, 2**31),
        metavar="P",
        help="stop with this process (default: none)",
    )
    parser.add_argument(
        "--progress",
        type=arguments.number(0, 3600, " s"),
        default=0.0,
        metavar="S",
        help="a line every S seconds (default 0: none)",
    )
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


def allow_open_files(settings: Settings) -> None:
    """Make room for as many sockets as an outage can leave open.

    Raises:
        UserError: the system does not allow so many.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  not on every system

    # A connection that was answered late lingers besides, for the server's own close.
    waiting_s = settings.connect_timeout_s + settings.read_timeout_s + LINGER_S
    needed = int((settings.new_rate + settings.reused_rate) * waiting_s) + settings.reused_connections
    needed += _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else hard
    if allowed < needed:
        raise UserError(
            f"an outage would leave {needed} sockets open, and {hard} are allowed: use a shell whose `ulimit "
            f"-Hn` is {needed} or more, or ask for fewer requests a second"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def hasten() -> str:
    """Have this process scheduled before others, as ``priority.hasten`` does; what it got."""
    return priority.hasten(2)


class Run:
    """One run of the probe: its files, if any, and when it stops."""

    def __init__(
        self,
        settings: Settings,
        out: Path | None,
        stop: StopCondition,
        progress_s: float,
        *,
        progress: Progress | None = None,
        cycle_ports: bool = True,
        given: Sequence[tuple[str, int, tuple[str, ...]]] = (),
        all_addresses: bool = False,
    ) -> None:
        """Make the directory and start the record.

        Args:
            settings: what to send.
            out: where to record it; None: nowhere.
            stop: when to stop.
            progress_s: how often to say how it goes; 0: never.
            progress: says it.
            cycle_ports: whether to choose the source ports.
            given: addresses of hosts, as ``resolve`` takes them.
            all_addresses: ask each in turn, not the first alone.

        Raises:
            UserError: the directory may not be written to or holds a record already.
        """
        if out is not None:
            try:
                out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(
                    f"cannot make {out}: {error.strerror}; give --out another directory"
                ) from error
        found = resolve(settings.target, given)
        allow_open_files(settings)
        self._settings = settings
        self._files = None if out is None else layout.Run(out).probe()
        self._stop = stop
        self._progress_s = progress_s
        self._progress = progress or Progress()
        self._complained: set[str] = set()
        self._clock = (
            instants.Clock(time.time() - time.monotonic()) if out is None else instants.shared_clock(out)
        )
        # Both: a writer that has to wait for the processor keeps the interpreter's lock meanwhile.
        self._scheduling = hasten()
        self._writer = None if self._files is None else RunWriter(self._files, lambda: priority.hasten(1))
        self._tally = Tally()
        self.figures = Figures(settings.connect_timeout_s, settings.read_timeout_s)
        self._marks = None if out is None else marks.MarkFollower(out)
        self._began = self._clock.now()
        self._dropped = dropped.Dropped(self._began)
        # The reused connections are opened once; they hardly shorten the rest.
        rate = settings.new_rate or settings.reused_rate
        self._ports = {
            family: Ports(family, rate, settings.target.port, self._began)
            for family, _ in found
            if cycle_ports
        }
        self.addresses = [address[0] for _, address in found]
        self.asked = self.addresses if all_addresses else self.addresses[:1]
        self._peers = [
            Peer(family, address, self._ports.get(family)) for family, address in found[: len(self.asked)]
        ]
        self._next_status = self._next_progress = 0.0

    def run(self) -> str:
        """Probe until it is time to stop; gives back why.

        Raises:
            UserError: the record could not be written to its end.
        """
        self._about(None)
        engine = Engine(
            self._settings,
            peers=self._peers,
            clock=self._clock,
            tally=self._tally,
            tick=self._tick,
        )
        # A second signal means: now. What is under way is then recorded as unfinished.
        engine.hurry = lambda: self._stop.signals > 1
        engine.heard = lambda record: self.figures.hear(record, self._tally.began or record.due)
        engine.stopping = self._say_stopping
        gc.collect()
        gc.freeze()
        self._stop.begin_in(START_S)
        try:
            reason = engine.run()
            if self._writer is not None:
                self._writer.put("", self._status("ended"))
        finally:
            if self._writer is not None:
                self._writer.close()
        self._dropped.look(self._clock.now(), at_once=True)
        self._about(reason)
        return reason

    def _say_stopping(self, under_way: int) -> None:
        """Tell whoever has pressed Ctrl-C why it does not end at once."""
        s = self._settings
        if self._stop.signals == 1 and under_way:
            print(
                f"stopping; waiting up to {s.connect_timeout_s + s.read_timeout_s:g} s for {under_way} "
                "requests under way (once more: at once, and they count as unfinished)",
                file=sys.stderr,
                flush=True,
            )

    def warning(self) -> str | None:
        """What to know of the figures beforehand, if anything."""
        rest_s = self._port_rest_s()
        if rest_s is None or rest_s >= TRACKED_S:
            return None
        return (
            f"each source port is used again after {rest_s:.0f} s, and a connection may be tracked on the "
            f"way for {TRACKED_S:.0f} s: at this rate some may fail or take a second more for that alone"
        )

    def _port_rest_s(self) -> float | None:
        rests_s = [ports.rest_s for ports in self._ports.values()]
        return min(rests_s) if rests_s and self._settings.new_rate else None

    def summary(self) -> str:
        """One line on what has been so far."""
        status = self._status("")
        failures = ", ".join(f"{n} {name}" for name, n in status["outcomes"].items() if name != "ok")
        return (
            f"{status['elapsed_s']:.0f} s: {status['sent']} requests, {status['failed']} failed"
            f"{f' ({failures})' if failures else ''}, slowest answer {status['slowest_ms']:.0f} ms"
        )

    def no_answer(self) -> str:
        """What to say where there was none at all: the address is wrong, or nothing good serves there."""
        if not self._tally.sent or self.figures.answered.count:
            return ""
        wrong = (
            ", ".join(f"{count} {what}" for what, count in self.figures.failures.most_common())
            or "none ended"
        )
        statuses = ", ".join(str(status) for status in sorted(self.figures.statuses))
        others = [address for address in self.addresses if address not in self.asked]
        return (
            f"{self._settings.target.url} answered none of {self._tally.sent} requests ({wrong}"
            f"{f', statuses {statuses}' if statuses else ''}); check the address, and that this machine "
            f"has a way to it. Asked was {', '.join(self.asked)}"
            + (
                f"; the name has {', '.join(others)} as well, and --addresses all asks them all"
                if others
                else ""
            )
            + (f". The record is in {self._files.directory}" if self._files else "")
        )

    def _status(self, state: str) -> dict[str, Any]:
        status = self._tally.status(now=self._clock.now(), state=state)
        return status | {"scheduling": self._scheduling}

    def _troubles(self) -> list[str]:
        """What went wrong beside the record, which is as good as without: status, marks, who reads."""
        beside = (self._writer, self._marks, self._progress)
        return [told for one in beside if one is not None and (told := one.trouble)]

    def _tick(self, rows: str) -> str | None:
        # The record first: whatever may be wrong with the rest, no row of it is lost.
        if self._writer is not None and rows:
            self._writer.put(rows, None)
        event = self._marks.newest() if self._marks is not None else None
        if event is not None:
            self._tally.begin_phase(event)
        self._dropped.look(self._clock.now())
        now = time.monotonic()
        if now >= self._next_status:
            self._next_status = now + _STATUS_EVERY_S
            if self._writer is not None:
                self._writer.put("", self._status("running"))
        if self._progress_s and now >= self._next_progress:
            self._next_progress = now + self._progress_s
            self._progress.say(self.summary())
        for trouble in self._troubles():
            if trouble not in self._complained:
                self._complained.add(trouble)
                self._progress.say(f"Mind: {trouble}; the record goes on")
        return self._stop.reason()

    def _about(self, end_reason: str | None) -> None:
        if self._files is None:
            return
        s = self._settings
        content = {
            "format": records.FORMAT,
            "version": __version__,
            "pid": os.getpid(),
            "url": s.target.url,
            "addresses": self.addresses,
            "asked": self.asked,
            "method": s.service.method,
            # Not what they say: it may be a secret.
            "headers": [name for name, _ in s.service.headers],
            "body_bytes": len(s.service.body or b""),
            "identity": str(s.service.identity),
            "new_rate": s.new_rate,
            "reused_rate": s.reused_rate,
            "reused_connections": s.reused_connections if s.reused_rate else 0,
            "scheduling": self._scheduling,
            "source_ports": "cycle" if self._ports else "system",
            "port_rest_s": None if (rest_s := self._port_rest_s()) is None else round(rest_s, 1),
            "connect_timeout_s": s.connect_timeout_s,
            "read_timeout_s": s.read_timeout_s,
            "began": instants.text(self._began),
            "ended": None if end_reason is None else instants.text(self._clock.now()),
            "end_reason": end_reason,
            "recorded": None if end_reason is None else self._tally.ended,
            "dropped": self._dropped.told(),
            # What is wrong beside the record, which goes on without.
            "trouble": self._troubles(),
        }
        try:
            files.write_json(self._files.about, content)
        except OSError as error:
            raise UserError(f"cannot write {self._files.about}: {error.strerror}") from error


def run(options: argparse.Namespace) -> Answer:
    """Carry out ``probe``."""
    with said_aside(aside=options.json):
        answered = _probed(options)
    if options.json:
        print(json.dumps(answered.data, indent=1))
    return answered


def _probed(options: argparse.Namespace) -> Answer:
    options.url = options.url or options.url_here
    stop = StopCondition(
        least_s=options.duration or 0.0,
        most_s=options.max_duration,
        stop_file=options.stop_file,
        parent_pid=options.parent_pid,
    )
    stop.catch_signals()
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
