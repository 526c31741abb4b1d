"""What the static checks share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read when Ansible is first imported: the repository's own plugins are found from wherever pytest is called.
os.environ["ANSIBLE_CONFIG"] = str(Path(__file__).parents[2] / "ansible.cfg")


@pytest.fixture(scope="session")
def lookups() -> None:
    """Templates may look things up from now on."""
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()
