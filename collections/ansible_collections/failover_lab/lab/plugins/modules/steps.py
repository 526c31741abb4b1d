"""Documentation of the action plugin ``failover_lab.lab.steps``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: steps
short_description: Run long local commands that need each other, several at once, and show how far they are
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Runs commands on the controller, without a shell, each as soon as all is done that it needs and there is
    room for it. Puts a line on the terminal whenever one is done, and at least every O(interval_s) seconds,
    with what runs, how much is done, and about how long is left.
  - The task's C(environment) counts for all of them. C(become) does not. They read nothing from standard
    input.
  - If one fails, the others are ended, and the message says what the one has said. If the play is interrupted
    or killed, all of them are ended. Each with its whole process group.
options:
  steps:
    type: list
    elements: dict
    required: true
    description: The commands, in the order in which they are begun where several could be.
    suboptions:
      name:
        type: str
        required: true
        description: What other steps need it by.
      label:
        type: str
        required: true
        description: What it makes, as the user knows it.
      argv:
        type: list
        elements: str
        required: true
        description: The command and its arguments.
      environment:
        type: dict
        default: {}
        description: What it has besides the environment of them all.
      chdir:
        type: path
        description: The directory that it runs in.
      log:
        type: path
        description: The file for all that it says, made anew with its directory.
      needs:
        type: list
        elements: str
        default: []
        description: The names of the steps that have to be done before. They stand before it.
      nice:
        type: int
        default: 0
        description: How far it stands back for the others, as C(nice) has it.
      kind:
        type: str
        default: ""
        description: Of what kind it is, for O(at_once).
      expected_s:
        type: float
        required: true
        description: Its share of the time that all of them are expected to take, in seconds.
      done:
        type: bool
        default: false
        description: What it makes is there already, and it is not run.
  at_once:
    type: dict
    default: {}
    description:
      - How many steps of a kind run at once. Every step is of the kind C(all), besides its own. A kind that
        is not named has no limit.
  interval_s:
    type: float
    default: 10.0
    description: How long at most between two lines, in seconds.
attributes:
  check_mode:
    support: full
    description: No command is run; a line for each says which would be.
"""

EXAMPLES = r"""
- name: Two commands, of which one needs the other
  failover_lab.lab.steps:
    steps:
      - name: compile
        label: the program
        argv: [make, -C, "{{ source }}"]
        expected_s: 60
        log: "{{ cache }}/logs/compile.log"
        done: "{{ (source ~ '/program') is ansible.builtin.exists }}"
      - name: pack
        label: its image
        argv: [docker, build, "{{ source }}"]
        needs: [compile]
        expected_s: 10
    at_once:
      all: 2
"""

RETURN = r"""
steps:
  description: The names of the steps that were not done before.
  type: list
  elements: str
  returned: always
"""
