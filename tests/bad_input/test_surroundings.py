"""Surroundings that forbid a fault: one sentence with the remedy. Engine and cluster are small servers."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.proxy import proxy

from failover_lab.watchdog.only_one import only_one

Runner = Callable[..., Any]

PROFILE = "never-made"
NOBODY = "tcp://127.0.0.1:1"
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"minikube.k8s.io/name": PROFILE}},
        "spec": {},
        "status": READY,
    }


def pod(name: str, where: str) -> dict[str, Any]:
    labels = {"app": "site"}
    return {
        "metadata": {"name": name, "namespace": "site", "uid": name, "labels": labels},
        "spec": {"nodeName": where, "containers": []},
        "status": READY,
    }


NODES = [f"{PROFILE}-m02", f"{PROFILE}-m03"]
CLUSTER: dict[str, Any] = {
    "/version": {"major": "1", "minor": "35", "gitVersion": "v1.35.1"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [{"name": "nodes", "kind": "Node", "namespaced": False, "verbs": ["get", "list"]}],
    },
    "/api/v1/nodes": {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": [*map(node, NODES)]},
    "/api/v1/pods": {"items": [pod(f"site-{name}", name) for name in NODES]},
    "/apis/apps/v1/namespaces/site/deployments/site": {
        "metadata": {"name": "site", "namespace": "site"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "site"}}},
    },
    "/api/v1/namespaces/site/services/site": {
        "metadata": {"name": "site", "namespace": "site"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    },
    "/apis/policy/v1/poddisruptionbudgets": {"items": []},
}
ENGINE: dict[str, Any] = {
    "/version": {"ApiVersion": "1.45", "Version": "27.5.1"},
    "/info": {},
    "/containers/json": [
        {"Id": name, "Names": [f"/{name}"], "State": state, "Labels": {}}
        for name, state in zip(NODES, ("paused", "exited"), strict=True)
    ],
}


@contextmanager
def serving(answers: dict[str, Any]) -> Iterator[int]:
    """A server that has these answers and no other; gives its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None: ...

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            # docker's clients put the version of the interface before.
            answer = answers.get(path, answers.get("/" + path.split("/", 2)[-1]))
            body = json.dumps({} if answer is None else answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def kubeconfig(path: Path, server: str) -> str:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": PROFILE, "cluster": {"server": server}}],
        "users": [{"name": PROFILE, "user": {}}],
        "contexts": [{"name": PROFILE, "context": {"cluster": PROFILE, "user": PROFILE}}],
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The kubeconfig of a cluster that answers, and finds itself well."""
    with serving(CLUSTER) as port:
        yield kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{port}")


@pytest.fixture
def run(play: Runner, tmp_path: Path) -> Runner:
    """Run a playbook on a lab that lives in a temporary directory, with settings and environment."""
    places = [f"lab_profile={PROFILE}", f"lab_state_dir={tmp_path / 'state'}", f"lab_reports_dir={tmp_path}"]

    def start(playbook: str, *settings: str, **environment: str) -> Any:
        options = [part for setting in (*places, *settings) for part in ("-e", setting)]
        return play(f"{playbook}.yml", *options, **environment)

    return start


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["fault_kind=kill"], "fault_recovery=watchdog relies on it"),
        (["fault_kind=partition", "fault_recovery=manual"], "fault_recovery=watchdog relies on it"),
        (["fault_kind=freeze", "fault_recovery=watchdog", "fault_namespace=shop"], "what is in shop"),
    ],
    ids=str,
)
def test_a_watchdog_that_is_kept_on(run: Runner, tmp_path: Path, settings: list[str], words: str) -> None:
    with only_one(tmp_path / "state", PROFILE, namespace="site"):
        pid = json.loads((tmp_path / "state" / "watchdog.lock").read_text())["pid"]
        played = run("failover", *settings, DOCKER_HOST=NOBODY)
    played.refused(f"process {pid}", f"kill {pid}", words)


def test_a_watchdog_that_is_relied_on(run: Runner, tmp_path: Path) -> None:
    with only_one(tmp_path / "state", PROFILE, namespace="site"):
        played = run("failover", "fault_kind=kill", "fault_recovery=watchdog", DOCKER_HOST=NOBODY)
    played.refused(f"The engine at DOCKER_HOST={NOBODY} does not answer")


def going_on(state: Path, **content: str) -> int:
    """Write the journal of a run of this test's own process."""
    state.mkdir()
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    journal = {"pid": os.getpid(), "started": started, "kind": "kill", "node": NODES[0]}
    (state / "journal.json").write_text(json.dumps(journal | content))
    return os.getpid()


@pytest.mark.parametrize("words", ["setup", "failover", "teardown", "teardown cluster_provider=existing"])
def test_while_a_run_is_going_on(run: Runner, tmp_path: Path, words: str) -> None:
    pid = going_on(tmp_path / "state", awaits="operator")
    playbook, *settings = words.split()
    played = run(playbook, *settings, DOCKER_HOST=NOBODY)
    played.refused(
        f"Another run is going on: kill of {NODES[0]}, process {pid}.",
        "Wait until it ends, or end that process and run `ansible-playbook recover.yml`.",
    )
    assert (tmp_path / "state" / "journal.json").exists()


def test_a_context_of_the_users_that_is_called_like_the_lab(run: Runner, cluster: str) -> None:
    content = Path(cluster).read_text()
    run("setup", KUBECONFIG=cluster, DOCKER_HOST=NOBODY).refused(
        f"The context {PROFILE} in {cluster} is not the lab's", "choose another lab_profile"
    )
    assert Path(cluster).read_text() == content


def test_tearing_down_under_a_watchdog(run: Runner, tmp_path: Path) -> None:
    with only_one(tmp_path / "state", PROFILE):
        lock = tmp_path / "state" / "watchdog.lock"
        pid = json.loads(lock.read_text())["pid"]
        run("teardown", DOCKER_HOST=NOBODY).refused("Nothing was removed", f"process {pid}", f"kill {pid}")
        assert lock.exists()


@pytest.mark.parametrize("words", ["failover -e fault_kind=kill", "teardown"])
def test_a_watchdog_that_has_ended(run: Runner, tmp_path: Path, words: str) -> None:
    with only_one(tmp_path / "state", PROFILE):
        pass
    playbook, *settings = words.split(" -e ")
    run(playbook, *settings, DOCKER_HOST=NOBODY).refused(NOBODY, "does not answer")


def test_breaking_a_container_without_an_engine(run: Runner) -> None:
    played = run("failover", "fault_kind=kill", DOCKER_HOST=NOBODY)
    played.refused(f"The engine at DOCKER_HOST={NOBODY} does not answer", "unset DOCKER_HOST")


def test_a_drain_needs_no_engine(run: Runner, cluster: str) -> None:
    played = run("failover", "fault_node=nobody", KUBECONFIG=cluster, DOCKER_HOST=NOBODY)
    played.refused("There is no node nobody")


def test_recovering_without_an_engine(run: Runner, cluster: str) -> None:
    played = run("recover", KUBECONFIG=cluster, DOCKER_HOST=NOBODY)
    played.refused(f"The engine at DOCKER_HOST={NOBODY} does not answer", "unset DOCKER_HOST")


def test_recovering_a_cluster_that_is_stopped(run: Runner, tmp_path: Path) -> None:
    nothing = kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    played = run("recover", KUBECONFIG=nothing, DOCKER_HOST=NOBODY)
    played.refused(PROFILE, f"`ansible-playbook setup.yml -e lab_profile={PROFILE}`, which starts it again")


def test_recovering_where_a_proxy_is_asked_for_the_cluster(run: Runner, tmp_path: Path) -> None:
    nodes = kubeconfig(tmp_path / "kubeconfig", "https://192.168.49.2:8443")
    with proxy() as company:
        played = run("recover", KUBECONFIG=nodes, DOCKER_HOST=NOBODY, **company.environment("localhost"))
    played.refused("a proxy was asked for it", "to NO_PROXY and no_proxy, then this again")
    assert "setup.yml" not in played.message


@pytest.mark.parametrize("kind", ["drain", "pod"])
def test_a_node_that_is_paused_and_still_counts_as_ready(run: Runner, cluster: str, kind: str) -> None:
    with serving(ENGINE) as engine:
        played = run(
            "failover",
            f"fault_kind={kind}",
            f"fault_node={NODES[0]}",
            KUBECONFIG=cluster,
            DOCKER_HOST=f"tcp://127.0.0.1:{engine}",
        )
    played.refused(f"{NODES[0]} is faulted already (its container is paused)", "recover.yml")
