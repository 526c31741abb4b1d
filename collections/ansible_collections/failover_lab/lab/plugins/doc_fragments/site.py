"""Documentation that the modules have in common that ask for the site."""

from __future__ import annotations


class ModuleDocFragment:
    """What ``SITE`` in plugins/module_utils/arguments.py names."""

    DOCUMENTATION = r"""
options:
  namespace:
    description: Where the Deployment and the Service are.
    type: str
    required: true
  deployment:
    description: The name of the Deployment.
    type: str
    required: true
  service:
    description: The name of the Service.
    type: str
    required: true
"""
