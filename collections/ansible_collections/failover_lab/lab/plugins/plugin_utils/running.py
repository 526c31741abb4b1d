"""Run one command, read what it says as it says it, and leave nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

#: How many of the last lines of each stream are kept.
TAIL_LINES = 100
#: A line longer than this is cut in the tail (never in the log): tools print a megabyte of JSON as one line.
LINE_LENGTH = 2000
#: How long a command that is to end may take to end by itself, in seconds.
GRACE_S = 5.0
#: How long output is read after the command has ended, in seconds: a server that it started may hold it.
DRAIN_S = 0.5
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

    def release(self) -> None:
        """From now on a signal is an exception at once; one that came before is so now."""
        self._held = self._came is not None
        if self._came is not None:
            raise Interrupted(self._came)


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[_Handler]:
    handler = _Handler()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield handler
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command's whole process group, kindly first; further signals must not cut this short."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in signals}
    try:
        deadline = time.monotonic() + GRACE_S
        for signum in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, signum)
            except (ProcessLookupError, PermissionError):
                break
            while time.monotonic() < deadline and _group_lives(process):
                time.sleep(0.05)
        process.wait()
    finally:
        for old, handler in before.items():
            signal.signal(old, handler)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    chdir: str | None = None,
    log: IO[bytes] | None = None,
    interval_s: float = 10.0,
    timeout_s: float | None = None,
    tick: Callable[[float, Lines], None] = lambda _elapsed_s, _stdout: None,
    finishes: bool = False,
) -> Outcome:
    """Run a command in a process group of its own and call ``tick`` while it runs.

    Args:
        argv: The command and its arguments.
        environment: The command's whole environment.
        chdir: The directory that it runs in.
        log: Where everything that it says goes, both streams in the order in which they came.
        interval_s: How long at most between two ticks, in seconds.
        timeout_s: How long the command may take, in seconds.
        tick: Called with the seconds since the start and with the standard output so far.
        finishes: The command is let finish where the parent is gone: half done, it could not be put right.

    Raises:
        OSError: The command cannot be started.
        Interrupted: This process got SIGINT, SIGTERM or SIGHUP; the command is ended.
        Orphaned: This process' parent is gone; the command is ended.
    """
    with _signals_as_exceptions() as signals:
        # Before the command: whoever sees that may end our parent at once.
        parent = os.getppid()
        start = time.monotonic()
        process = subprocess.Popen(
            list(argv),
            cwd=chdir,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            # Until here a signal would have left the command running, since nobody knew it yet.
            signals.release()
            follower = _Follower(process, log, parent)
            timed_out = follower.follow(start, interval_s, timeout_s, tick, finishes=finishes)
        except BaseException:
            _end(process)
            raise
        finally:
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        if process.returncode != 0:
            # What a failed command leaves behind helps nobody; a successful one may have started a server.
            _end(process)
    rc = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return Outcome(rc, time.monotonic() - start, timed_out, follower.stdout, follower.stderr)


class _Follower:
    """Reads both streams of a command until it has ended."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes] | None, parent: int) -> None:
        self.stdout, self.stderr = Lines(), Lines()
        self._process = process
        self._log = log
        self._parent = parent
        self._selector = selectors.DefaultSelector()
        for stream, lines in ((process.stdout, self.stdout), (process.stderr, self.stderr)):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._selector.register(stream, selectors.EVENT_READ, lines)

    def follow(
        self,
        start: float,
        interval_s: float,
        timeout_s: float | None,
        tick: Callable[[float, Lines], None],
        *,
        finishes: bool,
    ) -> bool:
        """Return once the command has ended, and whether that was because its time was up."""
        next_tick = start + interval_s
        deadline = None if timeout_s is None else start + timeout_s
        timed_out = False
        with self._selector:
            while self._process.poll() is None:
                now = time.monotonic()
                orphaned = os.getppid() != self._parent
                if orphaned and not finishes:
                    raise Orphaned
                if now >= next_tick:
                    if not orphaned:
                        tick(now - start, self.stdout)
                    next_tick = now + interval_s
                if deadline is not None and now >= deadline:
                    timed_out = True
                    _end(self._process)
                    break
                self._read(min(next_tick - now, POLL_S))
            # What was written before the end is read; a server that still holds the pipe is not waited for.
            ended = time.monotonic()
            while self._selector.get_map() and time.monotonic() < ended + DRAIN_S:
                self._read(DRAIN_S)
        self.stdout.close()
        self.stderr.close()
        return timed_out

    def _read(self, wait_s: float) -> None:
        if not self._selector.get_map():
            # Both streams are closed and the command still runs: all there is to wait for is its end.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.01, wait_s))
            return
        for key, _ in self._selector.select(max(0.0, wait_s)):
            data = os.read(key.fd, 65536)
            if not data:
                self._selector.unregister(key.fileobj)
                continue
            key.data.feed(data)
            if self._log is not None:
                self._log.write(data)
                self._log.flush()
