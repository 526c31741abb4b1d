"""Documentation that the modules have in common that wait for the cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """What ``WATCHING`` in plugins/module_utils/arguments.py names beside ``WAITING``."""

    DOCUMENTATION = r"""
options:
  timeout_s:
    description: How long to wait, in seconds.
    type: int
    default: 180
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode. In check mode it neither waits nor fails.
"""
