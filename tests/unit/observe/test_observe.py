"""The observer against a small server that speaks the Kubernetes watch protocol."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api_server import kubeconfig
from tests.quiet_server import QuietServer

from failover_lab import cli
from failover_lab.errors import UserError
from failover_lab.kube.client import Api
from failover_lab.kube.errors import RefusedError
from failover_lab.observe import command, log, resources, watch
from failover_lab.observe.watch import Watch
from failover_lab.run import instants
from failover_lab.run.lifetime import StopCondition


def pod(name: str, version: int, *, ready: bool = True, deletion: str | None = None) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "deletionTimestamp": deletion,
        },
        "spec": {"nodeName": "lab"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def client_of(tmp_path: Path, url: str) -> Api:
    """Of a server without TLS."""
    return Api("lab", kubeconfig(tmp_path / "kubeconfig", "lab", url))


class ApiServer:
    """One list, and a script of what each watch after it does.

    A script's step is a change to send, ``"cut"`` to break off within a line, ``"gone"`` for 410 in the
    stream, ``"gone_status"`` for 410 as the answer, ``"fail"`` for 500, or ``"end"`` for a normal end.
    """

    def __init__(self, tmp_path: Path) -> None:
        self.pods: list[dict[str, Any]] = []
        self.version = 1
        self.script: list[list[Any]] = []
        self.watched_from: list[str] = []
        self.lists = 0
        # What else there is, one object by its path, and every path that was listed or watched.
        self.others: dict[str, dict[str, Any]] = {}
        self.asked: set[tuple[str, str]] = set()
        self.selected: set[tuple[str, str]] = set()
        self.idle = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: object) -> None: ...

            def do_GET(self) -> None:
                url = urllib.parse.urlsplit(self.path)
                query = urllib.parse.parse_qs(url.query)
                outer.asked.add(("watch" if "watch" in query else "list", url.path))
                outer.selected.update(
                    (url.path.rsplit("/", 1)[-1], s) for s in query.get("labelSelector", [])
                )
                if "servicel2statuses" in url.path and url.path not in outer.others:
                    self.answer(404, {"kind": "Status", "code": 404})
                elif "watch" in query:
                    outer.watch(self, url.path, query)
                elif url.path.endswith("/pods"):
                    outer.lists += 1
                    self.answer(
                        200, {"metadata": {"resourceVersion": str(outer.version)}, "items": outer.pods}
                    )
                else:
                    items = [outer.others[url.path]] if url.path in outer.others else []
                    self.answer(200, {"metadata": {"resourceVersion": "1"}, "items": items})

            def answer(self, code: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.client = client_of(tmp_path, f"http://127.0.0.1:{self.server.server_port}")

    def watch(self, handler: Any, path: str, query: dict[str, list[str]]) -> None:
        steps: list[Any] = []
        if path.endswith("/pods"):
            assert query["allowWatchBookmarks"][0].lower() == "true"
            self.watched_from.append(query["resourceVersion"][0])
            if self.script:
                steps = self.script.pop(0)
            else:
                self.idle.set()
        if steps and steps[0] in ("gone_status", "fail"):
            code = 410 if steps[0] == "gone_status" else 500
            handler.answer(code, {"kind": "Status", "code": code})
            return
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for step in steps:
            if step == "cut":
                handler.chunk(b'{"type": "MODIFIED", "object": {"meta')
                handler.connection.shutdown(socket.SHUT_RDWR)
                return
            if step == "end":
                handler.chunk(b"")
                return
            change = (
                {"type": "ERROR", "object": {"code": 410, "message": "too old"}} if step == "gone" else step
            )
            handler.chunk(json.dumps(change).encode() + b"\n")
        threading.Event().wait(30)  # a quiet watch: nothing happens until the client goes


def change(kind: str, name: str, version: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "object": pod(name, version, **more)}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path)
    yield server
    server.server.shutdown()
    server.server.server_close()


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def status(out: Path) -> dict[str, Any]:
    """What the observer says of itself; nothing before it first did."""
    path = out / "observer.json"
    said: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return said


def observed(api: ApiServer, out: Path, *, over: Callable[[], object] | None = None) -> list[dict[str, Any]]:
    """Observe until the script, or something else, is over; gives back the log's lines."""
    stop_file = out / "stop"
    result: list[int] = []
    watched = command.resources(api.client, "site", "web")
    thread = threading.Thread(
        target=lambda: result.append(command.observe(out, watched, StopCondition(stop_file=stop_file)))
    )
    thread.daemon = True
    thread.start()
    try:
        until(over or api.idle.is_set)
        # The watches begin before it says so.
        until(lambda: status(out).get("state") == "watching")
    finally:
        stop_file.touch()
        thread.join(timeout=5)
    # One that still reads as the interpreter goes down may take the process with it, and its exit status.
    assert [t.name for t in threading.enumerate() if t.name.startswith("watch-")] == []
    lines = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert result == [len(lines)]
    assert status(out)["state"] == "ended"
    return lines


def told(lines: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    return [
        (line["change"], line["name"], line.get("relisted", False)) for line in lines if line["kind"] == "Pod"
    ]


def test_every_kind_is_listed_and_watched_where_it_is(api: ApiServer, tmp_path: Path) -> None:
    kinds = {
        "/api/v1/nodes": "Node",
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases": "Lease",
        "/apis/discovery.k8s.io/v1/namespaces/site/endpointslices": "EndpointSlice",
        "/api/v1/namespaces/site/pods": "Pod",
        "/api/v1/events": "Event",
        "/apis/metallb.io/v1beta1/servicel2statuses": "ServiceL2Status",
    }
    api.others = {
        path: {
            "metadata": {"name": f"a-{kind}", "uid": kind, "resourceVersion": "1"},
            # What makes it of interest: a Node's event, an announcement of this namespace.
            "involvedObject": {"kind": "Node", "name": "lab"},
            "status": {"serviceNamespace": "site", "serviceName": "web"},
        }
        for path, kind in kinds.items()
    }
    api.pods = [api.others["/api/v1/namespaces/site/pods"]]
    everywhere = {(verb, path) for verb in ("list", "watch") for path in kinds}
    lines = observed(api, tmp_path, over=lambda: len(api.asked) >= len(everywhere))
    assert api.asked == everywhere
    # Another Service of the namespace has endpoints of its own.
    assert api.selected == {("endpointslices", "kubernetes.io/service-name=web")}
    assert sorted((line["kind"], line["change"], line["name"]) for line in lines) == sorted(
        (kind, "LISTED", f"a-{kind}") for kind in kinds.values()
    )


def test_list_then_changes_with_instants(api: ApiServer, tmp_path: Path) -> None:
    api.pods = [pod("a", 1)]
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    api.script = [
        [change("ADDED", "b", 5, ready=False), change("DELETED", "a", 6, deletion="2026"), bookmark, "end"]
    ]
    lines = observed(api, tmp_path)
    assert told(lines) == [("LISTED", "a", False), ("ADDED", "b", False), ("DELETED", "a", False)]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert lines[1] | {"at": ""} == {
        "at": "",
        "kind": "Pod",
        "change": "ADDED",
        "name": "b",
        "uid": "uid-b",
        "node": "lab",
        "phase": "Running",
        "ready": False,
        "stamped": None,
        "address": "",
        "deletion": None,
        "restarts": 0,
        "image": "",
        "version": "5",
    }
    # The bookmark moved the version on, so that the next watch begins there.
    assert api.watched_from == ["1", "9"]
    assert api.lists == 1


def test_a_connection_cut_off_loses_nothing(api: ApiServer, tmp_path: Path) -> None:
    api.script = [[change("ADDED", "a", 5), "cut"], ["fail"], [change("MODIFIED", "a", 6), "end"]]
    lines = observed(api, tmp_path)
    assert told(lines) == [("ADDED", "a", False), ("MODIFIED", "a", False)]
    assert api.watched_from[:3] == ["1", "5", "5"]
    assert [line["change"] for line in lines if line["kind"] == "Observer"] == ["INTERRUPTED"] * 2
    assert api.lists == 1


@pytest.mark.parametrize("optional", [True, False])
def test_what_one_may_not_list_and_can_do_without_is_not_waited_for(
    tmp_path: Path, *, optional: bool
) -> None:
    def refused(**_: Any) -> Any:
        raise RefusedError(403, "leases is forbidden")

    stop = threading.Event()
    written = log.EventLog(tmp_path, instants.shared_clock(tmp_path))
    leases = Watch(resources.Resource("Lease", refused, resources.lease, optional=optional), written, stop)
    leases.start()
    until(lambda: leases.interruptions > 1)
    assert leases.synced.is_set() is optional
    assert "leases is forbidden" in leases.trouble
    stop.set()
    leases.end()
    written.close()


def test_the_endpoints_of_several_services_are_followed(api: ApiServer) -> None:
    watched = command.resources(api.client, "site", ["web", "api"])
    for one in watched:
        if one.kind == resources.SLICE:
            one.listing(timeout_s=5.0).release_conn()
    assert api.selected == {("endpointslices", "kubernetes.io/service-name in (web,api)")}
    # Others of the namespace are none of its pods.
    theirs = resources.pod_of([{"app": "web"}, {"app": "api"}])
    kept = {name for name in ("web", "api", "else") if theirs({"metadata": {"labels": {"app": name}}})}
    assert kept == {"web", "api"}
    assert resources.pod_of([])({"metadata": {}}) is not None
    said = resources.announcement("site", ["web", "api"])
    status = {"serviceName": "api", "serviceNamespace": "site", "node": "lab"}
    assert said({"status": status}) == {"service": "api", "node": "lab"}


@pytest.mark.parametrize("how", ["gone", "gone_status"])
def test_a_forgotten_version_is_made_up_for_by_comparing(how: str, api: ApiServer, tmp_path: Path) -> None:
    api.pods = [pod("same", 1), pod("changed", 1), pod("leaves", 1)]

    class Script(list[Any]):
        """Meanwhile, unseen by any watch, one changes, one leaves and one comes."""

        def pop(self, index: Any = 0) -> Any:
            api.pods = [pod("same", 1), pod("changed", 7), pod("comes", 8)]
            api.version = 8
            return super().pop(index)

    api.script = Script([[how]])
    lines = observed(api, tmp_path)
    assert sorted(told(lines)[3:]) == [
        ("ADDED", "comes", True),
        ("DELETED", "leaves", True),
        ("MODIFIED", "changed", True),
    ]
    assert api.watched_from[-1] == "8"
    assert api.lists == 2


def test_other_errors_of_a_watch_are_asked_again(api: ApiServer, tmp_path: Path) -> None:
    api.script = [
        [{"type": "ERROR", "object": {"code": 500, "message": "etcd is tired"}}],
        [{"type": "ADDED", "object": {"no": "metadata"}}],
        [change("ADDED", "a", 5), "end"],
    ]
    lines = observed(api, tmp_path)
    assert told(lines) == [("ADDED", "a", False)]
    messages = [line["message"] for line in lines if line["kind"] == "Observer"]
    assert messages == ["ValueError: the watch ended: etcd is tired", "KeyError: 'metadata'"]


def test_silence_is_no_interruption(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It bounds how long an answer's head may take, too.
    monkeypatch.setattr(watch, "_SILENCE_S", 1.0)
    api.script = [[change("ADDED", "a", 5)]]
    lines = observed(api, tmp_path)
    assert [line["kind"] for line in lines] == ["Pod"]
    assert api.watched_from[:2] == ["1", "5"]


def test_what_cannot_be_listed_is_named_with_its_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    api_client = client_of(tmp_path, f"http://127.0.0.1:{nobody}")
    stop = tmp_path / "stop"
    watched = command.resources(api_client, "site", "web")[:2]
    observing = threading.Thread(
        target=command.observe, args=(tmp_path, watched, StopCondition(stop_file=stop)), daemon=True
    )
    observing.start()

    try:
        until(lambda: status(tmp_path).get("trouble"))
        found = status(tmp_path)
    finally:
        stop.touch()
        observing.join(timeout=5)
    assert (found["state"], found["not_listed_yet"]) == ("listing", ["Lease", "Node"])
    assert "refused" in found["trouble"]


def test_a_watch_that_breaks_down_is_not_hidden(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "run", lambda _self: None)
    with pytest.raises(UserError, match=r"watch-Node, watch-Lease.* broke down"):
        command.observe(tmp_path, command.resources(api.client, "site", "web"), StopCondition())


def test_a_full_disk_ends_the_observer(tmp_path: Path) -> None:
    from failover_lab.run.instants import Clock

    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    events = log.EventLog(tmp_path, Clock(0.0))
    events.add("Pod", "ADDED", "a", {})
    events.add("Pod", "ADDED", "b", {})
    assert events.written == 0
    with pytest.raises(UserError, match="No space left on device; free some space"):
        events.check()
    with pytest.raises(UserError, match="cannot write"):
        log.EventLog(tmp_path / "missing", Clock(0.0))


def test_the_command(
    api: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": f"http://127.0.0.1:{api.server.server_port}"}}],
        "users": [{"name": "lab", "user": {}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    api.pods = [pod("a", 1)]
    base = ["observe", "--kubeconfig", str(tmp_path / "kubeconfig"), "--max-duration", "0.3"]
    assert cli.main([*base, "--out", str(tmp_path / "run"), "--context", "lab"]) == 0
    assert capsys.readouterr().out == "1 changes written; stopped: the hard bound of 0.3 s\n"
    assert cli.main([*base, "--out", str(tmp_path / "run"), "--context", "other"]) == 2
    assert "no access to the cluster" in capsys.readouterr().err
    said = status(tmp_path / "run")
    assert said["state"] == "ended"
    assert said["trouble"].startswith("no access to the cluster")
    (tmp_path / "kubeconfig").write_text("- damaged\n")
    assert cli.main([*base, "--out", str(tmp_path / "run")]) == 2
    assert "the kubeconfig is damaged" in status(tmp_path / "run")["trouble"]
    assert cli.main([*base, "--out", "/proc/none/x"]) == 2
    assert "cannot make /proc/none/x" in capsys.readouterr().err


def test_what_is_kept_of_each_kind() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T19:00:00Z"}
    node = {
        "metadata": {},
        "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoExecute"}]},
        "status": {"conditions": [{"type": "Other"}, ready]},
    }
    assert resources.node(node) == {
        "address": "",
        "ready": "True",
        "stamped": "2026-11-23T19:00:00Z",
        "unschedulable": True,
        "taints": ["k:NoExecute"],
    }
    assert resources.node({})["ready"] == "Unknown"
    assert resources.lease({"spec": {"renewTime": "t"}}) == {"stamped": "t"}
    part = {
        "metadata": {"labels": {"kubernetes.io/service-name": "site"}},
        "endpoints": [
            {
                "targetRef": {"name": "a"},
                "nodeName": "lab",
                "addresses": ["10.1.1.1"],
                "conditions": {"ready": True},
            },
            {},
        ],
    }
    kept = resources.endpoint_slice(part)
    assert kept["service"] == "site"
    assert kept["endpoints"][0] == {
        "pod": "a",
        "node": "lab",
        "addresses": ["10.1.1.1"],
        "ready": True,
        "serving": False,
        "terminating": False,
    }
    assert kept["endpoints"][1]["pod"] == ""
    remark = resources.event("site")
    about = {"involvedObject": {"kind": "Pod", "name": "a", "namespace": "site"}, "reason": "Killing"}
    assert remark(about) == {
        "reason": "Killing",
        "message": "",
        "type": "",
        "about": "Pod/a",
        "count": 1,
        "stamped": None,
    }
    assert remark({"involvedObject": {"kind": "Pod", "namespace": "other"}}) is None
    assert remark({"involvedObject": {"kind": "Node", "name": "lab"}}) is not None
    said = resources.announcement("site", "site")
    status = {"serviceName": "site", "serviceNamespace": "site", "node": "lab"}
    assert said({"status": status}) == {"service": "site", "node": "lab"}
    assert said({"status": status | {"serviceNamespace": "other"}}) is None
    assert said({"status": status | {"serviceName": "other"}}) is None
