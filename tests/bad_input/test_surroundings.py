"""Surroundings that forbid a fault: one sentence with the remedy. Engine and cluster are small servers."""

from __future__ import annotations

import functools
import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.documents import load
from tests.plays import REPO, Played, by_night, run_side_by_side, wanted
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
    "/version": {"major": "1", "minor": "99", "gitVersion": "v1.99.1"},
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
        "spec": {"selector": {"app": "site"}},
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


@contextmanager
def a_cluster(folder: Path) -> Iterator[str]:
    """The kubeconfig of a cluster that answers, and finds itself well."""
    with serving(CLUSTER) as port:
        yield kubeconfig(folder / "kubeconfig", f"http://127.0.0.1:{port}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    with a_cluster(tmp_path) as path:
        yield path


@contextmanager
def nothing(_state: Path) -> Iterator[None]:
    yield


@contextmanager
def a_watchdog(state: Path, **about: str) -> Iterator[None]:
    """One that is kept on, which is this test's own process."""
    with only_one(state, PROFILE, **about):
        assert json.loads((state / "watchdog.lock").read_text())["pid"] == os.getpid()
        yield


@contextmanager
def a_watchdog_that_has_ended(state: Path) -> Iterator[None]:
    with only_one(state, PROFILE):
        pass
    yield


@contextmanager
def a_run(state: Path) -> Iterator[None]:
    """The account of a run of this test's own process."""
    state.mkdir()
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    account = {"pid": os.getpid(), "started": started, "kind": "kill", "node": NODES[0]}
    (state / "journal.json").write_text(json.dumps(account | {"awaits": "operator"}))
    yield


sites_watchdog = functools.partial(a_watchdog, namespace="site")
SILENT = f"The engine at DOCKER_HOST={NOBODY} does not answer"
GOING_ON = [
    f"Another run is going on: kill of {NODES[0]}, process {os.getpid()}.",
    "Wait until it ends, or end that process and run `ansible-playbook recover.yml`.",
]


class Case(NamedTuple):
    """What there is, what somebody wants all the same, and what is said."""

    there: Callable[[Path], AbstractContextManager[None]]
    settings: str
    words: list[str]


CASES: dict[str, dict[str, Case]] = {
    "failover": {
        "a watchdog is kept on": Case(
            sites_watchdog,
            "fault_kind=kill",
            [f"process {os.getpid()}", f"kill {os.getpid()}", "fault_recovery=watchdog relies on it"],
        ),
        "a watchdog is kept on, and not wanted": Case(
            sites_watchdog,
            "fault_kind=partition fault_recovery=manual",
            [f"process {os.getpid()}", f"kill {os.getpid()}", "fault_recovery=watchdog relies on it"],
        ),
        "a watchdog is kept on, of something else": Case(
            sites_watchdog,
            "fault_kind=freeze fault_recovery=watchdog fault_namespace=shop",
            [f"process {os.getpid()}", f"kill {os.getpid()}", "what is in shop"],
        ),
        "a watchdog is relied on": Case(sites_watchdog, "fault_kind=kill fault_recovery=watchdog", [SILENT]),
        "a watchdog has ended": Case(
            a_watchdog_that_has_ended, "fault_kind=kill", [NOBODY, "does not answer"]
        ),
        "breaking a container without an engine": Case(
            nothing, "fault_kind=kill", [SILENT, "unset DOCKER_HOST"]
        ),
        "a drain needs no engine": Case(nothing, "fault_node=nobody", ["There is no node nobody"]),
    },
    "teardown": {
        "a run is going on, elsewhere": Case(a_run, "cluster_provider=existing", GOING_ON),
        "a watchdog is kept on": Case(
            a_watchdog, "", ["Nothing was removed", f"process {os.getpid()}", f"kill {os.getpid()}"]
        ),
        "a watchdog has ended": Case(a_watchdog_that_has_ended, "", [NOBODY, "does not answer"]),
    },
}


@pytest.fixture(scope="module")
def ended(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str], dict[str, Played]]:
    """How the tasks of a playbook end in each case; nothing is changed by that."""

    @functools.cache
    def play(playbook: str) -> dict[str, Played]:
        root = tmp_path_factory.mktemp(playbook)
        asked = wanted(request, "what", [(playbook, case) for case in CASES[playbook]])
        cases = {case: CASES[playbook][case] for _, case in asked}
        hosts = {
            f"case-{number}": dict(setting.split("=") for setting in case.settings.split())
            | {
                "lab_profile": PROFILE,
                "lab_state_dir": str(root / f"state-{number}"),
                "lab_reports_dir": str(root),
            }
            for number, case in enumerate(cases.values())
        }
        with a_cluster(root) as config, ExitStack() as there:
            for case, variables in zip(cases.values(), hosts.values(), strict=True):
                there.enter_context(case.there(Path(variables["lab_state_dir"])))
            before = contents(root)
            (plays,) = load(REPO / "playbooks" / f"{playbook}.yml")
            played = run_side_by_side(root, plays, hosts, KUBECONFIG=config, DOCKER_HOST=NOBODY)
            assert {path: text for path, text in contents(root).items() if path in before} == before
        return dict(zip(cases, played.values(), strict=True))

    return play


def contents(root: Path) -> dict[Path, str]:
    """What a kubeconfig, an account or a lock has in it."""
    return {path: path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "what",
    by_night(
        [(playbook, case) for playbook, cases in CASES.items() for case in cases],
        [("failover", "a watchdog is kept on, and not wanted"), ("failover", "a watchdog has ended")],
    ),
    ids="-".join,
)
def test_refused(ended: Callable[[str], dict[str, Played]], what: tuple[str, str]) -> None:
    playbook, case = what
    ended(playbook)[case].refused(*CASES[playbook][case].words)


@pytest.fixture
def run(play: Runner, tmp_path: Path) -> Runner:
    """Run a playbook on a lab that lives in a temporary directory, with settings and environment."""
    places = [f"lab_profile={PROFILE}", f"lab_state_dir={tmp_path / 'state'}", f"lab_reports_dir={tmp_path}"]

    def start(playbook: str, *settings: str, **environment: str) -> Any:
        options = [part for setting in (*places, *settings) for part in ("-e", setting)]
        return play(f"{playbook}.yml", *options, **environment)

    return start


@pytest.mark.parametrize("playbook", by_night(("setup", "failover", "teardown"), ("failover", "teardown")))
def test_while_a_run_is_going_on(run: Runner, tmp_path: Path, playbook: str) -> None:
    with a_run(tmp_path / "state"):
        run(playbook, DOCKER_HOST=NOBODY).refused(*GOING_ON)
    assert (tmp_path / "state" / "journal.json").exists()


def test_a_context_of_the_users_that_is_called_like_the_lab(run: Runner, cluster: str) -> None:
    content = Path(cluster).read_text()
    run("setup", KUBECONFIG=cluster, DOCKER_HOST=NOBODY).refused(
        f"The context {PROFILE} in {cluster} is not the lab's", "choose another lab_profile"
    )
    assert Path(cluster).read_text() == content


@pytest.mark.nightly
def test_recovering_without_an_engine(run: Runner, cluster: str) -> None:
    played = run("recover", KUBECONFIG=cluster, DOCKER_HOST=NOBODY)
    played.refused(f"The engine at DOCKER_HOST={NOBODY} does not answer", "unset DOCKER_HOST")


@pytest.mark.nightly
def test_recovering_a_cluster_that_is_stopped(run: Runner, tmp_path: Path) -> None:
    nothing = kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    played = run("recover", KUBECONFIG=nothing, DOCKER_HOST=NOBODY)
    played.refused(PROFILE, f"`ansible-playbook setup.yml -e lab_profile={PROFILE}`, which starts it again")


@pytest.mark.nightly
def test_recovering_where_a_proxy_is_asked_for_the_cluster(run: Runner, tmp_path: Path) -> None:
    nodes = kubeconfig(tmp_path / "kubeconfig", "https://192.168.49.2:8443")
    with proxy() as company:
        played = run("recover", KUBECONFIG=nodes, DOCKER_HOST=NOBODY, **company.environment("localhost"))
    played.refused("a proxy was asked for it", "to NO_PROXY and no_proxy, then this again")
    assert "setup.yml" not in played.message


@pytest.mark.nightly
@pytest.mark.parametrize("kind", by_night(("drain", "pod"), ("pod",)))
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
