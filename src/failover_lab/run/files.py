"""Small files that other processes read while they change."""

from __future__ import annotations

import json
import math
import os
import re
import threading
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


# Half of a pair: no text has one, and no file can be given it.
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_WHOLE = 1 << 63


def parse(text: str | bytes) -> Any:  # noqa: ANN401  a file may hold anything
    """What a JSON text holds, if it is one for all that read it: figures that are some, and whole texts.

    Raises:
        ValueError: it holds something else.
    """
    text = text.decode("utf-8") if isinstance(text, bytes) else text
    try:
        content = json.loads(text, parse_constant=_number, parse_float=_number, parse_int=_whole)
        # Of texts that are written in other characters, pairs have become one by now.
        half = "\\u" in text and _SURROGATE.search(json.dumps(content, ensure_ascii=False))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if half or _SURROGATE.search(text):
        raise ValueError("a text in it has half of a character")
    return content


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no figure")
    return value


def _whole(text: str) -> int:
    # Of a number that is too long, Python itself says so.
    value = int(text)
    if abs(value) >= _MOST_WHOLE:
        raise ValueError(f"{text[:20]}... is no figure")
    return value


def write_atomic(path: Path, content: str) -> None:
    """Replace a file in one step, so that a reader sees the old or the new one, never half of it."""
    mine = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        mine.write_text(content, encoding="utf-8")
        mine.replace(path)
    except BaseException:
        mine.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: object) -> None:
    """Replace a JSON file in one step."""
    write_atomic(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UserError: it is missing, may not be read, or holds something else.
    """
    try:
        content = parse(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; is {path.parent} the directory of a run?") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: it holds no object")
    return content


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of JSON lines; a last line that was cut off is left out.

    Raises:
        UserError: the file may not be read, or a line within it is no object.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    return objects(path, content.split(b"\n")[:-1])


def objects(path: Path, lines: Iterable[bytes], first: int = 1) -> list[dict[str, Any]]:
    """The objects in these lines of a file.

    Args:
        path: of the file.
        lines: of it.
        first: the number of the first of them.

    Raises:
        UserError: one of them is no object.
    """
    result = []
    for number, line in enumerate(lines, start=first):
        try:
            entry = parse(line)
        except ValueError as error:
            raise UserError(f"{path} is damaged in line {number}: {error}") from error
        if not isinstance(entry, dict):
            raise UserError(f"{path} is damaged in line {number}: it holds no object")
        result.append(entry)
    return result


def make_directory(path: Path, option: str) -> None:
    """Make a directory, and those above it, where there is none.

    Args:
        path: where.
        option: by which somebody has named it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {path}: {error.strerror}; give {option} another directory") from error


def existing_directory(path: Path) -> Path:
    """The same path.

    Raises:
        UserError: there is no such directory.
    """
    if not path.is_dir():
        raise UserError(f"{path} is no directory; give the directory of a run")
    return path
