"""Documentation that the modules have in common that only look."""

from __future__ import annotations


class ModuleDocFragment:
    """What check mode is to them."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode.
"""
