"""One run of the probe: what it opens, asks and leaves behind."""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from failover_lab import __version__
from failover_lab.errors import UserError
from failover_lab.host import priority
from failover_lab.probe import dropped
from failover_lab.probe.engine import LINGER_S, START_S, Engine, Peer, Settings
from failover_lab.probe.figures import Figures
from failover_lab.probe.options import resolve
from failover_lab.probe.ports import TRACKED_S, Ports
from failover_lab.probe.progress import Progress
from failover_lab.probe.tally import Tally
from failover_lab.probe.writer import RunWriter
from failover_lab.run import files, instants, layout, marks, records
from failover_lab.run.counts import commonest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from failover_lab.run.lifetime import StopCondition

# Whoever waits for a steady state waits this much longer at most.
_STATUS_EVERY_S = 0.2
_SPARE_FILES = 64


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
            files.make_directory(out, "--out")
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
            ", ".join(f"{count} {what}" for what, count in commonest(self.figures.failures)) or "none ended"
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
