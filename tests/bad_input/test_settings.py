"""A setting that cannot be meant so: the role's own words where it has some, before anything is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.documents import load
from tests.plays import Played, by_night, including, run_side_by_side, wanted

REPO = Path(__file__).resolve().parents[2]

Runner = Callable[..., Any]
Ends = dict[int, tuple[Played, Path]]

# Of a role.
REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("cluster", {"cluster_nodes": "foo"}, ["a whole number from 2 to 8", "'foo'"]),
    ("cluster", {"cluster_nodes": 1}, ["a whole number from 2 to 8", "'1'"]),
    ("cluster", {"cluster_nodes": 3.5}, ["a whole number from 2 to 8", "'3.5'"]),
    ("cluster", {"cluster_control_planes": 2}, ["cluster_control_planes is '2'", "1 or 3 control planes"]),
    (
        "cluster",
        {"cluster_control_planes": 3, "cluster_nodes": 2},
        ["cluster_nodes 2", "no fewer nodes"],
    ),
    ("cluster", {"cluster_zones": 0}, ["cluster_zones is '0'", "whole number of zones"]),
    ("cluster", {"cluster_zones": 4, "cluster_nodes": 3}, ["cluster_nodes 3", "no fewer nodes"]),
    (
        "cluster",
        {"cluster_provider": "existing", "cluster_kube_proxy_mode": "nftables"},
        [
            "cluster_kube_proxy_mode=nftables changes kube-proxies",
            "cluster_provider=existing",
            "leave it out",
        ],
    ),
    ("cluster", {"cluster_kube_proxy_mode": "ipvs"}, ["cluster_kube_proxy_mode", "iptables, nftables"]),
    ("cluster", {"cluster_profile": "Not A Name"}, ["lab_profile", "'Not A Name'"]),
    ("cluster", {"cluster_failure_detection": "eager"}, ["cluster_failure_detection", "default, fast"]),
    ("cluster", {"cluster_timeout_s": "long"}, ["cluster_timeout_s", "int"]),
    ("registry", {"registry_port": "foo"}, ["registry_port must be from 1024 to 65535", "foo"]),
    ("registry", {"registry_url": "reg.example"}, ["registry_username and registry_password"]),
    ("toolchain", {"toolchain_source": "guess"}, ["toolchain_source", "auto, release, modules"]),
    ("load_balancer", {"load_balancer_provider": "magic"}, ["load_balancer_provider", "metallb, none"]),
    (
        "load_balancer",
        {"load_balancer_pool": "192.0.2.1"},
        ["load_balancer_pool is '192.0.2.1'", "a range of"],
    ),
    ("image", {"image_context": "/nonexistent"}, ["no Dockerfile in /nonexistent", "set image_context"]),
    ("fault", {"fault_kind": "explode"}, ["fault_kind", "explode", "drain, kill"]),
    ("fault", {"fault_timeout_s": "long"}, ["fault_timeout_s", "int"]),
    ("fault", {"fault_timeout_s": 0}, ["fault_timeout_s is 0", "1 second or more"]),
    ("fault", {"fault_operator_timeout_s": 0}, ["fault_operator_timeout_s is 0", "1 second or more"]),
    ("fault", {"fault_recovery": "prayer"}, ["fault_recovery", "prayer", "automatic, watchdog, manual"]),
    ("fault", {"fault_node_return": "never"}, ["fault_node_return", "never", "restart, replace, leave"]),
    (
        "fault",
        {"fault_kind": "partition", "fault_partition_direction": "up"},
        ["fault_partition_direction", "both, incoming, outgoing"],
    ),
    ("fault", {"fault_kind": "pod", "fault_pods": "few"}, ["fault_pods", "few", "one, all"]),
    ("fault", {"fault_node": ""}, ["fault_node is empty", "auto, announcer or other"]),
    ("fault", {"fault_recovery": "watchdog"}, ["fault_kind=drain, after which", "fault_kind=kill"]),
    (
        "fault",
        {"fault_kind": "pod", "fault_recovery": "manual"},
        ["fault_recovery=manual does not go with fault_kind=pod", "leave it out"],
    ),
    (
        "fault",
        {"fault_kind": "kubelet", "fault_recovery": "watchdog"},
        ["fault_recovery=watchdog does not go with fault_kind=kubelet", "fault_recovery=manual"],
    ),
    ("fault", {"fault_node_return": "leave"}, ["leave does not go with fault_kind=drain", "kill,"]),
    (
        "fault",
        {"fault_kind": "pod", "fault_node_return": "replace"},
        ["fault_node_return=replace does not go with fault_kind=pod", "leave it out"],
    ),
    (
        "fault",
        {"fault_kind": "kubelet", "fault_node_return": "leave"},
        ["fault_node_return=leave does not go with fault_kind=kubelet", "whose node lives on"],
    ),
    (
        "fault",
        {"fault_kind": "freeze", "fault_partition_direction": "incoming"},
        ["incoming does not go with fault_kind=freeze", "fault_kind=partition"],
    ),
    (
        "fault",
        {"fault_kind": "kill", "fault_pods": "all"},
        ["fault_pods=all does not go with fault_kind=kill", "fault_kind=pod"],
    ),
]
# By the witness, in a play that breaks a node.
NOT_MEASURED = [
    (["witness_rate=0"], ["witness_rate is 0", "0.1 to 20000"]),
    (["witness_rate=20001"], ["witness_rate is 20001", "0.1 to 20000"]),
    (["witness_rate=nan"], ["witness_rate is nan", "0.1 to 20000"]),
    (["witness_rate=fast"], ["witness_rate", "float"]),
    (["witness_connections=old"], ["witness_connections", "new, reused, both"]),
    (["witness_duration=4000"], ["witness_duration is 4000", "0.1 to 3600", "witness_max_duration_s"]),
    (["witness_duration=-5"], ["witness_duration is -5", "0.1 to 3600"]),
    (["witness_duration=0.05"], ["witness_duration is 0.05", "0.1 to 3600"]),
    (["witness_max_duration_s=0"], ["witness_max_duration_s is 0", "1 to 604800"]),
    (["witness_steady_s=0"], ["witness_steady_s is 0", "0.1 seconds or more"]),
    (["witness_steady_s=60"], ["witness_steady_timeout_s is 60", "more than the 60 seconds"]),
    (["witness_steady_timeout_s=1e6"], ["witness_steady_timeout_s is", "86400 at most"]),
    (["witness_max_lost=-1"], ["witness_max_lost is -1", "0 requests or more"]),
    (["witness_max_slowest_ms=-1"], ["witness_max_slowest_ms is -1", "0 (any time will do)"]),
    (["witness_identity=pod"], ["'pod' is no identity", "header:NAME", "witness_so"]),
    (["witness_expect_status=good"], ["are no statuses", "301-303"]),
    (["witness_ca=/nowhere"], ["--ca is for https"]),
    (["witness_url=https://127.0.0.1", "witness_ca=/nowhere"], ["cannot read certificates of /nowhere"]),
    (["witness_url=http://me:word@127.0.0.1"], ["--auth-file"]),
    (["witness_addresses=some"], ["witness_addresses", "one, all"]),
    (["fault_kind=kill", "witness_steady_s=0.01"], ["witness_steady_s is 0.01"]),
]
# Of what setup.yml does late, and looks at first.
NOT_SET_UP: list[tuple[str, list[str]]] = [
    ("load_balancer_pool=192.0.2.1", ["load_balancer_pool is '192.0.2.1'"]),
    ("image_context=/nonexistent", ["no Dockerfile in /nonexistent"]),
    ("site_replicas=1", ["site_replicas is 1", "with fewer than 2"]),
    ("site_start_s=soon", ["site_start_s", "int"]),
    ("site_run_as=nobody", ["site_run_as is 'nobody'", "give a number"]),
]
# What others like them stand for by day: a number that is none, one that is out of its range, a choice.
REFUSED_BY_NIGHT = [
    number
    for number, (_, settings, _) in enumerate(REFUSED)
    if settings
    in (
        {"cluster_nodes": 3.5},
        {"cluster_timeout_s": "long"},
        {"toolchain_source": "guess"},
        {"load_balancer_provider": "magic"},
        {"fault_node_return": "never"},
        {"fault_kind": "partition", "fault_partition_direction": "up"},
        {"fault_kind": "pod", "fault_pods": "few"},
    )
]
NOT_MEASURED_BY_NIGHT = [
    number
    for number, (settings, _) in enumerate(NOT_MEASURED)
    if settings[-1]
    in (
        "witness_rate=20001",
        "witness_rate=nan",
        "witness_duration=-5",
        "witness_duration=0.05",
        "witness_max_lost=-1",
        "witness_steady_timeout_s=1e6",
        "witness_addresses=some",
    )
]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Ends:
    """How each of them that is asked for ends, and the folder that was its own."""
    root = tmp_path_factory.mktemp("refused")
    folders = {number: root / f"case-{number}" for number in wanted(request, "number", range(len(REFUSED)))}
    hosts = {
        folder.name: settings
        | {"the_role": role, "lab_state_dir": str(folder / "state"), "lab_cache_dir": str(folder / "cache")}
        for folder, (role, settings, _) in ((folder, REFUSED[number]) for number, folder in folders.items())
    }
    played = run_side_by_side(root, {"tasks": [including("{{ the_role }}")]}, hosts, "--check")
    return {number: (played[folder.name], folder) for number, folder in folders.items()}


@pytest.mark.parametrize(
    "number", by_night(range(len(REFUSED)), REFUSED_BY_NIGHT), ids=lambda number: f"{REFUSED[number][:2]}"
)
def test_refused(refused: Ends, number: int) -> None:
    played, folder = refused[number]
    played.refused(*REFUSED[number][2])
    assert not (folder / "state").exists()
    assert not (folder / "cache").exists()


def of_a_play(
    name: str, root: Path, given: dict[int, list[str]], **environment: str
) -> dict[int, tuple[Played, Path]]:
    """How a playbook's tasks end with each of these settings, side by side; and the folder of each."""
    folders = {number: root / f"case-{number}" for number in given}
    hosts = {
        folder.name: dict(setting.split("=") for setting in given[number])
        | {
            "lab_profile": "never-made",
            "lab_state_dir": str(folder / "state"),
            "lab_reports_dir": str(folder),
        }
        for number, folder in folders.items()
    }
    for folder in folders.values():
        folder.mkdir()
    (play,) = load(REPO / "playbooks" / name)
    played = run_side_by_side(root, play, hosts, **environment)
    return {number: (played[folder.name], folder) for number, folder in folders.items()}


@pytest.fixture(scope="module")
def not_measured(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Ends:
    """How the tasks of failover.yml end for each that is asked for, and the folder that was its own."""
    asked = wanted(request, "number", range(len(NOT_MEASURED)))
    root = tmp_path_factory.mktemp("not-measured")
    return of_a_play("failover.yml", root, {number: NOT_MEASURED[number][0] for number in asked})


def test_what_is_done_last_is_looked_at_first(tmp_path: Path) -> None:
    given = {number: [setting] for number, (setting, _) in enumerate(NOT_SET_UP)}
    # An engine would be the first thing that is asked for; that there is none is not what they are told.
    ends = of_a_play("setup.yml", tmp_path, given, DOCKER_HOST="unix:///nonexistent/docker.sock")
    for number, (_, words) in enumerate(NOT_SET_UP):
        played, folder = ends[number]
        played.refused(*words)
        assert not (folder / "state").exists()


@pytest.mark.parametrize(
    "number",
    by_night(range(len(NOT_MEASURED)), NOT_MEASURED_BY_NIGHT),
    ids=lambda number: " ".join(NOT_MEASURED[number][0]),
)
def test_the_witness_refuses_before_the_fault_is_looked_at(not_measured: Ends, number: int) -> None:
    played, folder = not_measured[number]
    played.refused(*NOT_MEASURED[number][1])
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("settings", "words"),
    [NOT_MEASURED[0], pytest.param(*NOT_MEASURED[-1], marks=pytest.mark.nightly)],
    ids=" ".join,
)
def test_so_does_the_playbook_itself(
    play: Runner, tmp_path: Path, settings: list[str], words: list[str]
) -> None:
    places = ["lab_profile=never-made", f"lab_state_dir={tmp_path / 'state'}", f"lab_reports_dir={tmp_path}"]
    played = play("failover.yml", *[part for setting in settings + places for part in ("-e", setting)])
    played.refused(*words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("playbook", by_night(("setup", "failover"), ("setup",)))
def test_a_name_that_nothing_reads_is_refused(play: Runner, tmp_path: Path, playbook: str) -> None:
    places = {"lab_state_dir": str(tmp_path / "state"), "lab_cache_dir": str(tmp_path / "cache")}
    slip = ["-e", "fault=kill", "-e", json.dumps(places)]
    play(f"{playbook}.yml", *slip).refused(
        "No setting is called fault (fault_url or fault_kind or fault_node", "docs/README.md"
    )
    assert not list(tmp_path.iterdir())


# That each play begins by looking, and at which values, is tested without plays.
@pytest.mark.parametrize(
    ("playbook", "setting", "words"),
    [
        ("teardown", "cluster_provider=exsting", "is not known: choose one of minikube, existing."),
        ("failover", "fault_kind=explode", "fault_kind 'explode' is not known: choose one of drain, kill,"),
        pytest.param(
            *("status", "lab_profile=", "lab_profile is '', and names containers"), marks=pytest.mark.nightly
        ),
        pytest.param(
            *(
                "recover",
                "engine_ready=false",
                "engine_ready is what the plays find out by themselves, and no",
            ),
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_every_play_looks_at_every_value(
    play: Runner, tmp_path: Path, playbook: str, setting: str, words: str
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal.json").write_text("{}")
    places = [f"lab_state_dir={tmp_path / 'state'}", f"lab_reports_dir={tmp_path}", "lab_profile=never-made"]
    options = [part for one in (*places, setting) for part in ("-e", one)]
    play(f"{playbook}.yml", *options, DOCKER_HOST="tcp://127.0.0.1:1").refused(words)
    assert (tmp_path / "state" / "journal.json").exists()


def test_a_state_in_a_folder_that_has_other_things(play: Runner, tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").touch()
    play("teardown.yml", "-e", f"lab_state_dir={tmp_path}").refused("thesis.odt is in it")
    assert (tmp_path / "thesis.odt").exists()


def test_a_cache_in_a_folder_that_has_other_things(run_role: Runner, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "modules").mkdir(parents=True)
    (disk / "thesis.odt").touch()
    run_role("toolchain", {"lab_cache_dir": str(disk)}, "--check").refused(
        "thesis.odt is in it", f"such as {disk}/failover-lab"
    )


def test_a_cache_in_a_checkout_of_this_name(run_role: Runner, tmp_path: Path) -> None:
    (tmp_path / "failover-lab" / "roles").mkdir(parents=True)
    folder = str(tmp_path / "failover-lab")
    run_role("toolchain", {"lab_cache_dir": folder}, "--check").refused("roles is in it")


@pytest.mark.parametrize(
    "setting", by_night(("lab_reports_dir", "cluster_kubeconfig"), ("cluster_kubeconfig",))
)
def test_a_path_that_only_a_shell_understands(play: Runner, setting: str) -> None:
    played = play("status.yml", "-e", json.dumps({setting: "~/here"}))
    played.refused(f"{setting} is ~/here", f"write {Path.home()}/here.")


def test_a_name_in_a_file_or_an_inventory_is_refused_too(play: Runner, tmp_path: Path) -> None:
    file = tmp_path / "settings.yml"
    file.write_text("my_own: 1\nnodes: 4\nwitness_rat: 5\n")
    played = play("status.yml", "-e", f"@{file}")
    played.refused("No setting is called witness_rat (witness_rate?):")


def test_a_proxy_that_would_be_asked_for_the_lab_itself(play: Runner) -> None:
    listed = "127.0.0.1,192.168.70.0/24"
    surroundings = {"HTTPS_PROXY": "http://lab:secret@proxy.example.org:3128", "no_proxy": ""}
    options = ("-e", "lab_profile=never-made", "-e", "cluster_subnet=192.168.70.0/24")
    played = play("setup.yml", *options, **surroundings, NO_PROXY="127.0.0.1")
    played.refused("does not name 192.168.70.0/24", f"export NO_PROXY={listed} no_proxy={listed}")
    assert "secret" not in played.output


def test_more_sockets_than_an_outage_may_leave_open(play: Runner, tmp_path: Path) -> None:
    # A shell that allows few of them.
    few = tmp_path / "ansible-playbook"
    few.write_text(f'#!/bin/sh\nulimit -n 500\nexec {shutil.which("ansible-playbook")} "$@"\n')
    few.chmod(0o755)
    options = ("-e", "lab_profile=never-made", "-e", f"lab_reports_dir={tmp_path / 'reports'}")
    played = play("failover.yml", *options, PATH=f"{tmp_path}:{os.environ['PATH']}")
    played.refused("sockets open, and 500 are allowed", "fewer requests a second (witness_rate)")
    assert not (tmp_path / "reports").exists()
