"""One watch: list, follow, and after any interruption go on without losing a change."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError, ReadTimeoutError

from failover_lab.kube.client import items
from failover_lab.kube.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import BaseHTTPResponse

    from failover_lab.kube.objects import Object
    from failover_lab.observe.log import EventLog
    from failover_lab.observe.resources import Resource

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
# A node that dies takes its connections with it silently; silence this long and the watch is opened again,
# from where it was, so that nothing is lost by being impatient.
_SILENCE_S = 10.0
_CONNECT_S = 3.0
_SERVER_SIDE_S = "300"


class GoneError(Exception):
    """The server no longer has the changes since our version: list again and compare."""


class Watch(threading.Thread):
    """Follows one kind of object until told to stop.

    Attributes:
        synced: set once the first list is in the log.
        interruptions: how often the watch had to be opened again for an error.
        trouble: what the last of these errors was.
    """

    def __init__(self, resource: Resource, log: EventLog, stop: threading.Event) -> None:
        """Nothing is asked yet."""
        super().__init__(name=f"watch-{resource.kind}", daemon=True)
        self._resource = resource
        self._log = log
        self._stop_event = stop
        self._known: dict[str, tuple[str, str]] = {}
        self._listed = False
        self._version: str | None = None
        self._stream: BaseHTTPResponse | None = None
        self.synced = threading.Event()
        self.interruptions = 0
        self.trouble = ""

    def run(self) -> None:
        """List, follow, recover, until the stop event is set."""
        pause_s = _FIRST_PAUSE_S
        while not self._stop_event.is_set():
            try:
                if self._version is None:
                    self._version = self._list()
                for change in self._follow(self._version):
                    pause_s = _FIRST_PAUSE_S
                    self._take(change)
                # A server that ends every watch at once must not be asked in a tight loop.
                self._stop_event.wait(_FIRST_PAUSE_S)
            except GoneError:
                self._version = None
            except ReadTimeoutError:
                continue
            except (RefusedError, HTTPError, OSError, ValueError, KeyError) as error:
                if self._stop_event.is_set():
                    return
                self._failed(error)
                self._stop_event.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def end(self) -> None:
        """Wait until it has ended; the stop event is set by then.

        A thread that is still reading while the interpreter goes down may take the whole process with it.
        """
        if (stream := self._stream) is not None:
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # it has ended by itself
                stream.shutdown()
        self.join(_CONNECT_S + _SILENCE_S)

    def _failed(self, error: Exception) -> None:
        status = error.status if isinstance(error, RefusedError) else None
        if status in {404, 410}:
            self._version = None
        if status != 404:
            self._interrupted(error)
        if status in self._resource.hopeless:
            self.synced.set()

    def _interrupted(self, error: Exception) -> None:
        self.interruptions += 1
        said = error.account if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        self.trouble = said.splitlines()[0][:200]
        self._log.add("Observer", "INTERRUPTED", self._resource.kind, {"message": self.trouble})

    def _call(self, **query: str) -> BaseHTTPResponse:
        response: BaseHTTPResponse = self._resource.listing(timeout_s=(_CONNECT_S, _SILENCE_S), **query)
        return response

    def _list(self) -> str:
        response = self._call()
        try:
            listing = json.loads(response.data)
        finally:
            response.release_conn()
        change = "MODIFIED" if self._listed else "LISTED"
        now: set[str] = set()
        for item in items(listing):
            uid = item["metadata"]["uid"]
            now.add(uid)
            known = self._known.get(uid)
            if known is None:
                self._note("ADDED" if self._listed else change, item, relisted=self._listed)
            elif known[1] != item["metadata"]["resourceVersion"]:
                self._note(change, item, relisted=True)
        for uid in set(self._known) - now:
            name, _ = self._known.pop(uid)
            self._log.add(self._resource.kind, "DELETED", name, {"relisted": True})
        self._listed = True
        self.synced.set()
        return str(listing["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> Iterator[Object]:
        response = self._call(
            watch="true", resourceVersion=version, allowWatchBookmarks="true", timeoutSeconds=_SERVER_SIDE_S
        )
        self._stream = response
        try:
            # Whoever sets the event looks for the stream after that.
            if self._stop_event.is_set():
                return
            for line in _lines(response):
                if self._stop_event.is_set():
                    return
                yield json.loads(line)
        finally:
            self._stream = None
            response.close()
            response.release_conn()

    def _take(self, change: Object) -> None:
        item = change["object"]
        if change["type"] == "ERROR":
            if item.get("code") == 410:
                raise GoneError
            raise ValueError(f"the watch ended: {item.get('message', item)}")
        if change["type"] != "BOOKMARK":
            self._note(change["type"], item, relisted=False)
        # Only now: should writing fail, the change is asked for again.
        self._version = item["metadata"]["resourceVersion"]

    def _note(self, change: str, item: Object, *, relisted: bool) -> None:
        meta = item["metadata"]
        facts = self._resource.facts(item)
        if facts is None:
            return
        if change == "DELETED":
            self._known.pop(meta["uid"], None)
        else:
            self._known[meta["uid"]] = (meta["name"], meta["resourceVersion"])
        details = {**facts, "version": meta["resourceVersion"]}
        if relisted:
            details["relisted"] = True
        self._log.add(self._resource.kind, change, meta["name"], details)


def _lines(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Whole lines of a stream; a last line without its end is a lost connection, and is asked for again."""
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())
