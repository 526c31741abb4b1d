#!/usr/bin/python
"""Keeps the journal of the run that is going on, so that the next one can put right what it left."""

from __future__ import annotations

DOCUMENTATION = r"""
module: journal
short_description: Open, continue, read or close the journal of a failover run
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - The journal is a file. It says which process holds the run, and what the run is about to do.
  - V(added) adds to the journal that this run has open, or that a dead one has left, before the next thing is
    done. Without a journal it does nothing.
  - V(open) refuses while the process of an earlier journal lives. One that is dead has left something behind,
    which has to be put right and closed first.
  - V(added) and V(closed) refuse a journal of another process that lives.
options:
  path:
    description: The file.
    type: path
    required: true
  state:
    description: What to do. V(noted) is the former word for V(added).
    type: str
    choices: [open, added, closed, read, noted]
    required: true
  content:
    description: What to keep, with V(open); what to add or to replace, with V(added).
    type: dict
    default: {}
  step:
    description: What is about to be done, in words, with V(added). It is added to the steps with its instant.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Nothing is written or removed.
"""

EXAMPLES = r"""
- name: Write down what is about to be done
  failover_lab.lab.journal:
    path: ~/.local/state/failover-lab/failover-lab/journal.json
    state: open
    content: {kind: drain, node: failover-lab-m02}

- name: And then the next thing
  failover_lab.lab.journal:
    path: ~/.local/state/failover-lab/failover-lab/journal.json
    state: added
    step: cordon failover-lab-m02
"""

RETURN = r"""
found:
  description: The journal that was there; empty if there was none.
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

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from failover_lab.run import journal


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=journal.ARGUMENTS, supports_check_mode=True)
    wanted = module.params
    try:
        result = journal.keep(
            Path(wanted["path"]),
            wanted["state"],
            wanted["content"],
            wanted["step"],
            check_mode=module.check_mode,
        )
    except journal.Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
