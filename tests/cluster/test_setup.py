"""What setup.yml made, judged by kubectl, docker and plain requests."""

from __future__ import annotations

import collections
import json
import re
import stat
import urllib.error
from pathlib import Path

import pytest
import yaml

from .conftest import PROFILE, Lab, containers_of, docker

pytestmark = [pytest.mark.cluster, pytest.mark.shares]


@pytest.mark.nightly
def test_a_setup_that_was_killed_is_finished_by_the_next(lab: Lab, half_made: dict[str, str]) -> None:
    assert set(half_made) >= {PROFILE, f"{PROFILE}-m02"}
    now = containers_of(PROFILE)
    assert set(now) == {PROFILE, f"{PROFILE}-m02", f"{PROFILE}-m03"}
    assert not set(half_made.values()) & set(now.values()), "a node that was half made is still in use"


def test_nodes_are_ready_and_pods_are_spread(lab: Lab) -> None:
    nodes = lab.get("nodes")["items"]
    assert len(nodes) == 3
    for node in nodes:
        ready = [c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"]
        assert ready == ["True"], node["metadata"]["name"]
    counts = collections.Counter(node for _, node in lab.pods().values())
    assert sorted(counts.values()) == [1, 1, 2]


def test_every_pod_and_every_node_answers_within_300_requests(lab: Lab) -> None:
    pods = lab.pods()
    seen: set[tuple[str, str]] = set()
    for _ in range(300):
        body, headers = lab.ask("/whoami")
        who = json.loads(body)
        assert headers["x-served-by-pod"] == who["pod"]
        seen.add((who["pod"], who["node"]))
        if len(seen) == len(pods):
            break
    assert seen == {(name, node) for name, (_, node) in pods.items()}


def test_pages_name_who_served_them(lab: Lab) -> None:
    home, _ = lab.ask("/")
    links = set(re.findall(r'href="(/[a-z-]+)"', home))
    assert len(links) >= 3, links
    pods = lab.pods()
    for link in ["/", *links]:
        body, headers = lab.ask(link)
        pod, node = headers["x-served-by-pod"], headers["x-served-by-node"]
        assert pods[pod][1] == node
        assert pod in body, link
        assert node in body, link


def test_health(lab: Lab) -> None:
    assert lab.ask("/healthz")[0].strip() == "ok"


def test_the_image_runs_by_the_digest_that_the_registry_holds(lab: Lab) -> None:
    spec = lab.get("deployment", "site", "--namespace=site")["spec"]["template"]["spec"]
    image = spec["containers"][0]["image"]
    name, _, digest = image.partition("@")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest), image
    repository = name.partition("/")[2]
    manifest = lab.registry(f"/v2/{repository}/manifests/{digest}")
    assert manifest["schemaVersion"] == 2
    assert json.loads(lab.ask("/whoami")[0])["image"] == image


def test_the_registry_asks_for_a_login_and_its_password_is_kept_close(lab: Lab) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        lab.registry("/v2/", login=False)
    assert refused.value.code == 401
    password = lab.state / "registry" / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert len(password.read_text().strip()) >= 24
    assert password.read_text().strip() not in lab.setups[0].output


def test_pods_keep_to_the_restricted_standard(lab: Lab) -> None:
    labels = lab.get("namespace", "site")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    spec = lab.get("deployment", "site", "--namespace=site")["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert spec["securityContext"]["runAsNonRoot"] is True


def test_the_users_context_is_still_the_current_one(lab: Lab) -> None:
    config = yaml.safe_load(Path(lab.environment["KUBECONFIG"]).read_text())
    assert config["current-context"] == "users-own"
    assert {context["name"] for context in config["contexts"]} == {"users-own", PROFILE}


def test_the_speakers_find_each_other(lab: Lab) -> None:
    """Memberlist is on: only then does the address move within seconds of a node's death."""
    secret = lab.get("secret", "memberlist", "--namespace=metallb-system")
    assert secret["data"]["secretkey"]
    pools = lab.get("ipaddresspools.metallb.io", "--namespace=metallb-system")["items"]
    pool = pools[0]["spec"]["addresses"][0]
    subnet = json.loads(docker("network", "inspect", PROFILE))[0]["IPAM"]["Config"][0]["Subnet"]
    assert pool.split(".")[:3] == subnet.split(".")[:3]


def test_a_second_setup_changes_nothing(lab: Lab) -> None:
    before = {name: uid for name, (uid, _) in lab.pods().items()}
    again = lab.play("setup")
    assert again.returncode == 0, again.output[-4000:]
    changed = [line for line in again.output.splitlines() if line.startswith("changed:")]
    assert again.changed == 0, changed
    assert {name: uid for name, (uid, _) in lab.pods().items()} == before


# By night, as the check mode of the other plays is.
@pytest.mark.nightly
def test_check_mode_on_the_living_lab_changes_and_promises_nothing(lab: Lab) -> None:
    checked = lab.play("setup", "--check", "--diff")
    assert checked.returncode == 0, checked.output[-4000:]
    assert checked.changed == 0


@pytest.mark.nightly
def test_check_mode_on_a_bare_profile_makes_nothing(lab: Lab) -> None:
    checked = lab.play("setup", "--check", "--diff", "-e", "lab_profile=never-made")
    assert checked.returncode == 0, checked.output[-4000:]
    assert checked.changed > 0
    assert "never-made" not in docker("ps", "--all", "--format={{.Names}}")
    assert not (Path(lab.environment["XDG_STATE_HOME"]) / "failover-lab" / "never-made").exists()


def test_the_lab_takes_less_than_3_gib(lab: Lab) -> None:
    """Working memory of nodes and registry: what the groups hold and the kernel could not drop at once."""
    total = 0
    for name in docker("ps", "--format={{.Names}}").split():
        if name.startswith(PROFILE):
            total += working_set(name)
    assert total < 3 * 2**30, f"{total / 2**20:.0f} MiB"


def working_set(container: str) -> int:
    """A container's memory without inactive file pages, in bytes, as kubectl top counts it."""
    pid = docker("inspect", "--format={{.State.Pid}}", container).strip()
    groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    if "memory" in groups:
        group = Path("/sys/fs/cgroup/memory" + groups["memory"])
        usage = int((group / "memory.usage_in_bytes").read_text())
        key = "total_inactive_file"
    else:
        group = Path("/sys/fs/cgroup" + groups[""])
        usage = int((group / "memory.current").read_text())
        key = "inactive_file"
    figures = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return usage - int(figures[key])


def test_state_is_outside_the_checkout(lab: Lab) -> None:
    assert lab.state.is_dir()
    assert stat.S_IMODE(lab.state.stat().st_mode) == 0o700
