"""What the site's server does to its pages, without the server: a machine that tests need not have nginx."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

SITE = Path(__file__).parents[2] / "site"
HTML = SITE / "html"
POD, NODE, IMAGE = (
    "site-6d5f9c7b44-x2x4z",
    "failover-lab-m02",
    "registry.lab:5000/site@sha256:0123456789abcdef",
)
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# The server's own headers, its security policy among them.
HEADERS = re.findall(r'add_header (\S+) "?(.*?)"? always;', (SITE / "nginx.conf").read_text(encoding="utf-8"))
DIRECTIVE = re.compile(r"<!--# (\w+)(.*?) -->")


def served(path: Path, variables: dict[str, str]) -> str:
    """A page as the server puts it together.

    Raises:
        ValueError: a directive that this one does not know.
    """
    result, shown = [], True
    text = path.read_text(encoding="utf-8")
    at = 0
    for match in DIRECTIVE.finditer(text):
        result += [text[at : match.start()]] * shown
        at = match.end()
        name, given = match[1], dict(re.findall(r'(\w+)="(.*?)"', match[2]))
        if name == "if":
            variable, sign, value = given["expr"].split(" ")
            shown = (variables.get(variable.removeprefix("$"), "") == value) is (sign == "=")
        elif name == "endif":
            shown = True
        elif name == "set":
            variables[given["var"]] = given["value"]
        elif name == "echo":
            result += [variables.get(given["var"]) or given.get("default", "(none)")] * shown
        elif name == "include":
            result += [served(HTML / given["virtual"].lstrip("/"), variables)] * shown
        else:
            raise ValueError(f"{path}: unknown directive {match[0]}")
    return "".join([*result, text[at:]])


class Server(http.server.BaseHTTPRequestHandler):
    """The pages, the assets, and ``/whoami``."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        """In silence."""

    def do_GET(self) -> None:
        status, kind, body = self._answer()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in HEADERS:
            known = {"$site_pod": POD, "$site_node": NODE, "$site_cache": "no-store"}
            self.send_header(name, known.get(value, value))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self) -> tuple[int, str, bytes]:
        if self.path in {"/whoami", "/whoami/once"}:
            body = json.dumps({"pod": POD, "node": NODE, "image": IMAGE})
            return 200, "application/json", body.encode()
        plain = HTML / (self.path.lstrip("/") or "index.html")
        path = next(
            (found for found in (plain, plain.with_name(f"{plain.name}.html")) if found.is_file()), None
        )
        if path is not None and path.suffix != ".html":
            return 200, TYPES[path.suffix], path.read_bytes()
        variables = {
            "site_pod": POD,
            "site_node": NODE,
            "site_image": IMAGE,
            "site_colour": f"n{NODE[-1]}",
            "http_host": self.headers["Host"],
        }
        body = served(path or HTML / "404.html", variables)
        return 404 if path is None else 200, TYPES[".html"], body.encode()


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Serve on this machine alone; gives the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
