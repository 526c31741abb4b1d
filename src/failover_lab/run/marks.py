"""Instants of what the play did, one JSON line each, in ``marks.jsonl``."""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.run import files, instants, tail
from failover_lab.run.layout import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from failover_lab.arguments import Parser

# Marks that the report gives a meaning to; any other name is shown on the timeline as it is.
STEADY_BEFORE = "steady_before"
FAULT_BEGIN = "fault_begin"
# The node is back, and the pods are about to be spread again.
RETURNED = "returned"
HEALED = "healed"
STEADY_AFTER = "steady_after"
# Nearer than FAULT_BEGIN, after which the means have yet to be started: the instant at which it struck.
INJECTED = "injected"
OPERATOR_CALLED = "operator_called"
OPERATOR_DONE = "operator_done"
ABORTED = "aborted"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def append(
    directory: Path, events: Sequence[str], details: dict[str, str] | None = None, *, at: float | None = None
) -> float:
    """Write down that these happened; gives back the instant, the same for all, in UTC seconds.

    Args:
        directory: the run's.
        events: their names.
        details: what else to keep of each.
        at: when, by this machine's wall clock, which may have been set since the run began; None: now.

    Raises:
        UserError: the directory is missing or may not be written to.
    """
    files.existing_directory(directory)
    now = instants.shared_clock(directory).now()
    if at is not None:
        now -= time.time() - at
    text = instants.text(now)
    lines = "".join(json.dumps({"at": text, "event": event, **(details or {})}) + "\n" for event in events)
    path = Run(directory).marks
    try:
        # One write to a file opened for appending: marks of several processes never mix.
        with path.open("ab", buffering=0) as file:
            file.write(lines.encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return now


def instant_of(directory: Path, event: str) -> float:
    """When this was marked last, in UTC seconds.

    Raises:
        UserError: it was not, or the file is damaged.
    """
    path = Run(directory).marks
    entries = [entry for entry in files.read_lines(path) if entry.get("event") == event]
    if not entries:
        raise UserError(f"{path} has no mark {event}; mark it first, or give an instant")
    try:
        return instants.parse(entries[-1]["at"])
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {entries[-1]} is no mark") from error


def has(directory: Path, event: str) -> bool:
    """Whether this was marked at any time."""
    return any(entry.get("event") == event for entry in files.read_lines(Run(directory).marks))


class MarkFollower:
    """Notices marks that have been added since the last look.

    Attributes:
        trouble: what is among them that is no mark, or why they cannot be read; empty: all is well. Whoever
            follows goes on by those that are marks.
    """

    def __init__(self, directory: Path) -> None:
        """Begin with the marks that are there already."""
        self._path = Run(directory).marks
        self._tail = tail.Tail(self._path)
        self.trouble = ""

    def newest(self) -> str | None:
        """The newest event, if any was added since the last call."""
        try:
            lines = self._tail.lines()
        except OSError as error:
            self.trouble = f"cannot read {self._path}: {error.strerror}"
            return None
        newest = None
        for line in lines:
            try:
                newest = str(files.parse(line)["event"])
            except (ValueError, KeyError, TypeError):
                self.trouble = f"{self._path} has a line that is no mark: {line[:60]!r}"
        return newest


def event_name(value: str) -> str:
    """A type for the name of an event."""
    if not _NAME.fullmatch(value):
        raise argparse.ArgumentTypeError(f"{value!r} is no name of an event; use a-z, 0-9 and _")
    return value


def moment(value: str) -> float | str:
    """A type for an instant, or for the name of an event that has been marked."""
    return value if _NAME.fullmatch(value) else arguments.instant(value)


def wall_clock(value: str) -> float:
    """A type for an instant that is over: as text, or in seconds since 1970."""
    at = float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else arguments.instant(value)
    if at > time.time() + 1.0:
        raise argparse.ArgumentTypeError(f"{value!r} is yet to come")
    return at


def key_value(value: str) -> tuple[str, str]:
    """A type for ``key=value``."""
    key, equals, content = value.partition("=")
    if not equals or not _NAME.fullmatch(key) or key in {"at", "event"}:
        raise argparse.ArgumentTypeError(f"{value!r} is not key=value (and the key not 'at' or 'event')")
    return key, content


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add ``mark`` to the command line."""
    parser = commands.add_parser(
        "mark",
        help="write down that something happens now",
        description="Appends an instant to marks.jsonl in the run's directory and prints it. The report "
        f"gives a meaning to {STEADY_BEFORE}, {FAULT_BEGIN}, {RETURNED}, {HEALED}, {STEADY_AFTER} and "
        f"{ABORTED}.",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the run's directory")
    parser.add_argument(
        "--at",
        type=wall_clock,
        metavar="INSTANT",
        help="when it happened (also seconds since 1970); default now",
    )
    parser.add_argument("event", type=event_name, help="such as fault_begin, cordoned, drained, healed")
    parser.add_argument("details", nargs="*", type=key_value, metavar="key=value", help="what else to keep")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Answer:
    """Carry out ``mark``."""
    details = dict(options.details)
    at = append(options.out, [options.event], details, at=options.at)
    data = {"at": instants.text(at), "event": options.event, **details}
    print(json.dumps(data))
    return Answer(data, changed=True)
