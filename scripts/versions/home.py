"""versions.yml: what it says, and how a version is found in a text."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parents[2]
HOME = "versions.yml"


class Refusal(Exception):  # noqa: N818 - no failure, but an answer
    """Why nothing was changed, in one sentence."""


@dataclasses.dataclass(frozen=True)
class Pin:
    """One version, and what hangs on it; the head of versions.yml says what each field means."""

    name: str
    version: str
    module: str = ""
    package: str = ""
    lock: str = ""
    image: str = ""
    image_tag: str = ""
    commit: str = ""
    storage_provisioner: str = ""
    manifest: str = ""
    checksum: str = ""
    goes_with: str = ""
    constant: str = ""
    held: str = ""
    copies: tuple[str, ...] = ()
    older: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """The version without the letter before it."""
        return number_of(self.version)


def number_of(version: str) -> str:
    """``v1.2.3`` is ``1.2.3``."""
    return re.sub(r"^v(?=\d)", "", version)


def pins(root: Path = REPO) -> dict[str, Pin]:
    """All that is pinned, by name.

    Args:
        root: The repository.

    Raises:
        Refusal: the file says something that nobody reads.
    """
    found = {}
    for name, row in yaml.safe_load((root / HOME).read_text(encoding="utf-8")).items():
        lists = {field: tuple(value) for field, value in row.items() if isinstance(value, list)}
        try:
            found[name] = Pin(name, **(row | lists))
        except TypeError as error:
            raise Refusal(f"{HOME}, {name}: {error}") from None
    return found


def literal(version: str) -> re.Pattern[str]:
    """Finds a version in a text, with or without the letter before it, but not as a part of a longer one."""
    return re.compile(rf"(?<![\d.])(v?){re.escape(number_of(version))}(?!\.?\d)")


def replaced(text: str, old: str, new: str) -> str:
    """The text with another version in the place of one.

    Args:
        text: Any.
        old: The version that it has.
        new: The one that it is to have.
    """
    return literal(old).sub(lambda match: match[1] + number_of(new), text)
