"""The instrument's own faults, told apart from the site's: what the probe's machine lost by itself."""

from __future__ import annotations

import collections
import dataclasses
from typing import TYPE_CHECKING, Any, Protocol

from failover_lab.probe.dropped import BACKLOG, CONNTRACK, MEMORY, NEIGHBOURS, Spell
from failover_lab.report import words
from failover_lab.run import instants
from failover_lab.run.counts import commonest
from failover_lab.run.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_lab.report.rows import Rows
    from failover_lab.run.records import Record

DROPPED = "dropped_here"
#: How a request ends whose packets vanish on the way.
SILENT = frozenset({Outcome.CONNECT_TIMEOUT, Outcome.READ_TIMEOUT, Outcome.UNREACHABLE})
_WHY = {
    CONNTRACK: (
        "its table of tracked connections was full{most}",
        "Raise it (`sysctl -w net.netfilter.nf_conntrack_max=262144`), or lower witness_rate",
    ),
    NEIGHBOURS: (
        "its table of neighbours was full",
        "Raise net.ipv4.neigh.default.gc_thresh1, 2 and 3 (IPv6: net.ipv6)",
    ),
    BACKLOG: (
        "no processor took them in time",
        "End other work on this machine, raise net.core.netdev_max_backlog, or lower witness_rate",
    ),
    MEMORY: ("its memory for sockets was used up", "Raise net.ipv4.tcp_mem, or lower witness_rate"),
}
# By the system's name of the error: what was wanting, and what helps.
_ERRORS = {
    "EADDRNOTAVAIL": "no source port was left: lower witness_rate, or widen net.ipv4.ip_local_port_range",
    "EMFILE": "it may open no more files: raise `ulimit -n`, or lower witness_rate",
    "ENFILE": "this machine has no more files to open: raise fs.file-max",
    "ENOBUFS": "the kernel had no room for it: lower witness_rate, or free memory",
    "ENOMEM": "the kernel had no memory for it: lower witness_rate, or free memory",
    "EPERM": "a packet filter of this machine forbids it: look at `nft list ruleset` or `iptables -S OUTPUT`",
}


def spells(about: dict[str, Any]) -> list[Spell]:
    """When the probe's machine dropped packets, from probe.json; none in the record of an older probe."""
    return [Spell(**spell) for spell in about.get("dropped") or []]


def apart(records: Rows, found: list[Spell], again: Callable[[Iterable[Record]], Rows]) -> Rows:
    """The records; those that a drop of this machine's own may have cost are called the probe's errors.

    A lost request takes a packet at least. Where far more were lost than packets dropped, something else was
    wrong.

    Args:
        records: of one probe.
        found: the spells in which its machine dropped packets.
        again: keeps other records than these.
    """
    own = dropped(records.where(lambda record: record.outcome in SILENT), found) if found else set()
    if not own:
        return records
    return again(
        dataclasses.replace(record, outcome=Outcome.PROBE_ERROR, detail=DROPPED)
        if record.number in own
        else record
        for record in records
    )


class Ended(Protocol):
    """Of a request, when it was due and when it ended."""

    @property
    def number(self) -> int:
        """Which one it was."""

    @property
    def due(self) -> float:
        """When it was due."""

    @property
    def done(self) -> float:
        """When it ended."""


def dropped(silent: Iterable[Ended], found: list[Spell]) -> set[int]:
    """The numbers of those requests that a drop may have cost.

    Args:
        silent: all that ended as if their packets had vanished on the way.
        found: the spells in which the probe's machine dropped packets.
    """
    silent = list(silent)
    may = [spell for spell in found if 2 * spell.packets >= sum(_met(record, spell) for record in silent)]
    return {record.number for record in silent if any(_met(record, spell) for spell in may)}


def _met(record: Ended, spell: Spell) -> bool:
    return record.due <= spell.end and spell.begin <= record.done


def reasons(records: Rows, found: list[Spell]) -> list[str]:
    """Why the figures say more of the probe's machine than of the site, the gravest first."""
    lost = list(records.where(lambda record: record.detail == DROPPED))
    per_spell = ((spell, sum(_met(record, spell) for record in lost)) for spell in found)
    result = [_dropped(spell, count) for spell, count in per_spell if count]
    errors = collections.Counter(
        record.detail
        for record in records.where(lambda record: record.outcome is Outcome.PROBE_ERROR)
        if record.detail != DROPPED
    )
    result += [
        f"{words.number(count)} requests failed in the probe itself ({detail})"
        + (f": {_ERRORS[detail]}" if detail in _ERRORS else "")
        for detail, count in commonest(errors)
    ]
    return result


def _dropped(spell: Spell, lost: int) -> str:
    why, remedy = _WHY[spell.what]
    allowed = f" ({words.number(spell.most)} are allowed)" if spell.most else ""
    begin, end = (instants.text(at)[11:19] for at in (spell.begin, spell.end))
    return (
        f"this machine's own kernel dropped {words.number(spell.packets)} packets from {begin} to {end}, "
        f"because {why.format(most=allowed)}; {words.number(lost)} requests that got no answer meanwhile are "
        f"put down to that, not to the site. {remedy}"
    )
