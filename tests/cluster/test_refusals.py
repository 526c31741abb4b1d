"""Bad input on a living lab: one clear error that names the remedy, and nothing changed."""

from __future__ import annotations

import json
import socket
import time

import pytest

from .conftest import PROFILE, Lab, docker, paused

pytestmark = [pytest.mark.cluster, pytest.mark.shares]
# In `make test` tests/bad_input and tests/unit hear the same words, without a lab. What is left for the night
# is that a living one is as it was.
nightly = pytest.mark.nightly


def picture(lab: Lab) -> str:
    """What must be the same before and after a refusal."""
    kinds = "nodes,deployments,services,poddisruptionbudgets,secrets,networkpolicies,namespaces"
    items = lab.get(kinds, "--all-namespaces")["items"]
    specs = sorted(
        json.dumps(
            [item["kind"], item["metadata"]["name"], item.get("spec"), item.get("data")], sort_keys=True
        )
        for item in items
    )
    return "\n".join([*specs, docker("ps", "--all", "--format={{.Names}} {{.Image}}")])


FAILOVER = [
    pytest.param(["fault_kind=explode"], ["'explode'", "choose one of drain"], marks=nightly),
    (["fault_node=nobody"], ["There is no node nobody", f"{PROFILE}-m02"]),
    pytest.param([f"fault_node={PROFILE}"], ["is the only control plane", "Choose a worker"], marks=nightly),
    # That is no matter of taste.
    pytest.param(
        [f"fault_node={PROFILE}", "fault_force=true"],
        ["is the only control plane", "Choose a worker"],
        marks=nightly,
    ),
    (["lab_profile=never-made"], ["never-made", "setup.yml -e lab_profile=never-made"]),
]
SETUP = [
    pytest.param(
        ["cluster_nodes=1"], ["cluster_nodes must be a whole number from 2 to 8", "'1'"], marks=nightly
    ),
    pytest.param(
        ["cluster_nodes=foo"], ["cluster_nodes must be a whole number from 2 to 8", "'foo'"], marks=nightly
    ),
    (["cluster_nodes=2"], ["has 3 nodes and cluster_nodes is 2", "teardown.yml"]),
    (
        ["lab_profile=another", "cluster_subnet=172.17.0.0/24"],
        ["172.17.0.0/24 is taken", "Choose another one"],
    ),
    pytest.param(
        ["lab_profile=another", "cluster_subnet=nonsense"], ["nonsense is no IPv4 network"], marks=nightly
    ),
    pytest.param(["lab_profile=Capital"], ["small letters"], marks=nightly),
    pytest.param(
        ["registry_url=127.0.0.1:9", "registry_username=me", "registry_password=secret-word"],
        ["127.0.0.1:9 does not answer", "registry_url"],
        marks=nightly,
    ),
    pytest.param(
        ["registry_url=registry.example.org"], ["registry_username and registry_password"], marks=nightly
    ),
]


@pytest.mark.parametrize(("settings", "words"), FAILOVER, ids=lambda value: "-".join(value) if value else "")
def test_failover_refuses(lab: Lab, settings: list[str], words: list[str]) -> None:
    refuses(lab, "failover", settings, words)


@pytest.mark.parametrize(("settings", "words"), SETUP, ids=lambda value: "-".join(value) if value else "")
def test_setup_refuses(lab: Lab, settings: list[str], words: list[str]) -> None:
    refuses(lab, "setup", settings, words)


def refuses(lab: Lab, playbook: str, settings: list[str], words: list[str], **environment: str) -> None:
    """The play fails with these words, once, and the lab is as it was."""
    before = picture(lab)
    played = lab.play(playbook, *[part for setting in settings for part in ("-e", setting)], **environment)
    assert played.returncode != 0
    assert played.output.count("fatal: ") == 1, played.output[-4000:]
    assert played.changed == 0, played.output[-4000:]
    for word in words:
        assert word in played.error, played.error
    assert "secret-word" not in played.output
    assert "Traceback" not in played.output
    assert picture(lab) == before


def test_a_wrong_password_for_a_real_registry_applies_nothing(lab: Lab) -> None:
    refuses(
        lab,
        "setup",
        [
            f"registry_url=127.0.0.1:{lab.registry_port()}",
            "registry_username=lab",
            "registry_password=secret-word",
        ],
        ["refused the login of 'lab'", "registry_username and registry_password"],
    )


@nightly
def test_a_port_that_is_taken(lab: Lab) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refuses(
            lab, "setup", ["lab_profile=another", f"registry_port={port}"], [f"Port {port}", "registry_port"]
        )


def allow_disruptions(lab: Lab, count: int) -> None:
    """Change the site's disruption budget, and wait until the controller has seen it."""
    patch = json.dumps({"spec": {"maxUnavailable": count}})
    lab.kubectl(
        "patch", "poddisruptionbudget", "site", "--namespace=site", "--type=merge", f"--patch={patch}"
    )
    deadline = time.monotonic() + 30
    while lab.get("poddisruptionbudget", "site", "--namespace=site")["status"]["disruptionsAllowed"] != count:
        assert time.monotonic() < deadline, "the disruption budget was not taken up in 30 s"


def test_a_budget_that_allows_nothing(lab: Lab) -> None:
    allow_disruptions(lab, 0)
    try:
        refuses(lab, "failover", [], ["disruption budget site allows no eviction", "loosen it"])
        forced = lab.play("failover", "--check", "-e", "fault_force=true")
        assert forced.returncode == 0, forced.output[-4000:]
        said = forced.output.partition("Forced, although:")[2]
        assert "disruption budget site allows no eviction" in " ".join(said.split())
    finally:
        allow_disruptions(lab, 1)


@pytest.mark.parametrize("playbook", [pytest.param("setup", marks=nightly), "teardown"])
def test_an_engine_that_does_not_answer(lab: Lab, playbook: str) -> None:
    before = picture(lab)
    played = lab.play(playbook, DOCKER_HOST="tcp://127.0.0.1:1")
    assert played.returncode != 0
    assert "does not answer" in played.error
    assert "unset DOCKER_HOST" in played.error
    assert played.output.count("fatal: ") == 1, played.output[-4000:]
    assert played.changed == 0
    assert lab.state.exists()
    assert picture(lab) == before


@nightly
@pytest.mark.parametrize(
    ("playbook", "settings"),
    [("failover", ["fault_kind=kill"]), ("recover", [])],
    ids=["failover", "recover"],
)
def test_breaking_and_recovering_need_an_engine(lab: Lab, playbook: str, settings: list[str]) -> None:
    words = ["The engine at DOCKER_HOST=tcp://127.0.0.1:1 does not answer", "unset DOCKER_HOST"]
    refuses(lab, playbook, settings, words, DOCKER_HOST="tcp://127.0.0.1:1")


@pytest.mark.parametrize("kind", ["drain", pytest.param("pod", marks=nightly)])
def test_a_paused_node_that_the_cluster_still_takes_for_ready(lab: Lab, kind: str) -> None:
    node = f"{PROFILE}-m02"
    with paused(lab, node):
        refuses(
            lab,
            "failover",
            [f"fault_kind={kind}", f"fault_node={node}"],
            [f"{node} is faulted already (its container is paused)", "recover.yml"],
        )
