"""Lets the tests import the plugins under the names by which Ansible knows them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader

REPO = Path(__file__).resolve().parents[2]

init_plugin_loader([str(REPO / "collections")])


def lab_callback() -> Any:
    """The callback beside the playbooks, which no package has."""
    path = REPO / "playbooks" / "callback_plugins" / "lab.py"
    spec = importlib.util.spec_from_file_location("lab_callback", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
