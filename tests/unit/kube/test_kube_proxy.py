from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.failover_lab.lab.plugins.modules import kube_proxy as module

from failover_lab.kube import kube_proxy
from failover_lab.kube.cluster import Cluster
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.kube_proxy import Writing

Object = dict[str, Any]
Answer = Callable[..., Object]

# As kubeadm writes it, in part.
CONFIG = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
configSyncPeriod: 0s
mode: ""
iptables:
  masqueradeAll: false
  minSyncPeriod: 0s
  syncPeriod: 0s
nftables:
  minSyncPeriod: 0s
  syncPeriod: 0s
"""
NODES = ("lab", "lab-m02", "lab-m03")


class Played:
    """Stands for a cluster of three, whose kube-proxies read their configuration at their start alone."""

    def __init__(self, config: str = CONFIG) -> None:
        self.text = config
        self.serial = 0
        self.pods = {node: self.pod(node, ready=True) for node in NODES}
        self.running = {pod["metadata"]["uid"]: Writing() for pod in self.pods.values()}
        self.looks = 0
        self.log: list[str] = []
        self.stuck = False

    def pod(self, node: str, *, ready: bool) -> Object:
        self.serial += 1
        status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
        return {"metadata": {"uid": str(self.serial)}, "spec": {"nodeName": node}, "status": status}

    def config(self) -> str:
        return self.text

    def set_config(self, text: str) -> None:
        self.log.append("config")
        self.text = text

    def proxies(self) -> list[Object]:
        self.looks += 1
        # One that was put in another's place is ready at the second look.
        if self.looks % 2 == 0 and not self.stuck:
            for node, pod in self.pods.items():
                if pod["metadata"]["uid"] not in self.running:
                    self.pods[node] = self.pod(node, ready=True)
                    self.running[self.pods[node]["metadata"]["uid"]] = Writing(
                        "nftables" if "\nmode: nftables\n" in self.text else "iptables",
                        0.1
                        if "iptables:\n  masqueradeAll: false\n  minSyncPeriod: 100ms" in self.text
                        else 1.0,
                    )
        return list(self.pods.values())

    def writing(self, pod: Object) -> Writing | None:
        return self.running.get(pod["metadata"]["uid"])

    def end(self, pod: Object) -> None:
        node = pod["spec"]["nodeName"]
        assert all(one["metadata"]["uid"] in self.running for one in self.pods.values()), "two nodes at once"
        self.log.append(node)
        self.pods[node] = self.pod(node, ready=False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    def call(played: Played, **arguments: Any) -> Object:
        monkeypatch.setattr(kube_proxy, "Proxies", lambda *_: played)
        monkeypatch.setattr(time, "sleep", lambda _: None)
        with patch_module_args({"context": "lab"} | arguments), pytest.raises(SystemExit):
            module.main()
        answer: Object = json.loads(capsys.readouterr().out)
        return answer

    return call


def test_there_and_back_again_node_after_node(run: Answer) -> None:
    played = Played()
    there = run(played, min_sync_ms=100)
    assert there["changed"], there
    assert played.log == ["config", *NODES]
    assert played.text == CONFIG.replace("minSyncPeriod: 0s", "minSyncPeriod: 100ms")
    assert there["diff"] == {
        "before": "mode: iptables\nmin_sync_s: 1\n",
        "after": "mode: iptables\nmin_sync_s: 0.1\n",
    }
    again = run(played, min_sync_ms=100)
    assert (again["changed"], again["steps"]) == (False, [])

    back = run(played)
    assert back["steps"] == there["steps"]
    assert played.text == CONFIG, "something of it is left"
    assert run(played)["changed"] is False


def test_by_another_means_of_the_kernels_and_back_again(run: Answer) -> None:
    played = Played()
    there = run(played, mode="nftables")
    assert played.log == ["config", *NODES]
    assert played.text == CONFIG.replace('mode: ""', "mode: nftables")
    assert there["diff"]["after"] == "mode: nftables\nmin_sync_s: 1\n"
    assert run(played, mode="nftables")["changed"] is False
    assert run(played)["steps"] == there["steps"]
    assert played.text == CONFIG, "something of it is left"


def test_a_mode_that_is_written_out_is_left_so(run: Answer) -> None:
    played = Played(CONFIG.replace('""', "iptables"))
    assert run(played)["changed"] is False
    assert run(played, mode="nftables")["changed"] is True


def test_what_an_interrupted_run_has_left_is_done(run: Answer) -> None:
    played = Played()
    run(played, min_sync_ms=100)
    played.running[played.pods["lab-m02"]["metadata"]["uid"]] = Writing()
    played.log.clear()
    answer = run(played, min_sync_ms=100)
    assert answer["steps"] == ["the kube-proxy of lab-m02"]
    assert played.log == ["lab-m02"]


def test_one_that_is_about_to_answer_is_waited_for(run: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played()
    uid = played.pods["lab-m02"]["metadata"]["uid"]
    writing = played.running.pop(uid)
    asked: list[str] = []

    def late(pod: Object) -> Writing | None:
        asked.append(pod["metadata"]["uid"])
        if asked.count(uid) == 3:
            played.running[uid] = writing
        return played.running.get(pod["metadata"]["uid"])

    monkeypatch.setattr(played, "writing", late)
    monkeypatch.setattr(played, "proxies", lambda: list(played.pods.values()))
    answer = run(played)
    assert (answer["changed"], played.log) == (False, []), answer


def test_one_that_does_not_answer_is_replaced(run: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played()
    del played.running[played.pods["lab-m02"]["metadata"]["uid"]]
    monkeypatch.setattr(kube_proxy, "answers", lambda _, **__: [(p, None) for p in played.pods.values()][1:2])
    monkeypatch.setattr(Played, "end", lambda self, _: self.log.append("lab-m02"))
    assert run(played)["steps"] == ["the kube-proxy of lab-m02"]


def test_check_mode_tells_the_same_and_touches_nothing(run: Answer) -> None:
    played = Played()
    checked = run(played, min_sync_ms=100, _ansible_check_mode=True)
    assert played.log == []
    assert checked["changed"] is True
    assert run(played, min_sync_ms=100)["steps"] == checked["steps"]
    assert run(played, min_sync_ms=100, _ansible_check_mode=True)["changed"] is False


def test_one_that_does_not_come_back_is_named_and_nothing_goes_on(run: Answer) -> None:
    played = Played()
    played.stuck = True
    answer = run(played, min_sync_ms=100, timeout_s=0)
    assert answer["failed"]
    assert "the kube-proxy of lab is not as set: none is ready in its place. See `kubectl " in answer["msg"]
    assert played.log == ["config", "lab"], "users still have the rules of the other nodes' kube-proxies"


def test_one_that_comes_back_as_it_was_is_named(run: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played()
    monkeypatch.setattr(played, "set_config", lambda _: None)
    answer = run(played, min_sync_ms=100, timeout_s=0)
    assert "the one in its place does not say that it runs as set" in answer["msg"]


def test_another_kind_of_proxy_is_left_alone(run: Answer) -> None:
    assert run(Played(config=""), min_sync_ms=100)["steps"] == []


def test_a_configuration_of_another_shape_is_refused(run: Answer) -> None:
    played = Played(config="iptables: {}\n")
    assert "has no minSyncPeriod" in run(played, min_sync_ms=100)["msg"]
    assert "has no mode" in run(played, mode="nftables")["msg"]
    assert played.log == []


@pytest.mark.parametrize("period_ms", [0, -1, 30_001])
def test_a_period_that_kube_proxy_would_not_start_with(run: Answer, period_ms: int) -> None:
    played = Played()
    answer = run(played, min_sync_ms=period_ms)
    assert answer["msg"] == f"min_sync_ms is {period_ms}: kube-proxy takes 1 to 30000."
    assert played.log == []


@pytest.mark.parametrize(
    ("said", "writing"),
    [
        ({"MinSyncPeriod": "100ms", "Mode": "nftables"}, Writing("nftables", 0.1)),
        ({"IPTables": {"MinSyncPeriod": "1s"}, "Mode": ""}, Writing("iptables", 1.0)),
        ({}, None),
    ],
)
def test_what_one_says_of_itself(
    monkeypatch: pytest.MonkeyPatch, said: Object, writing: Writing | None
) -> None:
    asked: list[str] = []

    def answer(_self: Cluster, path: str, **_query: str) -> Object:
        asked.append(path)
        return {"kubeproxy.config.k8s.io": said}

    monkeypatch.setattr(Cluster, "__init__", lambda _self: None)
    monkeypatch.setattr(Cluster, "_get", answer)
    proxies = kube_proxy.Proxies()  # type: ignore[call-arg]
    assert proxies.writing({"metadata": {"name": "kube-proxy-abcde"}}) == writing
    assert asked == ["/api/v1/namespaces/kube-system/pods/kube-proxy-abcde:10249/proxy/configz"]


@pytest.mark.parametrize(("status", "is_silent"), [(503, True), (404, True), (403, False)])
def test_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, status: int, *, is_silent: bool) -> None:
    def refuse(_self: Cluster, _path: str, **_query: str) -> Object:
        raise RefusedError(status, "no")

    monkeypatch.setattr(Cluster, "__init__", lambda _self: None)
    monkeypatch.setattr(Cluster, "_get", refuse)
    proxies = kube_proxy.Proxies()  # type: ignore[call-arg]
    if is_silent:
        assert proxies.writing({"metadata": {"name": "a"}}) is None
    else:
        with pytest.raises(RefusedError):
            proxies.writing({"metadata": {"name": "a"}})
