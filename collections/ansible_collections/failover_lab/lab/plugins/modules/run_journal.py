#!/usr/bin/python
"""Keeps the account of the run that is going on, so that the next one can put right what it left."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_journal
short_description: Open, continue, read or close the account of a failover run
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - The account is a file. It says which process holds the run, and what the run is about to do.
  - V(noted) adds to the account that this run has open, or that a dead one has left, before the next thing is
    done. Without an account it does nothing.
  - V(open) refuses while the process of an earlier account lives. One that is dead has left something behind,
    which has to be put right and closed first.
  - V(noted) and V(closed) refuse an account of another process that lives.
options:
  path:
    description: The file.
    type: path
    required: true
  state:
    description: What to do.
    type: str
    choices: [open, noted, closed, read]
    required: true
  content:
    description: What to keep, with V(open); what to add or to replace, with V(noted).
    type: dict
    default: {}
  step:
    description: What is about to be done, in words, with V(noted). It is added to the steps with its instant.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Nothing is written or removed.
"""

EXAMPLES = r"""
- name: Write down what is about to be done
  failover_lab.lab.run_journal:
    path: ~/.local/state/failover-lab/failover-lab/run.json
    state: open
    content: {kind: drain, node: failover-lab-m02}

- name: And then the next thing
  failover_lab.lab.run_journal:
    path: ~/.local/state/failover-lab/failover-lab/run.json
    state: noted
    step: cordon failover-lab-m02
"""

RETURN = r"""
found:
  description: The account that was there; empty if there was none.
  type: dict
  returned: success
alive:
  description: Whether it is that of another run, whose process lives.
  type: bool
  returned: success
mine:
  description: Whether it is that of this run.
  type: bool
  returned: success
pid:
  description: The process that holds the run now.
  type: int
  returned: success
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.failover_lab.lab.plugins.module_utils.journal import (
    controller,
    is_alive,
    read,
    started,
)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Between reading an account and writing it nobody else writes one."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace the account in one step."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def continued(found: dict[str, Any], content: dict[str, Any], step: str) -> dict[str, Any]:
    """An account with what is added to it."""
    steps = list(found.get("steps") or [])
    if step:
        steps.append({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "step": step})
    return found | content | {"steps": steps}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["open", "noted", "closed", "read"], "required": True},
            "content": {"type": "dict", "default": {}},
            "step": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    path, state = Path(module.params["path"]), module.params["state"]
    if state == "open" and not module.check_mode:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(path.parent) if path.parent.is_dir() else contextlib.nullcontext():
        carry_out(module, path, state)


def carry_out(module: AnsibleModule, path: Path, state: str) -> None:
    """Do what is asked for, and end the module."""
    found = read(path)
    pid = controller()
    # The number alone says nothing: it may have been another process's before.
    alive = is_alive(found)
    mine = alive and found["pid"] == pid
    changed = False
    if state == "open":
        if alive and not mine:
            module.fail_json(
                msg=f"Another run is going on: {found.get('kind')} of {found.get('node')}, "
                f"process {found['pid']}, since {found.get('since')}. "
                "Wait until it ends, or end that process and run `ansible-playbook recover.yml`."
            )
        if found and not mine:
            module.fail_json(
                msg=f"{path} tells of a run that was interrupted: run `ansible-playbook recover.yml` first."
            )
        changed = True
        if not module.check_mode:
            write(path, module.params["content"] | {"pid": pid, "started": started(pid)})
    elif state in ("noted", "closed"):
        if alive and not mine:
            module.fail_json(
                msg=f"{path} is no account of this run any more: it is that of process {found['pid']}, "
                "which puts right itself what it did."
            )
        changed = bool(found)
        if changed and not module.check_mode:
            if state == "noted":
                write(path, continued(found, module.params["content"], module.params["step"]))
            else:
                path.unlink(missing_ok=True)
    module.exit_json(changed=changed, found=found, alive=alive and not mine, mine=mine, pid=pid)


if __name__ == "__main__":
    main()
