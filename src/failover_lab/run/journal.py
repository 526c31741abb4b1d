"""The journal: which run is going on, what it is about to do, and whether its process still lives."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from failover_lab.run import files, lifetime
from failover_lab.run.layout import Lab

#: What the module and the action plugin ``journal`` take.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["open", "added", "closed", "read", "noted"], "required": True},
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
    """What is in a journal; one that cannot be understood is still a journal."""
    try:
        content = json.loads(_present(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        return {"damaged": True}
    return content if isinstance(content, dict) else {"damaged": True}


def _old(path: Path) -> Path | None:
    """Where the version before kept the journal; None beside a file of another name."""
    lab = Lab(path.parent)
    return lab.old_journal if path == lab.journal else None


def _present(path: Path) -> Path:
    """The file of a journal: the former one where the version before was interrupted."""
    old = _old(path)
    return old if old is not None and not path.exists() and old.exists() else path


def _remove(path: Path) -> None:
    """Remove the journal, under whatever name it is there."""
    for file in (path, _old(path)):
        if file is not None:
            file.unlink(missing_ok=True)


def is_alive(found: dict[str, Any]) -> bool:
    """Whether the process that wrote a journal still runs."""
    return lifetime.still_runs(found.get("pid"), found.get("started"))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Between reading a journal and writing it nobody else writes one."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace the journal in one step."""
    files.write_json(path, content)
    if (old := _old(path)) is not None:
        old.unlink(missing_ok=True)


def _continued(found: dict[str, Any], content: dict[str, Any], step: str) -> dict[str, Any]:
    """A journal with what is added to it."""
    steps = list(found.get("steps") or [])
    if step:
        steps.append({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "step": step})
    return found | content | {"steps": steps}


def keep(
    path: Path, state: str, content: dict[str, Any], step: str, *, check_mode: bool = False
) -> dict[str, Any]:
    """Open, continue, close or read a journal; gives back what the module returns.

    Args:
        path: The journal.
        state: Which of them, as in ``ARGUMENTS``.
        content: What to keep, or to add.
        step: What is about to be done.
        check_mode: Nothing is written or removed.

    Raises:
        Refusal: It is another run's.
    """
    # The former word.
    state = "added" if state == "noted" else state
    if state == "open" and not check_mode:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path.parent) if path.parent.is_dir() else contextlib.nullcontext():
        found, pid = read(path), controller()
        # The number alone says nothing: it may have been another process's before.
        alive = is_alive(found)
        mine = alive and found["pid"] == pid
        _refuse(path, state, found, alive=alive, mine=mine)
        changed = state == "open" or (state in ("added", "closed") and bool(found))
        if changed and not check_mode:
            if state == "open":
                _write(path, content | {"pid": pid, "started": lifetime.started(pid)})
            elif state == "added":
                _write(path, _continued(found, content, step))
            else:
                _remove(path)
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
            f"{_present(path)} tells of a run that was interrupted: run `ansible-playbook recover.yml` first."
        )
    if alive:
        raise Refusal(
            f"{path} is no journal of this run any more: it is that of process {found['pid']}, "
            "which puts right itself what it did."
        )
