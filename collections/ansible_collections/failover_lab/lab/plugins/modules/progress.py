"""Documentation of the action plugin ``failover_lab.lab.progress``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: progress
short_description: Run one long local command and show how far it is
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Runs one command on the controller, without a shell, and puts a line on the terminal at least every
    O(interval_s) seconds while it runs.
  - The task's C(environment) counts. C(become) does not. The command reads nothing from standard input.
  - If the play is interrupted or killed, the command's whole process group is ended.
extends_documentation_fragment: failover_lab.lab.shared.telling
options:
  argv:
    type: list
    elements: str
    required: true
    description: The command and its arguments.
  chdir:
    type: path
    description: The directory that it runs in.
  creates:
    type: path
    description: If this exists, the command is not run. Relative to O(chdir).
  label:
    type: str
    description:
      - What runs, as the user knows it, such as C(kube-apiserver). The command's name by default.
  expected_s:
    type: float
    description: How long the command is expected to take, in seconds. Without it no estimate is shown.
  log:
    type: path
    description: The file for all that the command says, made anew with its directory.
attributes:
  check_mode:
    support: full
    description: The command is not run; the task says changed unless O(creates) exists.
"""

EXAMPLES = r"""
- name: Build the API server
  failover_lab.lab.progress:
    argv: [go, build, -o, "{{ cache }}/kube-apiserver", k8s.io/kubernetes/cmd/kube-apiserver]
    chdir: "{{ cache }}/source"
    creates: "{{ cache }}/kube-apiserver"
    expected_s: 60
    log: "{{ cache }}/logs/kube-apiserver.log"
  environment:
    CGO_ENABLED: "0"
"""

RETURN = r"""
rc:
  description: The exit status; 128 and the signal's number if a signal ended the command, 127 if not found.
  type: int
  returned: always
stdout:
  description: The last 100 lines of standard output, without control characters.
  type: str
  returned: always
stderr:
  description: The last 100 lines of standard error, without control characters.
  type: str
  returned: always
elapsed_s:
  description: How long the command ran, in seconds.
  type: float
  returned: always
log:
  description: The file that has all that the command said.
  type: str
  returned: if O(log) was given and the command ran
"""
