"""Documentation of the action plugin ``failover_lab.lab.requirements``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: requirements
short_description: Say in one sentence what the environment of this play lacks
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Fails with one sentence that names the remedy if Python, ansible-core, a Python module, or a collection
    of C(collections/requirements.yml) is missing or not of a version that the lab works with, or if the lab's
    own Python package is not found.
  - So it does where the play was told to become another user for everything, and where the folders of the
    user who runs it (C(HOME), C(XDG_STATE_HOME) and their like) cannot be those that are meant.
  - It starts no process and reads a few small files, so it can open every playbook. Roles that need a
    collection are to be brought in by M(ansible.builtin.include_role) after it, since a play is parsed
    before its first task.
extends_documentation_fragment: failover_lab.lab.shared.reading
"""

EXAMPLES = r"""
- name: Check the environment
  failover_lab.lab.requirements:
"""

RETURN = r"""
msg:
  description: What is missing and how to get it.
  type: str
  returned: on failure
"""
