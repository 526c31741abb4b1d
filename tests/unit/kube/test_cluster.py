from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from ansible.module_utils.testing import patch_module_args
from ansible_collections.failover_lab.lab.plugins.modules import rollout
from kubernetes.dynamic import DynamicClient
from tests.proxy import proxy_before

from failover_lab.kube import cluster, errors, objects
from failover_lab.kube.errors import RefusedError

Object = dict[str, Any]
Run = Callable[..., Object]

LABELS = {"app": "site", "tier": "web"}
DEPLOYMENT = {
    "metadata": {"name": "site", "namespace": "ns", "generation": 1},
    "spec": {"replicas": 1, "selector": {"matchLabels": LABELS}},
    "status": {"observedGeneration": 1}
    | dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1),
}
SERVICE = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
POD = {"metadata": {"name": "a", "uid": "u"}, "spec": {"nodeName": "m02"}, "status": READY}
NS = "/api/v1/namespaces/ns"
APPS = "/apis/apps/v1/namespaces/ns/deployments"
STATUSES = "/apis/metallb.io/v1beta1/servicel2statuses"


class Server(ThreadingHTTPServer):
    """Stands for an API server that knows these paths; any other is 404."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.known: dict[str, Object | int] = {}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers with what the server knows; a number is the status of a refusal."""

    server: Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.server.asked.append((url.path, parse_qs(url.query)))
        answer = self.server.known.get(url.path, 404)
        status = answer if isinstance(answer, int) else 200
        refusal = {"kind": "Status", "message": f"no, {status}"}
        body = json.dumps(refusal if isinstance(answer, int) else answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def kubeconfig(server: Server, tmp_path: Path) -> Path:
    path = tmp_path / "config"
    address = f"http://127.0.0.1:{server.server_address[1]}"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": address}}],
        "users": [{"name": "lab", "user": {}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def lab(kubeconfig: Path) -> cluster.Cluster:
    return cluster.Cluster("lab", str(kubeconfig))


def named(*names: str) -> Object:
    return {"items": [{"metadata": {"name": name}} for name in names]}


@pytest.mark.parametrize(
    ("path", "value"),
    [(("a", "b"), 1), (("a", "c"), "?"), (("a", "d"), "?"), (("x", "y"), "?"), (("a", "b", "z"), "?")],
)
def test_the_value_at_a_path(path: tuple[str, ...], value: object) -> None:
    assert objects.of({"a": {"b": 1, "c": None}}, *path, default="?") == value


@pytest.mark.parametrize(
    ("ingress", "address"),
    [([], ""), ([{"ip": "10.0.0.9"}], "10.0.0.9"), ([{}, {"hostname": "lb.example"}], "lb.example")],
)
def test_address(ingress: list[Object], address: str) -> None:
    assert objects.address_of({"status": {"loadBalancer": {"ingress": ingress}}}) == address
    assert objects.address_of({}) == ""


@pytest.mark.parametrize(
    ("ip", "ports", "url"),
    [
        ("10.0.0.9", [80], "http://10.0.0.9"),
        ("10.0.0.9", [8080, 80], "http://10.0.0.9:8080"),
        ("fd00::9", [8080], "http://[fd00::9]:8080"),
        ("", [80], ""),
    ],
)
def test_where_users_find_it(ip: str, ports: list[int], url: str) -> None:
    spec = {"ports": [{"port": port} for port in ports]}
    assert objects.url_of({"spec": spec, "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}}) == url


def test_a_pod_about_to_go_is_not_ready() -> None:
    assert objects.is_ready(POD)
    assert not objects.is_ready(POD | {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert not objects.is_ready({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    assert not objects.is_ready({"status": {"conditions": [{"type": "Initialized", "status": "True"}]}})
    assert not objects.is_ready({"status": {}})


@pytest.mark.parametrize(
    ("spec", "status", "takes_pods"),
    [
        ({}, READY, True),
        ({"taints": [{"key": "x", "effect": "PreferNoSchedule"}]}, READY, True),
        ({"taints": [{"key": "x", "effect": "NoSchedule"}]}, READY, False),
        ({"taints": [{"key": "x", "effect": "NoExecute"}]}, READY, False),
        ({"unschedulable": True}, READY, False),
        ({}, {"conditions": [{"type": "Ready", "status": "Unknown"}]}, False),
    ],
)
def test_which_nodes_take_pods(spec: Object, status: Object, *, takes_pods: bool) -> None:
    assert objects.is_schedulable({"metadata": {}, "spec": spec, "status": status}) is takes_pods


def test_what_there_is_and_what_there_is_not(server: Server, lab: cluster.Cluster) -> None:
    assert lab.deployment("ns", "site") is None
    assert lab.service("ns", "site") is None
    server.known = {f"{APPS}/site": DEPLOYMENT, f"{NS}/services/site": SERVICE}
    assert lab.deployment("ns", "site") == DEPLOYMENT
    assert lab.service("ns", "site") == SERVICE


def test_lists(server: Server, lab: cluster.Cluster) -> None:
    server.known = {
        "/api/v1/nodes": named("m02", "main"),
        "/api/v1/pods": named("x", "a"),
        f"{NS}/pods": named("z", "a"),
        "/apis/policy/v1/poddisruptionbudgets": named("site"),
        "/version": {"gitVersion": "v1.99.1"},
    }
    assert [item["metadata"]["name"] for item in lab.nodes()] == ["m02", "main"]
    assert lab.pods() == named("x", "a")["items"]
    assert lab.pods_of(DEPLOYMENT) == named("a", "z")["items"]
    assert server.asked[-1] == (f"{NS}/pods", {"labelSelector": ["app=site,tier=web"]})
    assert lab.budgets() == named("site")["items"]
    assert lab.version() == "v1.99.1"


def test_pods_of_a_deployment_by_expressions(server: Server, lab: cluster.Cluster) -> None:
    rules = [
        {"key": "a", "operator": "In", "values": ["1", "2"]},
        {"key": "b", "operator": "NotIn", "values": ["3"]},
        {"key": "c", "operator": "Exists"},
        {"key": "d", "operator": "DoesNotExist"},
    ]
    server.known = {f"{NS}/pods": named("a")}
    lab.pods_of(DEPLOYMENT | {"spec": {"selector": {"matchExpressions": rules}}})
    assert server.asked[-1][1] == {"labelSelector": ["a in (1,2),b notin (3),c,!d"]}


def test_what_a_namespace_has_as_far_as_one_may_ask(server: Server, lab: cluster.Cluster) -> None:
    scalers = "/apis/autoscaling/v2/namespaces/ns/horizontalpodautoscalers"
    targets = [("Deployment", "site"), ("Deployment", "other"), ("StatefulSet", "site")]
    server.known = {
        NS: {"metadata": {"name": "ns"}},
        scalers: {
            "items": [
                {
                    "metadata": {"name": f"s{i}"},
                    "spec": {"scaleTargetRef": {"kind": kind, "name": name, "apiVersion": "x"}},
                }
                for i, (kind, name) in enumerate(targets)
            ]
        },
        f"{NS}/resourcequotas": named("q"),
        f"{NS}/limitranges": named("l"),
    }
    assert lab.namespace("ns") == {"metadata": {"name": "ns"}}
    assert lab.autoscalers("ns", "site") == ["s0"]
    assert (lab.quotas("ns"), lab.limit_ranges("ns")) == (named("q")["items"], named("l")["items"])
    server.known = {scalers: 403, f"{NS}/resourcequotas": 403}
    assert lab.namespace("ns") is None
    assert (lab.autoscalers("ns", "site"), lab.quotas("ns"), lab.limit_ranges("ns")) == ([], [], [])
    server.known = {scalers: 500}
    with pytest.raises(RefusedError):
        lab.autoscalers("ns", "site")


def test_volumes_are_asked_for_where_a_pod_claims_one(server: Server, lab: cluster.Cluster) -> None:
    claimed = {"spec": {"volumes": [{"emptyDir": {}}, {"persistentVolumeClaim": {"claimName": "data"}}]}}
    claims = [{"metadata": {"name": n}, "spec": {"volumeName": f"pv-{n}"}} for n in ("data", "other")]
    volumes = [{"metadata": {"name": f"pv-{n}"}} for n in ("data", "other")]
    paths = (f"{NS}/persistentvolumeclaims", "/api/v1/persistentvolumes")
    server.known = {path: {"items": items} for path, items in zip(paths, (claims, volumes), strict=True)}
    assert lab.volumes("ns", [POD]) == []
    assert server.asked == []
    assert lab.volumes("ns", [POD, claimed]) == volumes[:1]
    server.known = dict.fromkeys(paths, 403)
    assert lab.volumes("ns", [claimed]) == []


def test_warnings_come_oldest_first(server: Server, lab: cluster.Cluster) -> None:
    events = [
        {"reason": "third", "lastTimestamp": "2026-01-03T00:00:00Z"},
        {"reason": "second", "lastTimestamp": None, "eventTime": "2026-01-02T00:00:00.000000Z"},
        {"reason": "first"},
    ]
    server.known = {f"{NS}/events": {"items": events}}
    assert [event["reason"] for event in lab.warnings("ns")] == ["first", "second", "third"]
    assert server.asked[-1][1] == {"fieldSelector": ["type=Warning"]}


def test_nodes_that_may_not_be_listed(server: Server, lab: cluster.Cluster) -> None:
    server.known = {"/api/v1/nodes": 403}
    assert lab.nodes_if_allowed() == []
    server.known = {"/api/v1/nodes": 500}
    with pytest.raises(RefusedError):
        lab.nodes_if_allowed()


def test_who_announces_the_address_by_metallb_s_own_account(server: Server, lab: cluster.Cluster) -> None:
    assert lab.announcers("ns", "site") == [], "MetalLB is not there"
    rows = [("other", "site", "m01"), ("ns", "else", "m01"), ("ns", "site", "m03")]
    keys = ("serviceNamespace", "serviceName", "node")
    server.known = {
        STATUSES: {"items": [{}, *({"status": dict(zip(keys, row, strict=True))} for row in rows)]}
    }
    assert lab.announcers("ns", "site") == ["m03"]
    assert lab.announcers("ns", "third") == []


@pytest.fixture
def run(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the module rollout; gives back what it answered."""

    def run_it(context: str = "lab", *, check: bool = False) -> Object:
        names = {"namespace": "ns", "deployment": "site", "service": "web", "timeout_s": 0}
        where = {"context": context, "kubeconfig": str(kubeconfig), "_ansible_check_mode": check}
        with patch_module_args(names | where), pytest.raises(SystemExit):
            rollout.main()
        answer: Object = json.loads(capsys.readouterr().out)
        return answer

    return run_it


def test_rolled_out(server: Server, run: Run) -> None:
    node = {"metadata": {"name": "m02"}, "spec": {}, "status": READY}
    server.known = {
        f"{APPS}/site": DEPLOYMENT,
        f"{NS}/services/web": SERVICE,
        f"{NS}/pods": {"items": [POD]},
        "/api/v1/nodes": {"items": [node]},
    }
    answer = run()
    assert not answer["changed"]
    assert answer["address"] == "192.0.2.9"
    assert answer["pods"] == [{"name": "a", "uid": "u", "node": "m02"}]
    assert (answer["nodes"], answer["skew"]) == (["m02"], 0)


def test_not_rolled_out_says_why(server: Server, run: Run) -> None:
    server.known = {
        f"{APPS}/site": DEPLOYMENT,
        f"{NS}/services/web": SERVICE,
        f"{NS}/pods": {"items": [POD | {"status": {"phase": "Pending"}}]},
        f"{NS}/events": {"items": [{"involvedObject": {"uid": "u"}, "reason": "Failed", "message": "why"}]},
        "/api/v1/nodes": 403,
    }
    assert run()["msg"] == (
        "After 0 s in namespace ns of lab: Deployment site is not rolled out: 0 of 1 pods listed as ready; "
        "a on m02: Failed: why"
    )
    answer = run(check=True)
    assert "msg" not in answer, "check mode does not fail"
    assert answer["pods"] == []


@pytest.mark.parametrize(
    ("known", "kind"), [({}, "Deployment site"), ({f"{APPS}/site": DEPLOYMENT}, "Service web")]
)
def test_what_is_absent(server: Server, run: Run, known: dict[str, Object | int], kind: str) -> None:
    server.known = known
    assert run()["msg"].startswith(
        f"There is no {kind} in namespace ns of lab: run `ansible-playbook setup.yml"
    )
    answer = run(check=True)
    assert (answer["address"], answer["pods"], answer["skew"]) == ("", [], 0)


def test_one_sentence_where_the_cluster_does_not_grant_it(server: Server, run: Run) -> None:
    server.known = {f"{APPS}/site": 403}
    assert run()["msg"].startswith("The cluster lab refused: 403 Forbidden: no, 403. The user of the con")
    assert run("nope")["msg"].startswith("There is no kubectl context nope: run `ansible-playbook setup.yml ")


@pytest.mark.parametrize("body", [None, "", "plain words", b"[]", b"{}"])
def test_a_refusal_without_words(body: str | bytes | None) -> None:
    assert errors.words_of(body) == ""


def test_one_sentence_where_the_cluster_does_not_answer(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silence(*_: Any, **__: Any) -> None:
        raise urllib3.exceptions.ProtocolError("silence")

    monkeypatch.setattr(DynamicClient, "request", silence)
    said = run()["msg"]
    assert said.startswith("The cluster lab does not answer (its host ends the connection without an answer)")
    assert "run `ansible-playbook setup.yml" in said


def test_one_sentence_without_the_client(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    assert run()["msg"] == "The Python package kubernetes is missing: run `make env`."


def test_a_proxy_in_between_is_named(run: Run, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy_before(kubeconfig, "192.0.2.1", monkeypatch) as company:
        said = run()["msg"]
    assert set(company.asked) == {"192.0.2.1"}
    assert said.startswith("The cluster lab does not answer: a proxy was asked for it, 127.0.0.1.")
    assert "can reach 192.0.2.1, add its network to NO_PROXY and no_proxy, then this again" in said
