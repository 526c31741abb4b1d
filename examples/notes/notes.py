"""A notice board: GET / shows the notes, POST / adds one. They are kept in a file beside the program."""

import html
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NOTES = Path("notes.txt")


class Board(BaseHTTPRequestHandler):
    """The board, a request at a time."""

    protocol_version = "HTTP/1.1"

    def _answer(self, text: str, status: int = 200) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Show the notes."""
        items = "".join(f"<li>{html.escape(line)}</li>" for line in NOTES.read_text().splitlines())
        self._answer(f"<!DOCTYPE html><title>Notes</title><h1>Notes</h1><ul>{items}</ul>")

    def do_POST(self) -> None:
        """Add one."""
        note = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with NOTES.open("a") as file:
            file.write(note.splitlines()[0] + "\n" if note else "")
        self._answer("<!DOCTYPE html><title>Notes</title><p>Thank you.</p>", 201)


class Server(ThreadingHTTPServer):
    """A thread for each connection; so many may wait for theirs."""

    request_queue_size = 128


if __name__ == "__main__":
    NOTES.touch()
    Server(("", 5000), Board).serve_forever()
