"""Whose run is going on: a file that names a process, and whether that process still lives."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from failover_lab.run import lifetime

#: What the module and the action plugin run_journal take.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["open", "noted", "closed", "read"], "required": True},
    "content": {"type": "dict", "default": {}},
    "step": {"type": "str", "default": ""},
}


class Refusal(Exception):  # noqa: N818 - it is an answer, not a mishap
    """One sentence: why not, and what to do."""


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
        pid = lifetime.parent(pid)
    while is_play(lifetime.parent(pid)):
        pid = lifetime.parent(pid)
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
    return lifetime.still_runs(found.get("pid"), found.get("started"))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Between reading an account and writing it nobody else writes one."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace the account in one step."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _continued(found: dict[str, Any], content: dict[str, Any], step: str) -> dict[str, Any]:
    """An account with what is added to it."""
    steps = list(found.get("steps") or [])
    if step:
        steps.append({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "step": step})
    return found | content | {"steps": steps}


def keep(
    path: Path, state: str, content: dict[str, Any], step: str, *, check_mode: bool = False
) -> dict[str, Any]:
    """Open, continue, close or read an account; gives back what the module returns.

    Args:
        path: The account.
        state: Which of them, as in ``ARGUMENTS``.
        content: What to keep, or to add.
        step: What is about to be done.
        check_mode: Nothing is written or removed.

    Raises:
        Refusal: It is another run's.
    """
    if state == "open" and not check_mode:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path.parent) if path.parent.is_dir() else contextlib.nullcontext():
        found, pid = read(path), controller()
        # The number alone says nothing: it may have been another process's before.
        alive = is_alive(found)
        mine = alive and found["pid"] == pid
        _refuse(path, state, found, alive=alive, mine=mine)
        changed = state == "open" or (state in ("noted", "closed") and bool(found))
        if changed and not check_mode:
            if state == "open":
                _write(path, content | {"pid": pid, "started": lifetime.started(pid)})
            elif state == "noted":
                _write(path, _continued(found, content, step))
            else:
                path.unlink(missing_ok=True)
    return {"changed": changed, "found": found, "alive": alive and not mine, "mine": mine, "pid": pid}


def _refuse(path: Path, state: str, found: dict[str, Any], *, alive: bool, mine: bool) -> None:
    if state == "read" or mine or not found:
        return
    if state == "open" and alive:
        raise Refusal(
            f"Another run is going on: {found.get('kind')} of {found.get('node')}, "
            f"process {found['pid']}, since {found.get('since')}. "
            "Wait until it ends, or end that process and run `ansible-playbook recover.yml`."
        )
    if state == "open":
        raise Refusal(
            f"{path} tells of a run that was interrupted: run `ansible-playbook recover.yml` first."
        )
    if alive:
        raise Refusal(
            f"{path} is no account of this run any more: it is that of process {found['pid']}, "
            "which puts right itself what it did."
        )
