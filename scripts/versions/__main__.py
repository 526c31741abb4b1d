"""usage: python -m scripts.versions list | raise NAME TO."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import home, raising, registries
from .home import REPO, Pin, Refusal


def answer(root: Path, pin: Pin) -> tuple[str, str]:
    """The newest version of a pin, and whether it could be raised, each in words.

    Args:
        root: The repository.
        pin: Which.
    """
    try:
        newest = registries.newest(root, pin)
    except registries.UnreachableError as error:
        return "not reachable", str(error)
    if not newest and not pin.goes_with:
        return "not known", "no package registry has it: make version takes your word"
    if pin.goes_with:
        return newest or "-", f"goes with {pin.goes_with}"
    if not registries.is_newer(newest, pin.version):
        return newest, "is the newest"
    if pin.held:
        return newest, f"held: {pin.held}"
    return newest, f"make version NAME={pin.name} TO={newest}"


def follows(root: Path, pin: Pin) -> list[str]:
    """What is made again, or written to, when a version is raised.

    Args:
        root: The repository.
        pin: Which.
    """
    pages = [
        f"docs/roles/{specs.parents[1].name}.md"
        for specs in sorted(root.glob("roles/*/meta/argument_specs.yml"))
        if f"'failover_lab.lab.version', '{pin.name}'" in specs.read_text(encoding="utf-8")
    ]
    return [name for name in (pin.lock, *pin.copies, *pages) if name]


def table(root: Path) -> str:
    """All that is pinned, what is newest, and what follows from it.

    Args:
        root: The repository.
    """
    pins = home.pins(root)
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda pin: answer(root, pin), pins.values()))
    rows = [("name", "pinned", "newest", "to raise it")]
    rows += [(pin.name, pin.version, *found) for pin, found in zip(pins.values(), answers, strict=True)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for row, pin in zip(rows, [None, *pins.values()], strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[3]]))
        if pin and (files := follows(root, pin)):
            lines.append(f"  with {', '.join(files)}")
    return "\n".join(lines)


def stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """What a signal does: the copy goes, and so does what is called."""
    raise KeyboardInterrupt


def main(root: Path = REPO) -> int:
    """Run the command; the exit status.

    Args:
        root: The repository.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        match sys.argv[1:]:
            case ["list"]:
                print(table(root))
            case ["raise", name, version]:
                names = raising.raise_version(root, name, version, lambda line: print(line, flush=True))
                print("Changed:", *names, sep="\n  ")
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except Refusal as refusal:
        print(f"Nothing was changed: {refusal}.", file=sys.stderr)
        return 1
    except (registries.UnreachableError, OSError) as error:
        print(f"Nothing was changed: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Nothing was changed: it was interrupted.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
