"""Documentation that the modules have in common that are told what the container engine says."""

from __future__ import annotations


class ModuleDocFragment:
    """What ``ENGINE`` in plugins/module_utils/arguments.py names."""

    DOCUMENTATION = r"""
options:
  engine:
    description:
      - What the container engine says of the nodes. Each has C(name), C(id), C(state), and may have
        C(incoming), C(outgoing) (whether the network is cut off) and C(kubelet) (systemd's word). Empty where
        it was not asked.
    type: list
    elements: dict
    default: []
"""
