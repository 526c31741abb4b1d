"""``probe``: the witness as a command."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from failover_lab import __version__, arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.host import priority
from failover_lab.probe import dropped
from failover_lab.probe.engine import START_S, Engine, Settings
from failover_lab.probe.ports import TRACKED_S, Ports
from failover_lab.probe.progress import Progress
from failover_lab.probe.schedule import default_reused_rate
from failover_lab.probe.tally import Tally
from failover_lab.probe.writer import RunWriter
from failover_lab.run import files, instants, layout, marks, records
from failover_lab.run.lifetime import StopCondition

if TYPE_CHECKING:
    import argparse

    from failover_lab.arguments import Target
    from failover_lab.probe.exchange import Address

# Whoever waits for a steady state waits this much longer at most.
_STATUS_EVERY_S = 0.2
_SPARE_FILES = 64
_REUSED_CONNECTIONS = 10
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 3.0, 5.0
_DURATION_S = 60.0


def add_parser(commands: argparse._SubParsersAction[arguments.Parser]) -> None:
    """Add ``probe`` to the command line."""
    parser = commands.add_parser(
        "probe",
        help="send requests at a constant rate and record each",
        description="Sends requests at a constant rate, whatever the server does, and records each in "
        "requests.csv.gz. With both kinds of connections the rate is that of the new ones; the reused ones "
        "get a tenth of it (at least 1/s) unless --reused-rate says otherwise. Ends after --duration, 60 s "
        "unless given. With --stop-file, --parent-pid or --max-duration it runs until one of them says stop, "
        "and for --duration at least. SIGTERM and SIGINT end it at any time, and in good order.",
    )
    seconds = arguments.number(0.1, 7 * 86400, " s")
    rates = arguments.number(0.1, 20_000, " requests/s")
    parser.add_argument("--url", required=True, type=arguments.target, help="http://ADDRESS/whoami")
    parser.add_argument("--rate", type=rates, default=200.0, metavar="N", help="requests/s (default 200)")
    parser.add_argument("--connections", choices=("new", "reused", "both"), default="both")
    parser.add_argument(
        "--reused-rate", type=rates, metavar="N", help="requests/s over all reused connections"
    )
    parser.add_argument(
        "--reused-connections", type=arguments.whole(1, 1000), default=_REUSED_CONNECTIONS, metavar="N"
    )
    parser.add_argument("--duration", type=seconds, metavar="S", help="at least so long")
    parser.add_argument("--max-duration", type=seconds, metavar="S", help="never longer than this")
    timeouts = arguments.number(0.05, 120, " s")
    parser.add_argument("--connect-timeout", type=timeouts, default=_CONNECT_TIMEOUT_S, metavar="S")
    parser.add_argument("--read-timeout", type=timeouts, default=_READ_TIMEOUT_S, metavar="S")
    parser.add_argument(
        "--source-ports",
        choices=("cycle", "system"),
        default="cycle",
        help="cycle: all from 1024 to 65535 in turn, so that each rests as long as possible (default)",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the run's directory")
    parser.add_argument("--stop-file", type=Path, metavar="F", help="stop once this file exists")
    parser.add_argument(
        "--parent-pid", type=arguments.whole(1, 2**31), metavar="P", help="stop with this process"
    )
    parser.add_argument(
        "--progress",
        type=arguments.number(0, 3600, " s"),
        default=0.0,
        metavar="S",
        help="a line every S seconds",
    )
    parser.set_defaults(run=run)

    checking = commands.add_parser(
        "open-files", help="check that a probe may open as many sockets as it can need"
    )
    checking.add_argument("--rate", type=rates, default=200.0, metavar="N", help="requests/s (default 200)")
    checking.add_argument("--connections", choices=("new", "reused", "both"), default="both")
    checking.set_defaults(
        run=check_open_files,
        url=None,
        duration=None,
        max_duration=None,
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
    allow_open_files(settings_from(options))
    print("enough")
    return Answer()


def settings_from(options: argparse.Namespace) -> Settings:
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
    )


def resolve(target: Target) -> tuple[int, Address]:
    """The family and the address to connect to: one of them, and always the same one.

    Raises:
        UserError: the name is not known.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise target.unknown(error) from error
    family, _, _, _, address = found[0]
    # The types of getaddrinfo allow for systems whose IPv6 was compiled out.
    return family, cast("Address", address)


def allow_open_files(settings: Settings) -> None:
    """Make room for as many sockets as an outage can leave open.

    Raises:
        UserError: the system does not allow so many.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  not on every system

    waiting_s = settings.connect_timeout_s + settings.read_timeout_s
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
    """One run of the probe: its files and when it stops."""

    def __init__(
        self,
        settings: Settings,
        out: Path,
        stop: StopCondition,
        progress_s: float,
        *,
        progress: Progress | None = None,
        cycle_ports: bool = True,
    ) -> None:
        """Make the directory and start the record.

        Raises:
            UserError: the directory may not be written to or holds a record already.
        """
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {out}: {error.strerror}; give --out another directory") from error
        self._family, self._address = resolve(settings.target)
        allow_open_files(settings)
        self._settings = settings
        self._files = layout.Run(out).probe()
        self._stop = stop
        self._progress_s = progress_s
        self._progress = progress or Progress()
        self._complained: set[str] = set()
        self._clock = instants.shared_clock(out)
        # Both: a writer that has to wait for the processor keeps the interpreter's lock meanwhile.
        self._scheduling = hasten()
        self._writer = RunWriter(self._files, lambda: priority.hasten(1))
        self._tally = Tally()
        self._marks = marks.MarkFollower(out)
        self._began = self._clock.now()
        self._dropped = dropped.Dropped(self._began)
        # The reused connections are opened once; they hardly shorten the rest.
        rate = settings.new_rate or settings.reused_rate
        self._ports = Ports(self._family, rate, settings.target.port, self._began) if cycle_ports else None
        self._next_status = self._next_progress = 0.0

    def run(self) -> str:
        """Probe until it is time to stop; gives back why.

        Raises:
            UserError: the record could not be written to its end.
        """
        self._about(None)
        engine = Engine(
            self._settings,
            family=self._family,
            address=self._address,
            clock=self._clock,
            tally=self._tally,
            ports=self._ports,
            tick=self._tick,
        )
        # A second signal means: now. What is under way is then recorded as unfinished.
        engine.hurry = lambda: self._stop.signals > 1
        gc.collect()
        gc.freeze()
        self._stop.begin_in(START_S)
        try:
            reason = engine.run()
            self._writer.put("", self._status("ended"))
        finally:
            self._writer.close()
        self._dropped.look(self._clock.now(), at_once=True)
        self._about(reason)
        return reason

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
        return self._ports.rest_s if self._ports and self._settings.new_rate else None

    def summary(self) -> str:
        """One line on what has been so far."""
        status = self._status("")
        failures = ", ".join(f"{n} {name}" for name, n in status["outcomes"].items() if name != "ok")
        return (
            f"{status['elapsed_s']:.0f} s: {status['sent']} requests, {status['failed']} failed"
            f"{f' ({failures})' if failures else ''}, slowest answer {status['slowest_ms']:.0f} ms"
        )

    def insist_on_an_answer(self) -> None:
        """Complain where there was none at all: then the address is wrong, or what serves there is no site.

        Raises:
            UserError: not one request was answered.
        """
        status = self._status("")
        if status["sent"] and not status["ok"]:
            outcomes = ", ".join(f"{n} {name}" for name, n in status["outcomes"].items())
            raise UserError(
                f"{self._settings.target.url} answered none of {status['sent']} requests ({outcomes}); check "
                "the address, and that this machine has a way to it. "
                f"The record is in {self._files.directory}"
            )

    def _status(self, state: str) -> dict[str, Any]:
        status = self._tally.status(now=self._clock.now(), state=state)
        return status | {"scheduling": self._scheduling}

    def _troubles(self) -> list[str]:
        """What went wrong beside the record, which is as good as without: status, marks, who reads."""
        return [told for told in (self._writer.trouble, self._marks.trouble, self._progress.trouble) if told]

    def _tick(self, rows: str) -> str | None:
        # The record first: whatever may be wrong with the rest, no row of it is lost.
        if rows:
            self._writer.put(rows, None)
        event = self._marks.newest()
        if event is not None:
            self._tally.begin_phase(event)
        self._dropped.look(self._clock.now())
        now = time.monotonic()
        if now >= self._next_status:
            self._next_status = now + _STATUS_EVERY_S
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
        s = self._settings
        content = {
            "format": records.FORMAT,
            "version": __version__,
            "pid": os.getpid(),
            "url": s.target.url,
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
    told = any(value is not None for value in (options.stop_file, options.parent_pid, options.max_duration))
    stop = StopCondition(
        least_s=options.duration or (0.0 if told else _DURATION_S),
        most_s=options.max_duration,
        stop_file=options.stop_file,
        parent_pid=options.parent_pid,
        ends_itself=not told,
    )
    stop.catch_signals()
    probe = None
    progress = Progress()
    try:
        cycle = options.source_ports == "cycle"
        probe = Run(
            settings_from(options),
            options.out,
            stop,
            options.progress,
            progress=progress,
            cycle_ports=cycle,
        )
        if warning := probe.warning():
            progress.say(warning)
        reason = probe.run()
    except UserError as error:
        progress.close()
        # Beside a play nobody reads what it prints; who waits for it reads this. Another run's status stays.
        status = layout.Run(options.out).probe().status
        waited_for = options.stop_file is not None or options.out.exists()
        if probe is not None or (waited_for and not status.exists()):
            with contextlib.suppress(OSError):
                options.out.mkdir(parents=True, exist_ok=True)
                files.write_json(status, {"state": "ended", "trouble": str(error)})
        raise
    # Whoever says when to stop watches it meanwhile, and asks for a report in any case.
    if not told:
        try:
            probe.insist_on_an_answer()
        except UserError:
            progress.close()
            raise
    progress.close(f"{probe.summary()}; stopped: {reason}")
    return Answer({"reason": reason}, changed=True)
