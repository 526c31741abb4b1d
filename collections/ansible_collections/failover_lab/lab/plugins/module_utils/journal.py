"""Whose run is going on: a file that names a process, and whether that process still lives."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def started(pid: int) -> str | None:
    """When a process was started, in ticks since boot: a number that is used again is another process."""
    try:
        # The command, in parentheses, may hold anything; the fields after it are plain.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def parent(pid: int) -> int:
    """The process that started this one; 0 if unknown."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def is_play(pid: int) -> bool:
    """Whether a process is an ansible-playbook, by the words of its command line.

    A shell that was told to run one and then more has the name within a longer word, and outlives the play.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.rpartition(b"/")[2] == b"ansible-playbook" for word in words)


def controller() -> int:
    """The process of the whole play: the farthest ancestor in an unbroken line that is ansible-playbook."""
    pid = os.getppid()
    while pid > 1 and not is_play(pid):
        pid = parent(pid)
    while is_play(parent(pid)):
        pid = parent(pid)
    return pid if pid > 1 else os.getppid()


def read(path: Path) -> dict[str, Any]:
    """The account in a file; one that cannot be understood is still an account."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        return {"damaged": True}
    return content if isinstance(content, dict) else {"damaged": True}


def is_alive(found: dict[str, Any]) -> bool:
    """Whether the process that wrote an account still runs."""
    pid = found.get("pid")
    since = started(pid) if isinstance(pid, int) and pid > 0 else None
    return since is not None and since == found.get("started")
