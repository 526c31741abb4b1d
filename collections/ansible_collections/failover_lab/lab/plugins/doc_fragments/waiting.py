"""Documentation that the modules have in common that tell what they wait for."""

from __future__ import annotations


class ModuleDocFragment:
    """What ``WAITING`` in plugins/module_utils/arguments.py names."""

    DOCUMENTATION = r"""
options:
  run_dir:
    description:
      - The folder of a run that is going on. While the module waits, it is told how many requests
        there were, and how many of them failed. Without one, just for how long it has waited.
    type: path
  waits_for:
    description: What it waits for, in the words of the user. By default its own.
    type: str
  interval_s:
    description: How long between two lines that tell what it waits for, in seconds.
    type: float
    default: 5.0
"""
