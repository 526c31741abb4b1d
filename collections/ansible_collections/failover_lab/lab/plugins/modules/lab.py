"""Documentation of the action plugin ``failover_lab.lab.lab``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab
short_description: Call the package failover_lab, and get its answer as data
version_added: 0.2.0
author:
  - The failover-lab authors
description:
  - Runs one command of C(python -m failover_lab) on the controller, with the interpreter that plays the
    play. Where the package is, it knows by itself. It is the only way in which roles and playbooks call it.
  - The answer is data, whatever the sentences are that people read. While the command runs, there is a line
    on the terminal at least every O(interval_s) seconds.
  - The task's C(environment) counts. C(become) does not. If the play is interrupted or killed, the command is
    ended.
  - With C(async) and C(poll=0) the command runs beside the play, at whose end it ends; its answer is to be
    had by O(job).
extends_documentation_fragment: failover_lab.lab.shared.telling
options:
  command:
    type: list
    elements: str
    description:
      - The command, and what follows it as it would be typed. No secret belongs here, since every process of
        the machine may read it - commands take the name of a file.
  options:
    type: dict
    default: {}
    description:
      - Options of the command by name. One that is true is given without a value, one that is false or null
        is left out, and a list gives one several times.
  job:
    type: str
    description:
      - Instead of O(command), the RV(ansible_job_id) of one that was begun beside the play. If it has ended,
        the result is what it has answered.
  accept_no:
    type: bool
    default: false
    description: Whether the answer no (status 1) is an answer like any other. Otherwise it fails the task.
  label:
    type: str
    description: What runs, as the user knows it. The command's name by default.
attributes:
  check_mode:
    support: full
    description:
      - A command that only reads is run. Others are not, and RV(msg) says so. Which is which says
        C(src/failover_lab/door/check_mode.py).
"""

EXAMPLES = r"""
- name: Empty the node
  failover_lab.lab.lab:
    command: evict
    options:
      node: lab-m02
      context: lab
      timeout: 120
    relay: lines
    accept_no: true
  register: evicted

- name: Say who is left
  ansible.builtin.debug:
    msg: "{{ evicted.msg }}"
  when: not evicted.ok
"""

RETURN = r"""
data:
  description: What the command found or did, by name; empty where it did not run.
  type: dict
  returned: always
ok:
  description: Whether the answer is yes, which is status 0.
  type: bool
  returned: always
rc:
  description: The exit status. 0 is yes, 1 is no, 2 says that it could not be carried out, 3 that it broke.
  type: int
  returned: once it has ended
msg:
  description:
    - Why the answer is no, or why the command could not be carried out, in a sentence without any prefix. In
      check mode, that it did not run.
  type: str
  returned: where there is something to say
elapsed_s:
  description: How long the command ran, in seconds.
  type: float
  returned: if it ran
ansible_job_id:
  description: What O(job) takes.
  type: str
  returned: if it runs beside the play
finished:
  description: Whether it has ended.
  type: bool
  returned: with O(job)
"""
