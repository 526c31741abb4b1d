"""The role ``witness`` as a play uses it, on this machine: a server for the site, and a small API server."""

from __future__ import annotations

import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.api_server import certificate
from tests.unit.probe.server import Server

from failover_lab.run.records import RecordFile

pytestmark = pytest.mark.nightly

ROOT = Path(__file__).parents[2]
FACTS: dict[str, Any] = {
    "schema_version": 1,
    "fault": {"kind": "drain", "node": "lab-m02"},
    "settings": {"steady_window_s": 0.5},
    "spread": {"after": {"site-a": "lab"}, "eligible_nodes": ["lab"]},
}


class Api(http.server.BaseHTTPRequestHandler):
    """Lists nothing, and watches in silence."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None: ...

    def do_GET(self) -> None:
        watching = "watch" in urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        body = b"" if watching else b'{"metadata": {"resourceVersion": "1"}, "items": []}'
        self.send_response(200)
        self.send_header(
            "Content-Length" if body else "Transfer-Encoding", str(len(body)) if body else "chunked"
        )
        self.end_headers()
        self.wfile.write(body)
        if watching:
            threading.Event().wait(60)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        path = tmp_path / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "clusters": [
                        {"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
                    ],
                    "users": [{"name": "nobody", "user": {}}],
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "nobody"}}],
                }
            )
        )
        yield path
        server.shutdown()


@pytest.fixture
def url() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("failing_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    server.stdin.close()
    server.wait(timeout=10)
    server.stdout.close()


def step(entry_point: str, **variables: Any) -> dict[str, Any]:
    return {
        "name": entry_point,
        "ansible.builtin.include_role": {"name": "witness", "tasks_from": entry_point},
        "vars": variables,
    }


def play(folder: Path, tasks: list[dict[str, Any]], **variables: Any) -> subprocess.CompletedProcess[str]:
    path = folder / "play.yml"
    hosts = {"hosts": "lab", "gather_facts": False, "vars": {"witness_pods": ["site-a"], **variables}}
    path.write_text(yaml.safe_dump([{**hosts, "tasks": tasks}]))
    return subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), path],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_ROLES_PATH": str(ROOT / "roles")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_run_from_start_to_report(kubeconfig: Path, url: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = play(
        tmp_path,
        [
            step("start"),
            step("facts", witness_facts=FACTS),
            step("steady", witness_events=["steady_before", "fault_begin"]),
            step("mark", witness_event="cordoned", witness_details=["node=lab-m02"]),
            step("answers", witness_since="fault_begin"),
            step("steady", witness_first_event="healed", witness_events=["steady_after"]),
            step("stop"),
            step(
                "report",
                witness_facts="{{ facts | combine({'replacements': [{'pod': 'site-a', 'uid': 'a'}]}) }}",
            ),
            # Five lines, and one more: this server keeps no connection open.
            {
                "ansible.builtin.assert": {
                    "that": ["witness_passed", "witness_summary | length == 6", "witness_troubles == []"]
                }
            },
        ],
        witness_run_dir=str(run),
        witness_url=url,
        witness_kubeconfig=str(kubeconfig),
        witness_context="fake",
        witness_steady_s=0.5,
        # A play's words about the role's settings are read within the role, where their defaults are known.
        facts=FACTS
        | {"settings": FACTS["settings"] | {"max_slowest_ms": "{{ witness_max_slowest_ms | float }}"}},
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert json.loads((run / "run.json").read_text())["settings"]["max_slowest_ms"] == 500
    marks = [json.loads(line) for line in (run / "marks.jsonl").read_text().splitlines()]
    names = [mark["event"] for mark in marks]
    assert names == ["steady_before", "fault_begin", "cordoned", "healed", "steady_after"]
    assert marks[0]["at"] == marks[1]["at"]
    assert json.loads((run / "probe.json").read_text())["end_reason"] == "stop file"
    assert json.loads((run / "observer.json").read_text())["state"] == "ended"
    assert json.loads((run / "report.json").read_text())["replacements"][0]["pod"] == "site-a"
    assert run.with_name("latest").readlink() == Path("run")
    assert (run / "summary.txt").read_text().startswith("Passed: ")


def test_any_service_is_asked_by_https_and_says_who_it_is(kubeconfig: Path, tmp_path: Path) -> None:
    both, authority = certificate(tmp_path / "tls", names=("shop.example",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    page = b"HTTP/1.1 203 Fine\r\nX-Pod: site-a\r\nContent-Length: 7\r\n\r\nhealthy"
    server = Server(lambda _number: (page, "keep"), context)
    (tmp_path / "auth").write_text("me:secret\n")
    run = tmp_path / "run"
    done = play(
        tmp_path,
        [
            step("start"),
            step("steady", witness_events=["steady_before", "fault_begin"]),
            step("answers", witness_since="fault_begin"),
            step("stop"),
            {"ansible.builtin.assert": {"that": "witness_troubles == []"}},
        ],
        witness_run_dir=str(run),
        witness_url=f"https://shop.example:{server.port}",
        witness_path="/health?deep=1",
        witness_resolve=[f"shop.example:{server.port}:127.0.0.1"],
        witness_ca=str(authority),
        witness_headers={"X-A": "b c"},
        witness_body="hello",
        witness_auth_file=str(tmp_path / "auth"),
        witness_expect_status="203",
        witness_expect_text="healthy",
        witness_identity="header:X-Pod",
        witness_kubeconfig=str(kubeconfig),
        witness_context="fake",
        witness_steady_s=0.5,
    )
    server.stop()
    assert done.returncode == 0, done.stdout[-4000:]
    assert server.said[0].startswith(b"POST /health?deep=1 HTTP/1.1\r\nHost: shop.example")
    for part in (b"X-A: b c\r\n", b"Authorization: Basic bWU6c2VjcmV0\r\n", b"\r\n\r\nhello"):
        assert part in server.said[0]
    found = list(RecordFile(run / "requests.csv.gz").records())
    assert {(str(record.outcome), record.status, record.pod) for record in found} == {("ok", 203, "site-a")}
    assert all(b"bWU6c2VjcmV0" not in path.read_bytes() for path in run.iterdir() if path.is_file())
    assert "secret" not in done.stdout


KILL = """
import json, os, sys
os.kill(json.load(open(sys.argv[1] + "/probe.json"))["pid"], 9)
"""


# Context, what happens meanwhile, and what the report says.
BREAKS: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "observer": ("nobody", [], "the observer broke off: no access to the cluster"),
    "probe": (
        "fake",
        [
            step("steady"),
            {"ansible.builtin.command": {"argv": [sys.executable, "-c", KILL, "{{ witness_run_dir }}"]}},
        ],
        "the probe broke off: it failed with exit status -9",
    ),
}


@pytest.mark.parametrize("who", BREAKS)
def test_a_witness_that_broke_off_is_reported(kubeconfig: Path, url: str, tmp_path: Path, who: str) -> None:
    context, meanwhile, says = BREAKS[who]
    run = tmp_path / "run"
    done = play(
        tmp_path,
        [
            step("start"),
            step("facts", witness_facts=FACTS),
            *meanwhile,
            step("mark", witness_event="fault_begin"),
            step("stop"),
            step("report", witness_facts="{{ facts | combine({'errors': witness_troubles}) }}"),
            {"ansible.builtin.assert": {"that": "not witness_passed"}},
        ],
        witness_run_dir=str(run),
        witness_url=url,
        witness_kubeconfig=str(kubeconfig),
        witness_context=context,
        witness_steady_s=0.5,
        facts=FACTS,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "fatal: " not in done.stdout
    reasons = json.loads((run / "report.json").read_text())["verdict"]["reasons"]
    assert [reason for reason in reasons if reason.startswith(says)], reasons


def test_the_witness_ends_with_its_play(kubeconfig: Path, url: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = play(
        tmp_path,
        [step("start"), step("steady"), {"ansible.builtin.fail": {"msg": "the play ends here"}}],
        witness_run_dir=str(run),
        witness_url=url,
        witness_kubeconfig=str(kubeconfig),
        witness_context="fake",
        witness_steady_s=0.5,
    )
    assert done.returncode != 0
    assert "the play ends here" in done.stdout, done.stdout[-4000:]
    # Both look several times a second; `stop` waits for them and finds nobody, or those about to end.
    subprocess.run(
        [sys.executable, "-c", WAIT, run],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        timeout=30,
        check=True,
    )
    reason = json.loads((run / "probe.json").read_text())["end_reason"]
    assert reason.endswith(" is gone")
    assert json.loads((run / "observer.json").read_text())["state"] == "ended"


WAIT = """
import sys, time
from pathlib import Path
from failover_lab.run import stop
while stop.processes_of(Path(sys.argv[1]).resolve()):
    time.sleep(0.1)
"""
