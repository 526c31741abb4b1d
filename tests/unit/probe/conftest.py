"""The made-up runs that these tests share with others, and the servers that they ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.unit.made_up import _looks_often, made_up, undisturbed
from tests.unit.probe.server import Serve, Server

__all__ = ["_looks_often", "made_up", "serve", "undisturbed"]


@pytest.fixture
def serve(undisturbed: None) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(behave: Callable[[int], tuple[bytes, str]]) -> Server:
        servers.append(Server(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
