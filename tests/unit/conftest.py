"""Lets the tests import the collections by the names that Ansible has for them, before any of them does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([str(Path(__file__).resolve().parents[2] / "collections")])


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    """Commands run within the tests' own process, and must not leave it deaf to signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
