"""KUBECONFIG as kubectl takes it: which files are read, and which one is written to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


def named(value: str, home: str) -> list[Path]:
    """The files that KUBECONFIG names, as absolute paths; without it, the usual one.

    Args:
        value: of the variable: paths between colons, of which some may be empty or relative.
        home: the home directory.
    """
    paths = [Path(os.path.abspath(part)) for part in value.split(os.pathsep) if part]  # noqa: PTH100  links stay
    return paths or [Path(home) / ".kube" / "config"]


def content(path: Path) -> Any:  # noqa: ANN401 - of any shape
    """What is in it; None of a file that is missing or empty.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no YAML.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - a safe one in each case
    except FileNotFoundError:
        return None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _of(path: Path) -> Any:  # noqa: ANN401 - of any shape
    """What is in it, or its name where that cannot be read: whoever uses it will be told why."""
    try:
        return content(path)
    except (OSError, ValueError):
        return str(path)


def read(paths: Sequence[Path]) -> list[Path]:
    """Those of which something is read: kubectl passes over what is missing or empty, its client does not."""
    return [path for path in paths if _of(path) is not None]


def written(paths: Sequence[Path], context: str) -> Path:
    """The one in which a context is, or would be put: the first that there is, and else the last."""
    for path in paths:
        found = _of(path)
        contexts = found.get("contexts") if isinstance(found, dict) else None
        names = [item.get("name") for item in contexts or [] if isinstance(item, dict)]
        if context in names:
            return path
    return next((path for path in paths if path.exists()), paths[-1])


def trouble(path: Path) -> str:
    """Why nothing can be written to it, as the rest of a sentence; empty if it can."""
    if path.is_dir():
        return "is a folder"
    try:
        found = content(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError as error:
        return f"is damaged ({str(error)[:200]})"
    if found is not None and not isinstance(found, dict):
        return f"is damaged (it holds a {type(found).__name__} and no mapping)"
    return _forbidden(path)


def _forbidden(path: Path) -> str:
    """Why a file may not be written, or not be made."""
    if path.exists():
        return "" if os.access(path, os.W_OK) else "may not be written to"
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir():
        return f"cannot be made: {above} is no folder"
    return "" if os.access(above, os.W_OK | os.X_OK) else f"cannot be made: {above} may not be written to"
