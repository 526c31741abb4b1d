"""What becomes of the variables that the programs obey which the lab calls: surroundings.txt says it.

It stands alone, since it is loaded before anything that it guards.
"""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

TABLE = Path(__file__).with_suffix(".txt")


def lines() -> Iterator[tuple[str, list[str]]]:
    """Each line of the table: what becomes of it, and the names; of ``set``, a name and a value."""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            what, *names = line.split()
            yield what, names


def fate(name: str) -> str:
    """What becomes of a variable.

    Returns:
        ``honour``, ``clear``, ``set``, ``tcp``; empty where the table does not know it: it is left alone.
    """
    for what, names in lines():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in (names[:1] if what == "set" else names)):
            return what
    return ""


def settle(environment: MutableMapping[str, str]) -> list[str]:
    """Take away and set, in an environment, what the table says.

    Args:
        environment: that of this process, or one for another.

    Returns:
        The names of the variables that were taken away.
    """
    fates = {name: fate(name) for name in environment}
    at_an_address = environment.get("DOCKER_HOST", "").startswith("tcp:")
    gone = sorted(
        name for name, what in fates.items() if what == "clear" or (what == "tcp" and not at_an_address)
    )
    for name in gone:
        del environment[name]
    environment.update({names[0]: names[1] for what, names in lines() if what == "set"})
    return gone
