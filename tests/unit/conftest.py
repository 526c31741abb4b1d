"""Lets the tests import the plugins under the names by which Ansible knows them."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

REPO = Path(__file__).resolve().parents[2]

init_plugin_loader([str(REPO / "collections")])
