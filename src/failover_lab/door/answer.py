"""What a command answers: one object, of which people read sentences and programs JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: The field of the JSON in which an error is told, where there is no answer.
ERROR = "error"


@dataclass(frozen=True)
class Answer:
    """How a command ended.

    Attributes:
        data: what it found or did, by name.
        changed: whether it changed anything.
        why: the answer is no, and this sentence says why; empty if it is yes.
        status: of the process.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    changed: bool = False
    why: str = ""
    status: int = 0

    def as_json(self) -> str:
        """The answer as one line for programs."""
        return json.dumps({"data": self.data, "changed": self.changed, "why": self.why})


def no(why: str, data: Mapping[str, Any] | None = None, *, changed: bool = False) -> Answer:
    """The answer no, which is status 1.

    Args:
        why: in a sentence.
        data: what it found all the same.
        changed: whether it changed anything.
    """
    return Answer(data or {}, changed=changed, why=why, status=1)


def error_as_json(message: str) -> str:
    """One line for programs where a command could not be carried out."""
    return json.dumps({ERROR: message})


def say(text: str) -> None:
    """Say what was done to whoever reads; where nobody does any more, it is done all the same."""
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)


@contextlib.contextmanager
def said_aside(*, aside: bool) -> Iterator[None]:
    """While a command runs, send what people read to standard error, and leave standard output to the answer.

    Args:
        aside: whether to do so.
    """
    with contextlib.redirect_stdout(sys.stderr) if aside else contextlib.nullcontext():
        yield
