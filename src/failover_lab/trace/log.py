"""The record of a trace: what is in it, writing it, and reading it back, whole or cut off.

``trace.csv.gz`` has a line for each entry that a node's kernel made or forgot for a connection to the
Service's address; ``trace.json`` says which nodes were heard, from when to when, and what of it was lost.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from failover_lab.errors import UserError
from failover_lab.run import files, instants
from failover_lab.run.layout import Run
from failover_lab.run.records import RecordFile, RecordWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from failover_lab.trace.event import Event

# Raise it with every change of the columns or of their meaning.
FORMAT = 1
COLUMNS = ("at", "within_ms", "node", "change", "client", "client_port", "pod", "pod_port")
HEADER = ",".join(COLUMNS)


class Line(NamedTuple):
    """One entry that a node's kernel made (``new``) or forgot (``end``).

    Attributes:
        at: when it was known here, in UTC seconds.
        within_s: it happened so long before at most.
        node: whose kernel it is: the one that received the connection.
        change: ``new`` or ``end``.
        client: who opened it.
        client_port: from which port.
        pod: the address to which the kernel sends it.
        pod_port: and the port.
    """

    at: float
    within_s: float
    node: str
    change: str
    client: str
    client_port: int
    pod: str
    pod_port: int


@dataclass(frozen=True)
class Span:
    """A node was heard from then to then; ``end`` is None where nobody wrote down an end."""

    node: str
    begin: float
    end: float | None


@dataclass(frozen=True)
class Loss:
    """Between these instants the kernel of a node said more than was read in time."""

    node: str
    begin: float
    end: float


@dataclass(frozen=True)
class About:
    """How a trace was set, and how it fared.

    Attributes:
        address: connections to what were looked for.
        clients: the addresses from which the probe's machine asks, where nobody translates them on the way.
        by: node to how it was heard: ``netlink`` or ``conntrack``.
        unheard: node to why it was not heard, when somebody last tried; ``""`` for all of them.
        trouble: why the trace was given up as a whole; empty: it was not.
        written: how many lines; None: it has not come to its end.
    """

    address: str
    clients: list[str] = field(default_factory=list)
    by: dict[str, str] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    unheard: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    written: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in the file."""

        def text(at: float | None) -> str | None:
            return None if at is None else instants.text(at)

        return {
            "format": FORMAT,
            "address": self.address,
            "clients": self.clients,
            "by": self.by,
            "spans": [{"node": s.node, "begin": text(s.begin), "end": text(s.end)} for s in self.spans],
            "losses": [{"node": s.node, "begin": text(s.begin), "end": text(s.end)} for s in self.losses],
            "unheard": self.unheard,
            "trouble": self.trouble,
            "written": self.written,
        }


def _about(content: dict[str, Any]) -> About:
    def instant(value: str | None) -> float | None:
        return None if value is None else instants.parse(value)

    spans = [
        Span(str(s["node"]), instants.parse(s["begin"]), instant(s["end"])) for s in content.get("spans", [])
    ]
    losses = [
        Loss(str(s["node"]), instants.parse(s["begin"]), instants.parse(s["end"]))
        for s in content.get("losses", [])
    ]
    written = content.get("written")
    return About(
        str(content.get("address", "")),
        [str(client) for client in content.get("clients", [])],
        {str(node): str(by) for node, by in content.get("by", {}).items()},
        spans,
        losses,
        {str(node): str(why) for node, why in content.get("unheard", {}).items()},
        str(content.get("trouble") or ""),
        None if written is None else int(written),
    )


def about(directory: Path) -> About | None:
    """How a run was traced; None: it was not.

    Raises:
        UserError: the file is damaged, or another version's.
    """
    path = Run(directory).trace
    if not path.exists():
        return None
    content = files.read_json(path)
    if content.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"{path} is in format {content['format']}, and this version reads {FORMAT}; "
            "report it with that version"
        )
    try:
        return _about(content)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


class Writer:
    """Writes a trace from its beginning: ``lines`` reads it, whole or while it grows.

    Attributes:
        written: how many lines.
    """

    def __init__(self, directory: Path) -> None:
        """Begin the record.

        Raises:
            UserError: there is one already, or it cannot be written.
        """
        self._path = Run(directory).connections
        self._rows: list[str] = [HEADER + "\n"]
        self.written = 0
        try:
            self._file = RecordWriter(self._path)
        except FileExistsError as error:
            raise UserError(f"{self._path} exists already; give --out a directory of its own") from error
        except OSError as error:
            raise self._unwritten(error) from error
        self.flush()

    def add(self, node: str, at: float, within_s: float, events: Iterable[Event]) -> None:
        """Take what a node has said."""
        begin = f"{instants.text(at)},{within_s * 1000.0:.1f},{node},"
        before = len(self._rows)
        self._rows += [f"{begin}{e.change},{e.client},{e.client_port},{e.pod},{e.pod_port}\n" for e in events]
        self.written += len(self._rows) - before

    def flush(self) -> None:
        """Write what was taken.

        Raises:
            UserError: it cannot be written.
        """
        if not self._rows:
            return
        try:
            self._file.write("".join(self._rows))
        except OSError as error:
            raise self._unwritten(error) from error
        self._rows.clear()

    def close(self) -> None:
        """Write what is left and end the record.

        Raises:
            UserError: it cannot be written.
        """
        self.flush()
        try:
            self._file.close()
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write {self._path}: {error.strerror}; free some space or give --out another disk"
        )


class LineFile:
    """Reads a trace from its beginning; may be asked again for what has been added since."""

    def __init__(self, directory: Path) -> None:
        """Nothing is opened yet."""
        self._path = Run(directory).connections
        self._file = RecordFile(self._path)
        self._begun = False

    def lines(self) -> Iterator[Line]:
        """What was written, in that order; nothing where there is no record.

        Raises:
            UserError: it may not be read, or is damaged before its end.
        """
        if not self._path.exists():
            return
        for line in self._file.lines():
            if not self._begun:
                self._begun = True
                if line != HEADER:
                    raise UserError(
                        f"{self._path} was made by another version of failover-lab; "
                        "report it with that version"
                    )
                continue
            try:
                yield _line(line)
            except ValueError as error:
                raise UserError(f"{self._path} is damaged: {line[:200]!r} is no line of a trace") from error


# What was read at once has one instant.
_instant = functools.lru_cache(maxsize=16)(instants.parse)


def _line(text: str) -> Line:
    at, within_ms, node, change, client, client_port, pod, pod_port = text.split(",")
    return Line(
        _instant(at),
        float(within_ms) / 1000.0,
        sys.intern(node),
        sys.intern(change),
        sys.intern(client),
        int(client_port),
        sys.intern(pod),
        int(pod_port),
    )


def lines(directory: Path) -> Iterator[Line]:
    """A whole trace, as ``LineFile`` reads it.

    Raises:
        UserError: as there.
    """
    return LineFile(directory).lines()
