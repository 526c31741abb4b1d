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
    from ansible.utils.collection_loader import AnsibleCollectionConfig

    # Once in a process: the plugins' own tests may have been collected before.
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()
