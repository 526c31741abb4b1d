"""What the static checks share."""

from __future__ import annotations

import pytest
from ansible.plugins.loader import init_plugin_loader


@pytest.fixture(scope="session")
def lookups() -> None:
    """Templates may look things up from now on."""
    init_plugin_loader()
