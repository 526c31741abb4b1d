"""A container engine that will not do: one error that names the remedy, and nothing is changed.

Where a broken role would install or start an engine, check mode keeps it from doing so here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Fake = Callable[..., str]
Role = Callable[..., Any]

CLIENT = {"Context": "default", "Plugins": [{"Name": "buildx"}]}
GOOD = {
    "ServerVersion": "27.5.1",
    "OSType": "linux",
    "NCPU": 4,
    "MemTotal": 16 * 2**30,
    "DockerRootDir": "/var",
    "Driver": "overlay2",
    "CgroupDriver": "systemd",
    "CgroupVersion": "2",
    "SecurityOptions": ["name=seccomp,profile=builtin"],
    "ClientInfo": CLIENT,
}


def test_the_good_one_is_taken(run_role: Role, fake_docker: Fake) -> None:
    played = run_role("engine", {"engine_min_free_gib": 0}, PATH=fake_docker(GOOD))
    assert played.returncode == 0, played.output
    assert played.changed == 0


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "unix:///nonexistent/docker.sock"])
def test_docker_host_does_not_answer(run_role: Role, host: str) -> None:
    run_role("engine", {}, "--check", DOCKER_HOST=host).refused(
        f"DOCKER_HOST={host}", "does not answer", "unset DOCKER_HOST"
    )


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", ""])
def test_teardown_without_an_engine(play: Role, fake_docker: Fake, host: str) -> None:
    """It neither installs nor starts one."""
    info = {"ServerErrors": ["Cannot connect"], "ClientInfo": {"Context": "default", "Plugins": []}}
    played = play(
        "teardown.yml",
        *("-e", "lab_profile=never-made"),
        PATH=fake_docker(info, status=1),
        DOCKER_HOST=host,
    )
    played.refused("Cannot connect", "tart", *([f"DOCKER_HOST={host}", "unset DOCKER_HOST"] if host else []))


def test_docker_host_is_another_machine(run_role: Role, fake_docker: Fake) -> None:
    played = run_role("engine", {}, DOCKER_HOST="ssh://user@192.0.2.1", PATH=fake_docker(GOOD))
    played.refused("DOCKER_HOST=ssh://user@192.0.2.1", "another machine", "Unset DOCKER_HOST")


def test_the_chosen_context_does_not_answer(run_role: Role, fake_docker: Fake) -> None:
    info = {"ServerErrors": ["Cannot connect"], "ClientInfo": CLIENT | {"Context": "office"}}
    played = run_role("engine", {}, "--check", PATH=fake_docker(info, status=1), DOCKER_HOST="")
    played.refused("The docker context office", "docker context use default")


def test_the_chosen_context_is_known_to_the_docker_command_alone(run_role: Role, fake_docker: Fake) -> None:
    path = fake_docker(GOOD | {"ClientInfo": CLIENT | {"Context": "office"}})
    played = run_role("engine", {}, PATH=path, DOCKER_HOST="")
    played.refused(
        "its context office", "docker context inspect office --format '{{.Endpoints.docker.Host}}'"
    )


def test_the_chosen_context_is_unknown(run_role: Role, fake_docker: Fake) -> None:
    path = fake_docker(None, stderr='Failed to initialize: context "x": context not found', status=1)
    run_role("engine", {}, "--check", PATH=path, DOCKER_HOST="").refused(
        "context not found", "DOCKER_CONTEXT"
    )


def test_no_permission_on_the_socket(run_role: Role, fake_docker: Fake) -> None:
    info = {
        "ServerErrors": ["permission denied while trying to connect to the Docker daemon socket"],
        "ClientInfo": CLIENT,
    }
    played = run_role("engine", {}, "--check", PATH=fake_docker(info, status=1), DOCKER_HOST="")
    played.refused("may not use it", "usermod -aG docker")


def test_podman_under_the_name_docker(run_role: Role, fake_docker: Fake) -> None:
    path = fake_docker({"host": {"buildahVersion": "1.28.2"}}, stderr="Emulate Docker CLI using podman.")
    run_role("engine", {}, "--check", PATH=path, DOCKER_HOST="").refused("podman", "podman-docker")


def test_too_old_and_in_use(run_role: Role, fake_docker: Fake) -> None:
    info = GOOD | {"ServerVersion": "20.10.24+dfsg1", "ContainersRunning": 3}
    played = run_role("engine", {}, "--check", PATH=fake_docker(info), DOCKER_HOST="")
    played.refused("Docker 20.10.24+dfsg1 is too old", "23.0 or newer")


def test_missing_and_not_to_be_installed(run_role: Role, fake_docker: Fake) -> None:
    info = {"ServerErrors": ["Cannot connect"], "ClientInfo": {"Context": "default", "Plugins": []}}
    played = run_role(
        "engine", {"engine_install": False}, "--check", PATH=fake_docker(info, status=1), DOCKER_HOST=""
    )
    played.refused("engine_install is false", "Install Docker 23.0 or newer")


def test_a_switch_given_on_the_command_line_is_a_string(run_role: Role, fake_docker: Fake) -> None:
    info = {"ServerErrors": ["Cannot connect"], "ClientInfo": {"Context": "default", "Plugins": []}}
    options = ("--check", "-e", "engine_install=false")
    played = run_role("engine", {}, *options, PATH=fake_docker(info, status=1), DOCKER_HOST="")
    played.refused("engine_install is false")


def test_no_docker_command_at_all(run_role: Role, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for directory in ("/bin", "/usr/bin", "/sbin", "/usr/sbin"):
        for program in Path(directory).iterdir():
            link = programs / program.name
            if program.name != "docker" and not link.is_symlink():
                link.symlink_to(program)
    path = f"{Path(sys.executable).parent}{os.pathsep}{programs}"
    played = run_role("engine", {"engine_install": False}, "--check", PATH=path, DOCKER_HOST="")
    played.refused("engine_install is false", "Install Docker 23.0 or newer")


@pytest.mark.parametrize(
    ("system", "distribution", "words"),
    [
        ("Linux", "Fedora", ["this role installs one only on Debian and Ubuntu", "Install Docker"]),
        (
            "Darwin",
            "MacOSX",
            ["on MacOSX this role neither installs nor starts one", "Run the lab in a Linux machine"],
        ),
    ],
)
def test_missing_where_none_is_installed(
    run_role: Role, fake_docker: Fake, system: str, distribution: str, words: list[str]
) -> None:
    machine = {"system": system, "os_family": distribution, "distribution": distribution}
    facts = machine | {"distribution_release": "", "user_id": "root", "user_uid": 0}
    info = {"ServerErrors": ["Cannot connect"], "ClientInfo": {"Context": "default", "Plugins": []}}
    path = fake_docker(info, status=1)
    run_role("engine", {"ansible_facts": facts}, "--check", PATH=path, DOCKER_HOST="").refused(*words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SecurityOptions": ["name=seccomp", "name=rootless"]}, ["rootless", "runs as root"]),
        ({"OSType": "windows"}, ["for windows", "Linux containers"]),
        ({"NCPU": 1}, ["1 processors", "engine_min_cpus"]),
        ({"MemTotal": 2**30}, ["1.0 GiB of memory", "engine_min_memory_gib"]),
    ],
)
def test_an_engine_of_the_wrong_kind(
    run_role: Role, fake_docker: Fake, change: dict[str, Any], words: list[str]
) -> None:
    run_role("engine", {}, PATH=fake_docker(GOOD | change), DOCKER_HOST="").refused(*words)


def test_the_machine_is_too_small_for_an_engine(run_role: Role, fake_docker: Fake) -> None:
    info = {"ServerErrors": ["Cannot connect"], "ClientInfo": {"Context": "default", "Plugins": []}}
    path = fake_docker(info, status=1)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    for setting in ({"engine_min_cpus": 10**6}, {"engine_min_memory_gib": memory + 1}):
        played = run_role("engine", setting, "--check", PATH=path, DOCKER_HOST="")
        played.refused(f"This machine has {os.cpu_count()} processors and {memory:.1f} GiB", *setting)


def test_the_disk_is_full(run_role: Role, fake_docker: Fake) -> None:
    played = run_role("engine", {"engine_min_free_gib": 10**6}, PATH=fake_docker(GOOD), DOCKER_HOST="")
    played.refused("/var", "GiB free", "make room")


def test_a_setting_of_the_wrong_type(run_role: Role, tmp_path: Path) -> None:
    run_role("engine", {"engine_min_cpus": "many"}).refused("engine_min_cpus", "int")
