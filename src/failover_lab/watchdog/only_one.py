"""One watchdog for a profile: a second one would fence what the first takes back."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from failover_lab.errors import UserError
from failover_lab.run import instants, lifetime
from failover_lab.run.layout import Lab


def _holder(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _lives(holder: dict[str, Any]) -> bool:
    pid = holder.get("pid")
    return pid != os.getpid() and lifetime.still_runs(pid, holder.get("started"))


class HeldError(UserError):
    """There is one already."""


def _refuse(holder: dict[str, Any], profile: str) -> HeldError:
    return HeldError(
        f"a watchdog of {profile} is running already: process {holder.get('pid', 'unknown')}, "
        f"since {holder.get('since', 'an unknown time')}; end that one first"
    )


@contextlib.contextmanager
def only_one(directory: Path, profile: str, **about: str) -> Iterator[None]:
    """Be the profile's only watchdog meanwhile.

    Args:
        directory: where the profile's state is.
        profile: of minikube.
        about: what else others may know of this one.

    Raises:
        HeldError: there is one already, and who it is.
        UserError: the directory may not be written to.
    """
    path = Lab(directory).watchdog_lock
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give --state-dir another") from error
    try:
        try:
            # The system lets go of it with the process, however that ends.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refuse(_holder(path), profile) from None
        except OSError:
            # A file system without locks: what the file says has to do.
            pass
        if _lives(holder := _holder(path)):
            raise _refuse(holder, profile)
        since = instants.text(time.time())
        mine = about | {"pid": os.getpid(), "started": lifetime.started(os.getpid()), "since": since}
        os.ftruncate(file, 0)
        os.pwrite(file, (json.dumps(mine) + "\n").encode(), 0)
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)
