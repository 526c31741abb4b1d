"""A container engine that will not do: one error that names the remedy, and nothing is changed.

Where a broken role would install or start an engine, check mode keeps it from doing so here.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bad_input.conftest import make_docker
from tests.plays import Played, by_night, including, run_side_by_side, wanted

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
NONE = {"ServerErrors": ["Cannot connect"], "ClientInfo": {"Context": "default", "Plugins": []}}
NOBODY, MISSING = "tcp://127.0.0.1:1", "unix:///nonexistent/docker.sock"
MEMORY_GIB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
TOO_SMALL = f"This machine has {os.cpu_count()} processors and {MEMORY_GIB:.1f} GiB"


def without_docker(folder: Path) -> str:
    """A PATH on which everything is, but for the docker command."""
    programs = folder / "bin"
    programs.mkdir()
    for directory in ("/bin", "/usr/bin", "/sbin", "/usr/sbin"):
        for program in Path(directory).iterdir():
            link = programs / program.name
            if program.name != "docker" and not link.is_symlink():
                link.symlink_to(program)
    return f"{Path(sys.executable).parent}{os.pathsep}{programs}"


def saying(info: dict[str, Any] | None, *, stderr: str = "", status: int = 0) -> Callable[[Path], str]:
    """A PATH on which the docker command says this."""
    return functools.partial(make_docker, info=info, stderr=stderr, status=status)


def chatty(folder: Path) -> str:
    """A PATH on which the docker command is a script of somebody's that says something before."""
    found = make_docker(folder, GOOD)
    (folder / "info").write_text(f"hint: this is docker\n{json.dumps(GOOD)}", encoding="utf-8")
    return found


# What there is of docker, with which settings, and the words of the refusal, or none.
Cases = dict[str, tuple[Callable[[Path], str], dict[str, Any], list[str]]]

CHECKED: Cases = {
    "the chosen context does not answer": (
        saying({"ServerErrors": ["Cannot connect"], "ClientInfo": CLIENT | {"Context": "office"}}, status=1),
        {},
        ["The docker context office", "docker context use default"],
    ),
    "the chosen context is unknown": (
        saying(None, stderr='Failed to initialize: context "x": context not found', status=1),
        {},
        ["context not found", "DOCKER_CONTEXT"],
    ),
    "no permission on the socket": (
        saying(
            {
                "ServerErrors": ["permission denied while trying to connect to the Docker daemon socket"],
                "ClientInfo": CLIENT,
            },
            status=1,
        ),
        {},
        ["may not use it", "usermod -aG docker"],
    ),
    "podman under the name docker": (
        saying({"host": {"buildahVersion": "1.28.2"}}, stderr="Emulate Docker CLI using podman."),
        {},
        ["podman", "podman-docker"],
    ),
    "a script in its place": (
        chatty,
        {},
        ["The docker command does not work", "/bin/docker says 'hint: this is docker'", "a script?"],
    ),
    "too old and in use": (
        saying(GOOD | {"ServerVersion": "20.10.24+dfsg1", "ContainersRunning": 3}),
        {},
        ["Docker 20.10.24+dfsg1 is too old", "23.0 or newer"],
    ),
    "missing and not to be installed": (
        saying(NONE, status=1),
        {"engine_install": False},
        ["engine_install is false", "Install Docker 23.0 or newer"],
    ),
    "no docker command at all": (
        without_docker,
        {"engine_install": False},
        ["engine_install is false", "Install Docker 23.0 or newer"],
    ),
    "too few processors for an engine": (
        saying(NONE, status=1),
        {"engine_min_cpus": 10**6},
        [TOO_SMALL, "engine_min_cpus"],
    ),
    "too little memory for an engine": (
        saying(NONE, status=1),
        {"engine_min_memory_gib": MEMORY_GIB + 1},
        [TOO_SMALL, "engine_min_memory_gib"],
    ),
}
PLAYED: Cases = {
    "a good one": (saying(GOOD), {"engine_min_free_gib": 0}, []),
    "one that is just large enough": (
        saying(GOOD | {"NCPU": 2, "MemTotal": 3 * 2**30}),
        {"engine_min_free_gib": 0, "engine_min_cpus": 2, "engine_min_memory_gib": 3},
        [],
    ),
    "the chosen context is known to the docker command alone": (
        saying(GOOD | {"ClientInfo": CLIENT | {"Context": "office"}}),
        {},
        ["its context office", "docker context inspect office --format '{{.Endpoints.docker.Host}}'"],
    ),
    "rootless": (
        saying(GOOD | {"SecurityOptions": ["name=seccomp", "name=rootless"]}),
        {},
        ["rootless", "runs as root"],
    ),
    "for Windows": (saying(GOOD | {"OSType": "windows"}), {}, ["for windows", "Linux containers"]),
    "one processor": (saying(GOOD | {"NCPU": 1}), {}, ["1 processors", "engine_min_cpus"]),
    "1 GiB": (saying(GOOD | {"MemTotal": 2**30}), {}, ["1.0 GiB of memory", "engine_min_memory_gib"]),
    "a full disk": (saying(GOOD), {"engine_min_free_gib": 10**6}, ["/var", "GiB free", "make room"]),
    "a setting of the wrong type": (
        saying(GOOD),
        {"engine_min_cpus": "many"},
        ["engine_min_cpus", "int"],
    ),
}


def machine(system: str, distribution: str) -> dict[str, Any]:
    """What Ansible would have found on another machine."""
    kind = {"system": system, "os_family": distribution, "distribution": distribution}
    return {"the_facts": kind | {"distribution_release": "", "user_id": "root", "user_uid": 0}}


ELSEWHERE: Cases = {
    "Fedora": (
        saying(NONE, status=1),
        machine("Linux", "Fedora"),
        ["this role installs one only on Debian and Ubuntu", "Install Docker"],
    ),
    "MacOSX": (
        saying(NONE, status=1),
        machine("Darwin", "MacOSX"),
        ["on MacOSX this role neither installs nor starts one", "Run the lab in a Linux machine"],
    ),
}


def ends(root: Path, cases: Cases, *options: str, **keywords: Any) -> dict[str, Played]:
    """How the role ends in each case."""
    hosts = {}
    for number, (path, settings, _) in enumerate(cases.values()):
        folder = root / f"case-{number}"
        folder.mkdir()
        hosts[folder.name] = settings | {"the_path": path(folder)}
    play = {"tasks": [including("engine")], "environment": {"PATH": "{{ the_path }}"}} | keywords
    played = run_side_by_side(root, play, hosts, *options, DOCKER_HOST="")
    return dict(zip(cases, played.values(), strict=True))


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Played]:
    cases = {case: CHECKED[case] for case in wanted(request, "case", CHECKED)}
    return ends(tmp_path_factory.mktemp("checked"), cases, "--check")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    return ends(tmp_path_factory.mktemp("played"), PLAYED)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    facts = {"ansible_facts": "{{ the_facts }}"}
    return ends(tmp_path_factory.mktemp("elsewhere"), ELSEWHERE, "--check", vars=facts)


# What is too small is told by one task, and in the same words as of an engine that answers.
@pytest.mark.nightly
@pytest.mark.parametrize("case", by_night(CHECKED, ("too little memory for an engine",)))
def test_refused_in_check_mode(checked: dict[str, Played], case: str) -> None:
    checked[case].refused(*CHECKED[case][2])


@pytest.mark.parametrize("system", ELSEWHERE)
def test_missing_where_none_is_installed(elsewhere: dict[str, Played], system: str) -> None:
    elsewhere[system].refused(*ELSEWHERE[system][2])


@pytest.mark.parametrize("case", [case for case, (_, _, words) in PLAYED.items() if words])
def test_refused(played: dict[str, Played], case: str) -> None:
    played[case].refused(*PLAYED[case][2])


@pytest.mark.parametrize("case", [case for case, (_, _, words) in PLAYED.items() if not words])
def test_the_good_one_is_taken(played: dict[str, Played], case: str) -> None:
    good = played[case]
    assert good.returncode == 0, good.output
    assert good.changed == 0


@pytest.mark.parametrize("host", by_night((NOBODY, MISSING), (MISSING,)))
def test_docker_host_does_not_answer(run_role: Role, host: str) -> None:
    run_role("engine", {}, "--check", DOCKER_HOST=host).refused(
        f"DOCKER_HOST={host}", "does not answer", "unset DOCKER_HOST"
    )


@pytest.mark.parametrize("host", by_night((NOBODY, ""), (NOBODY,)))
def test_teardown_without_an_engine(play: Role, fake_docker: Fake, host: str) -> None:
    """It neither installs nor starts one."""
    played = play(
        "teardown.yml",
        *("-e", "lab_profile=never-made"),
        PATH=fake_docker(NONE, status=1),
        DOCKER_HOST=host,
    )
    played.refused("Cannot connect", "tart", *([f"DOCKER_HOST={host}", "unset DOCKER_HOST"] if host else []))


def test_docker_host_is_another_machine(run_role: Role, fake_docker: Fake) -> None:
    """It is not asked: the docker command has nothing good to say of it."""
    played = run_role(
        "engine",
        {},
        DOCKER_HOST="ssh://user@192.0.2.1",
        PATH=fake_docker(NONE, stderr="ssh: timed out", status=1),
    )
    played.refused("DOCKER_HOST=ssh://user@192.0.2.1", "another machine", "Unset DOCKER_HOST")


def test_a_switch_given_on_the_command_line_is_a_string(run_role: Role, fake_docker: Fake) -> None:
    options = ("--check", "-e", "engine_install=false")
    played = run_role("engine", {}, *options, PATH=fake_docker(NONE, status=1), DOCKER_HOST="")
    played.refused("engine_install is false")
