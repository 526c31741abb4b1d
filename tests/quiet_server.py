"""An HTTP server for tests that says nothing of a client that goes away in the middle of its answer."""

from __future__ import annotations

import sys
from http.server import ThreadingHTTPServer
from typing import Any


class QuietServer(ThreadingHTTPServer):
    """Its threads live a little longer than the test that asked: what they print would be another test's."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Only what is the server's own fault is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
