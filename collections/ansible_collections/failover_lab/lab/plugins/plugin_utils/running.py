"""Run commands, read what they say as they say it, and leave nothing of them behind."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, Self

from ansible_collections.failover_lab.lab.plugins.plugin_utils import timing

from failover_lab.waiting import until

Log = IO[bytes] | None

#: How many of the last lines of each stream are kept.
TAIL_LINES = 100
#: A line longer than this is cut in the tail (never in the log): tools print a megabyte of JSON as one line.
LINE_LENGTH = 2000
#: How long a command that is to end may take to end by itself, in seconds.
GRACE_S = 5.0
#: How long output is read after the command has ended, in seconds: a server that it started may hold it.
DRAIN_S = 0.5
#: So many of the last lines belong into a message of failure.
MESSAGE_LINES = 15
#: How often the loop looks whether the process that wants the result is still there, in seconds.
POLL_S = 1.0

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")


class Interrupted(BaseException):
    """The process that runs the command was told to end; ``args[0]`` is the number of the signal."""


class Orphaned(BaseException):
    """The process that wanted the result is gone."""


@dataclass
class Lines:
    """The last lines of one stream, as text without colours and other control characters."""

    kept: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    last: str = ""
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take what was read; a line that is not complete yet waits for its end."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._add(line)
        if len(self._rest) > LINE_LENGTH and b"\r" in self._rest:
            self._rest = self._rest[self._rest.rindex(b"\r") :]

    def close(self) -> None:
        """Take a last line that has no end."""
        if self._rest:
            self._add(self._rest)
            self._rest = b""

    def _add(self, line: bytes) -> None:
        # A progress bar writes over its own line: what counts is what was last to be seen.
        text = line.decode("utf-8", "replace").rstrip("\r").rsplit("\r", 1)[-1]
        text = _CONTROL.sub("", text).rstrip()[:LINE_LENGTH]
        self.kept.append(text)
        if text.strip():
            self.last = text.strip()

    def text(self) -> str:
        """The kept lines, joined."""
        return "\n".join(self.kept)


@dataclass
class Whole(Lines):
    """All of one stream, as it came: no tail of it, but an answer that is read by a program."""

    came: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        self.came += data

    def text(self) -> str:
        """All of it."""
        return self.came.decode("utf-8", "replace")


@dataclass
class Outcome:
    """How the command ended: ``rc`` as the shell counts it (128 + signal), and the time in seconds."""

    rc: int
    elapsed_s: float
    timed_out: bool
    stdout: Lines
    stderr: Lines


class _Handler:
    """Turns the first signal into an exception, but not before somebody is there to end the command."""

    def __init__(self) -> None:
        self._held = True
        self._came: int | None = None

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        self._came = signum
        if not self._held:
            self.release()

    def hold(self) -> None:
        """Until the release no signal is an exception."""
        self._held = True

    def release(self) -> None:
        """From now on a signal is an exception at once; one that came before is so now."""
        self._held = self._came is not None
        if self._came is not None:
            raise Interrupted(self._came)


@contextlib.contextmanager
def _signals_go_to(handler: _Handler | signal.Handlers) -> Iterator[None]:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)


def _end(*processes: subprocess.Popen[bytes]) -> None:
    """End the commands' whole process groups, kindly first; further signals must not cut this short."""
    with _signals_go_to(signal.SIG_IGN):
        told = [process for process in processes if _reached(process, signal.SIGTERM)]
        until(lambda: any(_reached(process, 0) for process in told), GRACE_S, every_s=0.05)
        for process in processes:
            _reached(process, signal.SIGKILL)
        for process in processes:
            process.wait()


def _reached(process: subprocess.Popen[bytes], signum: int) -> bool:
    """Whether a signal reached the command's process group; 0 only asks whether one would."""
    process.poll()
    try:
        os.killpg(process.pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class Command:
    """A command that runs in a process group of its own, and what it has said so far."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        chdir: str | None = None,
        log: Log = None,
        answers: bool = False,
    ) -> None:
        """Start it.

        Args:
            argv: The command and its arguments.
            environment: The command's whole environment.
            chdir: The directory that it runs in.
            log: Where everything that it says goes, both streams in the order in which they came.
            answers: Its standard output is its answer, and kept whole.

        Raises:
            OSError: It cannot be started.
        """
        self.stdout, self.stderr = Whole() if answers else Lines(), Lines()
        self._log = log
        self._start = time.monotonic()
        self.process = subprocess.Popen(
            list(argv),
            cwd=chdir,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        #: The streams that it has not closed yet.
        self.open: dict[IO[bytes], Lines] = {}
        for stream, lines in ((self.process.stdout, self.stdout), (self.process.stderr, self.stderr)):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self.open[stream] = lines

    @property
    def elapsed_s(self) -> float:
        """How long ago it was started, in seconds."""
        return time.monotonic() - self._start

    def read(self, stream: IO[bytes]) -> bool:
        """Take what a stream has to be read; whether there may be more."""
        data = os.read(stream.fileno(), 65536)
        self.open[stream].feed(data)
        if self._log is not None:
            self._log.write(data)
            self._log.flush()
        return bool(data)

    def close(self, stream: IO[bytes]) -> None:
        """Read no more from a stream."""
        self.open.pop(stream).close()
        stream.close()

    def stand_back(self, nice: int) -> None:
        """Let others go first.

        Args:
            nice: How far, as nice(1) has it.
        """
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, self.process.pid, nice)
            # Where the kernel gives each session its share, the other counts within this one only.
            Path(f"/proc/{self.process.pid}/autogroup").write_text(str(nice), encoding="ascii")

    def outcome(self, *, timed_out: bool = False) -> Outcome:
        """How it ended."""
        rc = self.process.returncode
        return Outcome(rc if rc >= 0 else 128 - rc, self.elapsed_s, timed_out, self.stdout, self.stderr)


class Commands:
    """Commands beside each other. Whoever leaves the context ends what still runs."""

    def __init__(self) -> None:
        """None is started yet."""
        self.running: list[Command] = []
        self._selector = selectors.DefaultSelector()
        self._signals = _Handler()
        self._cleanup = contextlib.ExitStack()
        # Before any command: whoever sees one may end our parent at once.
        self._parent = os.getppid()

    def __enter__(self) -> Self:
        """From the first command on, a signal is an exception."""
        self._cleanup.enter_context(_signals_go_to(self._signals))
        return self

    def __exit__(self, *_error: object) -> None:
        """End what still runs."""
        with self._cleanup, self._selector:
            _end(*(command.process for command in self.running))
            for command in self.running:
                self._close(command, *command.open)

    @property
    def orphaned(self) -> bool:
        """Whether nobody is there any more who wanted the results."""
        return os.getppid() != self._parent

    def start(self, start: Callable[[], Command]) -> Command:
        """Start one more.

        Raises:
            OSError: It cannot be started.
            Interrupted: This process got SIGINT, SIGTERM or SIGHUP.
        """
        # A signal meanwhile would leave the command running, since nobody knows it yet.
        self._signals.hold()
        try:
            command = start()
            self.running.append(command)
            for stream in command.open:
                self._selector.register(stream, selectors.EVENT_READ, (command, stream))
        finally:
            self._signals.release()
        return command

    def wait(self, wait_s: float) -> list[Command]:
        """Read what comes, for so many seconds at most; return those that have ended.

        Raises:
            Interrupted: This process got SIGINT, SIGTERM or SIGHUP.
        """
        self._read(max(0.0, min(wait_s, POLL_S)))
        ended = [command for command in self.running if command.process.poll() is not None]
        for command in ended:
            # What was written before the end is read; a server that still holds the pipe is not waited for.
            deadline = time.monotonic() + DRAIN_S
            while command.open and time.monotonic() < deadline:
                self._read(DRAIN_S)
            self._close(command, *command.open)
            if command.process.returncode != 0:
                # What a failed one leaves behind helps nobody; a successful one may have started a server.
                _end(command.process)
            self.running.remove(command)
        return ended

    @staticmethod
    def end(command: Command) -> None:
        """End one whose time is up; it is among the next that have ended."""
        _end(command.process)

    def _read(self, wait_s: float) -> None:
        if any(not command.open for command in self.running):
            # It has closed both streams and still runs: nothing will tell of its end.
            wait_s = min(wait_s, 0.05)
        if not self._selector.get_map():
            time.sleep(wait_s)
            return
        for key, _ in self._selector.select(wait_s):
            command, stream = key.data
            if not command.read(stream):
                self._close(command, stream)

    def _close(self, command: Command, *streams: IO[bytes]) -> None:
        for stream in streams:
            self._selector.unregister(stream)
            command.close(stream)


@contextlib.contextmanager
def open_log(path: str | None, argv: Sequence[str]) -> Iterator[Log]:
    """A log that begins with when a command was started, and how; None without a path.

    Args:
        path: Of the file, which is made anew with its directory.
        argv: The command and its arguments.
    """
    if path is None:
        yield None
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("wb") as log:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        log.write(f"# {now} {shlex.join(argv)}\n".encode())
        log.flush()
        yield log


def complaint(label: str, outcome: Outcome, *, limit_s: float | None = None, log: str | None = None) -> str:
    """Say how a command failed, what it said last, and where the rest is.

    Args:
        label: What failed, in the words of the user.
        outcome: How it ended.
        limit_s: How long it might have taken, in seconds.
        log: The file that has all that it said.
    """
    ending = ended_how(label, outcome, limit_s)
    said = [line for line in outcome.stderr.kept or outcome.stdout.kept if line.strip()]
    tail = ":\n" + "\n".join(said[-MESSAGE_LINES:]) if said else "; it said nothing"
    where = f"\nAll that it said is in {log}" if log else ""
    return f"{ending}{tail}{where}"


def ended_how(label: str, outcome: Outcome, limit_s: float | None = None) -> str:
    """The same in one line, without anything that it said."""
    if outcome.timed_out:
        return f"{label} did not end within {timing.duration(limit_s or 0)} and was stopped"
    return f"{label} failed with exit status {outcome.rc} after {timing.duration(outcome.elapsed_s)}"


def hand_on(end: Interrupted | Orphaned) -> None:
    """End this process, an Ansible worker, by what has ended its commands, now that its handlers are back."""
    if isinstance(end, Orphaned):
        os._exit(128 + signal.SIGTERM)
    os.kill(os.getpid(), end.args[0])


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    chdir: str | None = None,
    log: Log = None,
    interval_s: float = 10.0,
    timeout_s: float | None = None,
    tick: Callable[[float, Lines], None] = lambda _elapsed_s, _stdout: None,
    finishes: bool = False,
    answers: bool = False,
) -> Outcome:
    """Run a command in a process group of its own and call ``tick`` while it runs.

    Args:
        argv: The command and its arguments.
        environment: The command's whole environment.
        chdir: The directory that it runs in.
        log: Where everything that it says goes, both streams in the order in which they came.
        interval_s: How long at most between two ticks, in seconds.
        timeout_s: How long the command may take, in seconds.
        tick: Called with the seconds since the start and with what it has said so far: the standard output,
            or, if that is its answer, the standard error.
        finishes: The command is let finish where the parent is gone: half done, it could not be put right.
        answers: The command's standard output is its answer, and kept whole.

    Raises:
        OSError: The command cannot be started.
        Interrupted: This process got SIGINT, SIGTERM or SIGHUP; the command is ended.
        Orphaned: This process' parent is gone; the command is ended.
    """
    timed_out = False
    with Commands() as commands:
        command = commands.start(
            lambda: Command(argv, environment=environment, chdir=chdir, log=log, answers=answers)
        )
        said = command.stderr if answers else command.stdout
        next_s = interval_s
        while True:
            elapsed_s = command.elapsed_s
            if commands.orphaned and not finishes:
                raise Orphaned
            if elapsed_s >= next_s:
                if not commands.orphaned:
                    tick(elapsed_s, said)
                next_s = elapsed_s + interval_s
            if timeout_s is not None and elapsed_s >= timeout_s:
                timed_out = True
                commands.end(command)
            if commands.wait(next_s - elapsed_s):
                return command.outcome(timed_out=timed_out)
