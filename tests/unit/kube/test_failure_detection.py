from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.failover_lab.lab.plugins.modules import failure_detection as module

from failover_lab.kube import failure_detection
from failover_lab.kube.detection import Controller, Kubelet, seconds
from failover_lab.kube.leaders import MANAGER, Leader
from failover_lab.kube.objects import is_running

Object = dict[str, Any]
Answer = Callable[..., Object]

ROLE = Path(__file__).resolve().parents[3] / "roles" / "cluster"
FAST: Object = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__cluster_detection_settings"][
    "fast"
]
OWN = Controller(50.0)
# As kubeadm writes them, in part.
KUBELET = """\
apiVersion: kubelet.config.k8s.io/v1beta1
clusterDNS:
- 10.96.0.10
kind: KubeletConfiguration
memorySwap: {}
nodeStatusReportFrequency: 0s
nodeStatusUpdateFrequency: 0s
rotateCertificates: true
"""
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  labels:
    component: kube-controller-manager
  name: kube-controller-manager
spec:
  containers:
  - command:
    - kube-controller-manager
    - --allocate-node-cidrs=true
    - --leader-elect=false
    image: registry.k8s.io/kube-controller-manager:v1.99.1
    name: kube-controller-manager
  hostNetwork: true
"""


class Played:
    """Stands for a cluster of three whose changes take two looks to be in force.

    At each look it sees to it that no node could look dead: three renewals fit into the grace period.
    """

    def __init__(self, joining: str = KUBELET) -> None:
        self.names = ["lab", "lab-m02", "lab-m03"]
        self.files = {(name, failure_detection.KUBELET_FILE): KUBELET for name in self.names}
        self.files["lab", failure_detection.MANIFEST] = MANIFEST
        self.in_force = {name: Kubelet() for name in self.names}
        self.text = joining
        self.pod = self.started(MANIFEST)
        self.events = {"old": "lab"}
        self.coming: list[tuple[int, Callable[[], None]]] = []
        self.log: list[str] = []
        self.stuck = False
        self.serial = 0
        self.leads = "lab"

    @staticmethod
    def started(manifest: str) -> Object:
        spec = yaml.safe_load(manifest)["spec"] | {"nodeName": "lab"}
        return {"metadata": {}, "spec": spec, "status": {"containerStatuses": [{"state": {"running": {}}}]}}

    def tick(self) -> None:
        due = [] if self.stuck else [do for at, do in self.coming if at <= self.serial]
        self.coming = [(at, do) for at, do in self.coming if at > self.serial]
        for do in due:
            do()
        self.serial += 1
        grace_s = Controller.of(self.pod["spec"]["containers"][0]["command"], OWN).grace_s
        for name, kubelet in self.in_force.items():
            assert 3 * kubelet.lease_s / 4 <= grace_s, f"{name} could look dead"

    # What the API says.
    def version(self) -> str:
        return "v1.99.1"

    def nodes(self) -> list[Object]:
        self.tick()
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        return [{"metadata": {"name": name}, "status": ready} for name in self.names]

    def kubelet(self, node: str) -> Kubelet | None:
        return self.in_force[node]

    def signed(self, node: str) -> Object:
        self.tick()
        return {
            "leaseDurationSeconds": int(self.in_force[node].lease_s),
            "renewTime": str(self.serial),
        }

    def controllers(self) -> list[Object]:
        self.tick()
        return [self.pod]

    def pods_on(self, _node: str) -> dict[str, bool]:
        return {"a": True, "b": False}

    def taken_in(self) -> dict[str, str]:
        return dict(self.events)

    def leaders(self) -> dict[str, Leader]:
        return {MANAGER: Leader(self.leads)}

    def joining(self) -> str:
        return self.text

    def set_joining(self, text: str) -> None:
        self.log.append("joining")
        self.text = text

    # What happens in the nodes.
    def run_command(self, command: list[str], data: str = "", *, binary_data: bool) -> tuple[int, str, str]:
        assert binary_data, "a line feed would be added"
        assert command[:3] == ["docker", "exec", "--interactive"]
        node, script, arguments = command[3], command[6], command[8:]
        if script.startswith("cat /"):
            return 0, self.files[node, script.split()[1]], ""
        path, _, digest = arguments
        assert hashlib.sha256(data.encode()).hexdigest() == digest
        self.files[node, path] = data
        if path == failure_detection.MANIFEST:
            self.log.append(f"manifest {node}")
            self.coming.append((self.serial + 2, lambda: self.replace_controller(data)))
        else:
            assert "systemctl restart kubelet" in script
            self.log.append(f"kubelet {node}")
            self.coming.append((self.serial + 2, lambda: self.restart_kubelet(node)))
        return 0, "", ""

    def restart_kubelet(self, node: str) -> None:
        given = yaml.safe_load(self.files[node, failure_detection.KUBELET_FILE])
        status = seconds(given["nodeStatusUpdateFrequency"]) or 10.0
        report = seconds(given["nodeStatusReportFrequency"]) or 300.0
        self.in_force[node] = Kubelet(given.get("nodeLeaseDurationSeconds", 40), status, report)

    def replace_controller(self, manifest: str) -> None:
        self.pod = self.started(manifest)
        if self.leads == "lab":
            self.events |= {f"new{self.serial}-{name}": name for name in self.names}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    def call(played: Played, **arguments: Any) -> Object:
        monkeypatch.setattr(failure_detection, "Nodes", lambda *_: played)
        monkeypatch.setattr(AnsibleModule, "run_command", lambda _, *a, **b: played.run_command(*a, **b))
        monkeypatch.setattr(time, "sleep", lambda _: None)
        with patch_module_args({"context": "lab"} | arguments), pytest.raises(SystemExit):
            module.main()
        answer: Object = json.loads(capsys.readouterr().out)
        return answer

    return call


KUBELETS = ["kubelet lab", "kubelet lab-m02", "kubelet lab-m03"]


def test_there_and_back_again_no_healthy_node_could_look_dead(run: Answer) -> None:
    played = Played()
    there = run(played, settings=FAST)
    assert there["changed"], there
    assert played.log == ["joining", *KUBELETS, "manifest lab"]
    assert there["in_force"] == {"lease_s": 4, "status_frequency_s": 4, "grace_s": 5, "monitor_period_s": 1}
    assert yaml.safe_load(played.text)["nodeLeaseDurationSeconds"] == 4
    assert "grace_s: 50\n" in there["diff"]["before"]
    assert "grace_s: 5\n" in there["diff"]["after"]

    again = run(played, settings=FAST)
    assert (again["changed"], again["steps"]) == (False, [])
    assert again["in_force"] == there["in_force"]

    played.log.clear()
    back = run(played)
    assert played.log == ["manifest lab", "joining", *KUBELETS]
    assert back["in_force"]["grace_s"] == 50
    # Nothing of it is left.
    assert played.text == KUBELET
    assert {text for (_, path), text in played.files.items() if path == failure_detection.KUBELET_FILE} == {
        KUBELET
    }
    assert played.files["lab", failure_detection.MANIFEST] == MANIFEST
    assert run(played)["changed"] is False


def test_only_what_differs_is_touched(run: Answer) -> None:
    played = Played()
    run(played, settings=FAST)
    played.log.clear()
    played.in_force["lab-m02"] = Kubelet(4.0, 10.0, 300.0)
    answer = run(played, settings=FAST)
    assert played.log == ["kubelet lab-m02"], answer


def test_check_mode_tells_the_same_and_touches_nothing(run: Answer) -> None:
    played = Played()
    checked = run(played, settings=FAST, _ansible_check_mode=True, _ansible_diff=True)
    assert played.log == []
    assert checked["changed"] is True
    done = run(played, settings=FAST)
    assert checked["steps"] == done["steps"]
    assert run(played, settings=FAST, _ansible_check_mode=True)["changed"] is False


def test_read_changes_nothing(run: Answer) -> None:
    played = Played()
    played.in_force["lab-m03"] = Kubelet(12.0)
    answer = run(played, state="read", settings=FAST)
    assert (answer["changed"], played.log) == (False, [])
    assert answer["in_force"]["lease_s"] == 40, "the slowest counts"


def test_what_an_interrupted_run_has_written_is_not_written_again(run: Answer) -> None:
    played = Played()
    run(played, settings=FAST)
    # It was killed before the controller manager had come back with the new flags.
    played.pod = played.started(MANIFEST)
    played.coming.append(
        (
            played.serial + 6,
            lambda: played.replace_controller(played.files["lab", failure_detection.MANIFEST]),
        )
    )
    played.log.clear()
    answer = run(played, settings=FAST)
    assert answer["changed"], answer
    assert played.log == []


def test_a_kubelet_that_does_not_come_back_is_named_and_nothing_goes_on(run: Answer) -> None:
    played = Played()
    played.stuck = True
    answer = run(played, settings=FAST, timeout_s=0)
    assert answer["failed"]
    assert answer["msg"] == (
        "After 0 s the kubelet of lab is not as set: its lease is not renewed with 4 s. "
        "See `docker exec lab journalctl -u kubelet`. Set before that: nodes that join."
    )
    assert played.log == ["joining", "kubelet lab"], "the controller manager is still slow"


def test_a_controller_manager_that_does_not_come_back_is_named(run: Answer) -> None:
    played = Played()
    run(played, settings=FAST)
    played.stuck = True
    played.log.clear()
    answer = run(played, timeout_s=0)
    assert "the controller manager of lab is not as set: it still runs with the old flags" in answer["msg"]
    assert played.log == ["manifest lab"], "no kubelet is slower than the controller manager thinks"


def test_one_that_does_not_lead_takes_in_no_nodes_and_is_not_waited_for(run: Answer) -> None:
    played = Played()
    played.leads = "lab-m02"
    assert run(played, settings=FAST)["changed"]


def test_a_cluster_of_somebody_else(run: Answer) -> None:
    answer = run(Played(joining=""), settings=FAST)
    assert "was not made by kubeadm" in answer["msg"]


def test_settings_that_make_healthy_nodes_look_dead_are_refused(run: Answer) -> None:
    played = Played()
    answer = run(played, settings=FAST | {"lease_s": 40})
    assert answer["msg"].startswith("grace_s 5 is less than lease_s 40")
    assert played.log == []


def test_fast_leaves_room_for_signs_of_life_that_come_late() -> None:
    assert FAST["grace_s"] >= 4 * FAST["lease_s"] / 4
    assert FAST["status_frequency_s"] < FAST["grace_s"]
    # 7 s until the endpoints are clean: the latest moment, and up to 1 s for the nodes' rules.
    assert FAST["grace_s"] + FAST["monitor_period_s"] + 1 <= 7


@pytest.mark.parametrize(
    ("version", "grace_s"), [("v1.31.9", 40), ("v1.32.0", 50), ("v1.99.1", 50), ("v1.40.0", 50), ("odd", 50)]
)
def test_kubernetes_own_grace(version: str, grace_s: float) -> None:
    assert Controller.own(version).grace_s == grace_s


@pytest.mark.parametrize(
    ("text", "value"), [("10s", 10), ("5m0s", 300), ("1h0m0.5s", 3600.5), ("250ms", 0.25), ("0s", 0)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "10", "5 s", "1d", "s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


def test_flags_of_somebody_else_stay() -> None:
    text = MANIFEST.replace("    - --leader", "    - --node-monitor-period=9s\n    - --leader")
    fast = Controller(5.0, 1.0).written_in(text, OWN)
    command = yaml.safe_load(fast)["spec"]["containers"][0]["command"]
    assert command[0] == "kube-controller-manager"
    assert {"--allocate-node-cidrs=true", "--leader-elect=false"} < set(command)
    assert Controller.of(command, OWN) == Controller(5.0, 1.0)
    assert OWN.written_in(fast, OWN) == MANIFEST
    with pytest.raises(ValueError, match="no line"):
        OWN.written_in("kind: Pod\n", OWN)


@pytest.mark.parametrize("given", ["", "nodeLeaseDurationSeconds: 7\nnodeStatusUpdateFrequency: 9s\n"])
def test_a_kubelet_file_of_any_shape(given: str) -> None:
    fast = Kubelet(4, 4, 300)
    written = yaml.safe_load(fast.written_in("kind: KubeletConfiguration\n" + given))
    assert written == {
        "kind": "KubeletConfiguration",
        "nodeLeaseDurationSeconds": 4,
        "nodeStatusUpdateFrequency": "4s",
        "nodeStatusReportFrequency": "300s",
    }
    assert "Lease" not in Kubelet().written_in("kind: KubeletConfiguration\n" + given)


def test_what_counts_as_running() -> None:
    pod = Played.started(MANIFEST)
    assert is_running(pod)
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    assert not is_running(pod | {"status": {"containerStatuses": [waiting]}})
    assert not is_running(pod | {"metadata": {"deletionTimestamp": "now"}})
    assert not is_running(pod | {"status": {}})


def replace(path: Path, new: Path, digest: str, text: str) -> int:
    """Run the script of the nodes here."""
    command = ["sh", "-ec", failure_detection.REPLACE, "sh", str(path), str(new), digest]
    return subprocess.run(command, input=text, text=True, check=False).returncode


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path, new = tmp_path / "manifest.yaml", tmp_path / "new"
    path.write_text("old")
    path.chmod(0o640)
    digest = hashlib.sha256(b"whole").hexdigest()
    assert replace(path, new, digest, "who") != 0
    assert (path.read_text(), new.exists()) == ("old", False)
    assert replace(path, new, digest, "whole") == 0
    assert (path.read_text(), new.exists()) == ("whole", False)
    assert path.stat().st_mode & 0o777 == 0o640
