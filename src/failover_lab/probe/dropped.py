"""What the kernel of the probe's own machine drops: packets that never reached the site, or never came back.

A user's machine is not the probe's. What is lost in here must not be booked as the site's loss.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PROC = Path("/proc")
CONNTRACK_MOST = "sys/net/netfilter/nf_conntrack_max"
CONNTRACK_COUNT = "sys/net/netfilter/nf_conntrack_count"
CONNTRACK, NEIGHBOURS, BACKLOG, MEMORY = "conntrack", "neighbours", "backlog", "memory"
_EVERY_S = 1.0


def _read(path: Path) -> list[list[str]]:
    """A file of words; nothing where this kernel has none, or does not show it."""
    try:
        return [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError):
        return []


def _column(path: Path, name: str) -> int | None:
    """The sum of a hexadecimal column, over all processors; None where there is no such."""
    rows = _read(path)
    if not rows or name not in rows[0]:
        return None
    at = rows[0].index(name)
    return sum(int(row[at], 16) for row in rows[1:] if len(row) > at)


def networks(proc: Path) -> list[Path]:
    """A process's folder for each network of this machine's own that may be looked into, its own first.

    Nodes that are containers have tables of their own, and this machine's limit: when that is reached, which
    of them drops first is chance.
    """
    found: dict[int, Path] = {}
    with contextlib.suppress(OSError):
        found[(proc / "self/ns/net").stat().st_ino] = proc
        for process in sorted(proc.glob("[1-9]*"), key=lambda path: int(path.name)):
            # It has ended, or is none of ours.
            with contextlib.suppress(OSError):
                found.setdefault((process / "ns/net").stat().st_ino, process)
    return list(found.values()) or [proc]


def _conntrack(proc: Path) -> int | None:
    return _column(proc / "net/stat/nf_conntrack", "drop")


def _neighbours(proc: Path) -> int | None:
    found = [_column(proc / f"net/stat/{table}", "table_fulls") for table in ("arp_cache", "ndisc_cache")]
    known = [count for count in found if count is not None]
    return sum(known) if known else None


def _backlog(proc: Path) -> int | None:
    rows = _read(proc / "net/softnet_stat")
    return sum(int(row[1], 16) for row in rows if len(row) > 1) if rows else None


def _memory(proc: Path) -> int | None:
    rows = _read(proc / "net/netstat")
    for names, values in itertools.pairwise(rows):
        if names and values and names[0] == values[0] == "TcpExt:" and "TCPAbortOnMemory" in names:
            return int(values[names.index("TCPAbortOnMemory")])
    return None


_COUNTERS: dict[str, Callable[[Path], int | None]] = {
    CONNTRACK: _conntrack,
    NEIGHBOURS: _neighbours,
    BACKLOG: _backlog,
    MEMORY: _memory,
}


def number(path: Path) -> int | None:
    """The number in a file of the kernel's; None where there is none."""
    rows = _read(path)
    try:
        return int(rows[0][0])
    except (IndexError, ValueError):
        return None


def conntrack_most(proc: Path = _PROC) -> int | None:
    """How many connections this machine may track at once; None where it tracks none."""
    return number(proc / CONNTRACK_MOST)


@dataclass
class Spell:
    """A time in which packets were dropped; instants in UTC seconds.

    Attributes:
        what: was full or ran short.
        most: how much of it there may be, where the kernel says.
    """

    what: str
    begin: float
    end: float
    packets: int
    most: int | None = None


class Dropped:
    """Looks at the kernel's counters once a second.

    Attributes:
        spells: when they rose, in order; one that went on is one.
    """

    def __init__(self, now: float, proc: Path = _PROC) -> None:
        """What was dropped before is somebody else's."""
        self._proc = proc
        self._networks = networks(proc)
        self._at = now
        self._counts = self._now()
        self.spells: list[Spell] = []

    def _now(self) -> dict[str, int]:
        counts = {what: count(self._proc) for what, count in _COUNTERS.items()}
        elsewhere = [_conntrack(network) for network in self._networks if network != self._proc]
        if known := [count for count in (counts[CONNTRACK], *elsewhere) if count is not None]:
            counts[CONNTRACK] = sum(known)
        return {what: count for what, count in counts.items() if count is not None}

    def look(self, now: float, *, at_once: bool = False) -> None:
        """Look, unless the last look was a moment ago."""
        if not at_once and now - self._at < _EVERY_S:
            return
        before, since = self._counts, self._at
        self._counts, self._at = self._now(), now
        for what, count in self._counts.items():
            if (more := count - before.get(what, count)) > 0:
                self._note(what, since, now, more)

    def _note(self, what: str, begin: float, end: float, packets: int) -> None:
        last = next((spell for spell in reversed(self.spells) if spell.what == what), None)
        if last is not None and begin - last.end < 2 * _EVERY_S:
            last.end, last.packets = end, last.packets + packets
            return
        most = conntrack_most(self._proc) if what == CONNTRACK else None
        self.spells.append(Spell(what, begin, end, packets, most))

    def told(self) -> list[dict[str, Any]]:
        """The spells, for probe.json."""
        return [asdict(spell) for spell in self.spells]
