"""UTC instants as text, and one clock that several processes of a run share.

An instant is a float, seconds since 1970 in UTC, inside the package, and ISO 8601 with microseconds and
``Z`` in files. Every process of a run (probe, observer, marks) derives its instants from the machine's
monotonic clock and one common anchor, ``clock.json`` in the run's directory: a step of the wall clock in
the middle of a run then moves nothing, and instants of different files may be compared.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import functools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from failover_lab.errors import UserError
from failover_lab.run.layout import Run
from failover_lab.waiting import until

# What a file system without hard links says: FAT, some network and shared folders.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_WHOLE_S = 2.0
# No clock of a computer is farther from 1970.
_MOST_S = 1e11
# An instant as it is written, before another one; and what makes that of it.
_SHAPE = b"0000-00-00T00:00:00.000000Z,"
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)


@functools.lru_cache(maxsize=64)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def text(at: float) -> str:
    """The instant as ISO 8601 in UTC with microseconds, as in ``2026-11-23T19:00:00.250000Z``."""
    whole, micros = divmod(round(at * 1e6), 1_000_000)
    return f"{_second(whole)}.{micros:06d}Z"


def parse(value: str) -> float:
    """The instant that an ISO 8601 text names.

    Raises:
        ValueError: it is no such text, it names no time zone, or no time of computers.
    """
    micros = value[20:26]
    # As ``text`` writes them; a day's record has millions.
    if len(value) == 27 and value[26] == "Z" and value[19] == "." and micros.isascii() and micros.isdigit():
        return (_whole_second(value[:19]) * 1_000_000 + int(micros)) / 1e6
    return _parse(value)


class _Seconds(dict[str, int]):
    """The whole seconds that texts without a fraction name, as they are asked for."""

    def __missing__(self, text: str) -> int:
        self[text] = found = _whole_second(text)
        return found


def parse_all(values: list[str]) -> list[float]:
    """The same for many at once, some times as fast where all are as ``text`` writes them.

    Raises:
        ValueError: as for ``parse``.
    """
    shape = ",".join([*values, ""]).encode().translate(_DIGITS)
    if shape != _SHAPE * len(values):
        return list(map(parse, values))
    seconds = _Seconds()
    # A whole second and a fraction of six digits: their sum is as near as a figure comes.
    return [seconds[value[:19]] + float(value[19:26]) for value in values]


@functools.lru_cache(maxsize=64)
def _whole_second(value: str) -> int:
    return int(_parse(f"{value}Z"))


def _parse(value: str) -> float:
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} names no time zone; add Z for UTC")
    if not 1970 < moment.year < 9999:
        raise ValueError(f"{value!r} is no instant of this time")
    return moment.timestamp()


@dataclass(frozen=True)
class Clock:
    """UTC instants from the monotonic clock: ``utc = monotonic + offset_s``."""

    offset_s: float

    def now(self) -> float:
        """The present instant."""
        return time.monotonic() + self.offset_s


def _boot() -> str:
    """What tells one boot of this machine from the next; the monotonic clock starts again with each."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _write_first(path: Path, body: str) -> None:
    """Write a file unless it is there, where there are no hard links; in one call, so nearly whole."""
    with contextlib.suppress(FileExistsError), path.open("xb", buffering=0) as file:
        file.write(body.encode("ascii"))


def _whole(path: Path) -> str:
    """What is in a file of one line, once the line has its end; who writes it may be at it."""
    until(lambda: not path.read_text(encoding="ascii").endswith("\n"), _WHOLE_S, every_s=0.01)
    return path.read_text(encoding="ascii")


def shared_clock(directory: Path) -> Clock:
    """The clock of the run in this directory; whoever comes first sets its anchor.

    Raises:
        UserError: the directory is not there or may not be written to.
    """
    path = Run(directory).clock
    fresh = Clock(time.time() - time.monotonic())
    body = json.dumps({"offset_s": fresh.offset_s, "set": text(fresh.now()), "boot": _boot()})
    mine = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        mine.write_text(body + "\n", encoding="ascii")
        try:
            # A link, unlike a rename, never replaces an anchor that another process has set meanwhile.
            path.hardlink_to(mine)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _write_first(path, body + "\n")
        finally:
            mine.unlink()
        anchor = json.loads(_whole(path))
    except OSError as error:
        raise UserError(
            f"cannot use {directory}: {error.strerror}; give a directory that may be written"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged; start the run again in a new directory") from error
    if (
        not isinstance(anchor, dict)
        or not isinstance(anchor.get("offset_s"), float)
        or not abs(anchor["offset_s"]) <= _MOST_S
    ):
        raise UserError(f"{path} is damaged; start the run again in a new directory")
    return Clock(anchor["offset_s"]) if anchor.get("boot") == _boot() else fresh
