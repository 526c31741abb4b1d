"""Documentation of the action plugin ``failover_lab.lab.wait_for``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for
short_description: Wait until there is a file, and tell so
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - M(ansible.builtin.wait_for), which says nothing while it waits, with a line on the terminal every few
    seconds. All arguments of that module are known; these are the ones that matter here.
extends_documentation_fragment: failover_lab.lab.shared.waiting
options:
  path:
    description: The file.
    type: path
  timeout:
    description: How long to wait, in seconds.
    type: int
    default: 300
  sleep:
    description: How long between two looks, in seconds.
    type: int
    default: 1
  msg:
    description: What to say when the time is over.
    type: str
  says:
    description: What to say before, line by line, each on the terminal as it is.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: It is skipped.
"""

EXAMPLES = r"""
- name: Wait for the operator
  failover_lab.lab.wait_for:
    path: /tmp/operator-done
    timeout: 600
    waits_for: the operator
"""

RETURN = r"""
elapsed:
  description: How long it waited, in seconds.
  type: int
  returned: always
"""
