"""Documentation that the modules have in common that run one command and tell how far it is."""

from __future__ import annotations


class ModuleDocFragment:
    """What ``TELLING`` in plugins/action/progress.py names."""

    DOCUMENTATION = r"""
options:
  interval_s:
    description: How long at most between two lines, in seconds.
    type: float
    default: 10.0
  relay:
    description:
      - With V(timer), the line says the label, the time, and the estimate where there is one.
      - With V(lines), it is the last line that the command has said.
    type: str
    choices: [timer, lines]
    default: timer
  run_dir:
    description:
      - The folder of a run that is going on. Each line begins with how many requests there were, and how many
        of them failed.
    type: path
  timeout_s:
    description: How long the command may take, in seconds.
    type: float
  finishes:
    description:
      - Let the command finish where its play is killed, for what could not be put right half done. An
        interruption ends it all the same.
    type: bool
    default: false
"""
