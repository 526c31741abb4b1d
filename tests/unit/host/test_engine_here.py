"""Which engines can carry a lab on this machine, by what they say of themselves."""

from __future__ import annotations

import argparse
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from failover_lab import cli
from failover_lab.host import engine_here
from failover_lab.host.engine_here import Endpoint, Engine, Machine, unfit

Object = dict[str, Any]

HERE = Machine("desk", "6.1.0-28-amd64")
INFO: Object = {
    "ServerVersion": "27.5.1",
    "OSType": "linux",
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
    "DockerRootDir": "/var/lib/docker",
    "Name": "desk",
    "KernelVersion": "6.1.0-28-amd64",
    "SecurityOptions": ["name=seccomp,profile=builtin"],
}
LOOPBACK = ("127.0.0.1",)
ELSEWHERE = ("192.0.2.1",)


def test_the_machines_own() -> None:
    assert unfit(Engine(INFO, ("Engine", "containerd"), LOOPBACK), HERE) == ""
    assert unfit(Engine(INFO), HERE) == "", "an engine without a default network"
    assert unfit(Engine({"ServerVersion": "27.5.1"}), HERE) == "", "one that tells nothing of itself"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"OperatingSystem": "Docker Desktop", "Name": "docker-desktop"},
            ["Docker Desktop", "Docker Engine"],
        ),
        ({"DockerRootDir": "/var/snap/docker/common/var-lib-docker"}, ["snap's", "sudo snap remove docker"]),
        (
            {"Name": "colima", "OperatingSystem": "Ubuntu 24.04.1 LTS", "KernelVersion": "6.8.0-50-generic"},
            [
                "on colima (Ubuntu 24.04.1 LTS, kernel 6.8.0-50-generic",
                "6.1.0-28-amd64",
                "`unset DOCKER_HOST`",
            ],
        ),
        (
            {"Name": "lima-default", "KernelVersion": "6.12.1"},
            ["on lima-default", "docker context use default"],
        ),
        (
            {"OperatingSystem": "OrbStack", "KernelVersion": "6.10.1-orbstack"},
            ["OrbStack", "run the lab there"],
        ),
        # The driver docker: a container of this machine's, with a Docker of its own in it.
        ({"Name": "minikube"}, ["that of minikube", "this machine is desk", "minikube docker-env"]),
        ({"DockerRootDir": "/home/me/.local/share/containers/storage"}, ["Podman", "install it"]),
        ({"DockerRootDir": "/var/lib/containers/storage", "ServerVersion": "4.3.1"}, ["Podman"]),
    ],
)
def test_one_that_is_not(change: Object, words: list[str]) -> None:
    said = unfit(Engine(INFO | change, ("Engine",), LOOPBACK), HERE)
    for word in words:
        assert word in said
    assert len(said) < 500


def test_podman_under_dockers_name() -> None:
    assert "Podman" in unfit(Engine(INFO, ("Podman Engine", "Conmon", "OCI Runtime (crun)")), HERE)


def test_a_socket_from_another_network_namespace() -> None:
    said = unfit(Engine(INFO, (), ELSEWHERE), HERE)
    assert "192.0.2.1" in said
    assert "--network=host" in said


@pytest.fixture
def processes(tmp_path: Path) -> Path:
    """A /proc of three processes: this one, 7 in the same network, 8 in another."""
    for name in ("self", "7", "8"):
        (tmp_path / name / "net").mkdir(parents=True)
    (tmp_path / "self/net/dev").touch()
    (tmp_path / "7/net/dev").hardlink_to(tmp_path / "self/net/dev")
    (tmp_path / "8/net/dev").touch()
    return tmp_path


def test_the_same_address_in_another_network(processes: Path) -> None:
    """Docker gives its first bridge 172.17.0.1 in each of them."""
    here = Machine("desk", HERE.kernel, processes)
    assert unfit(Engine(INFO, (), LOOPBACK, listener=7), here) == ""
    assert unfit(Engine(INFO, (), LOOPBACK, listener=9), here) == "", "one of which nothing is known"
    said = unfit(Engine(INFO, (), LOOPBACK, listener=8), here)
    assert "network of its own" in said
    assert "unset DOCKER_HOST" in said
    assert Machine("desk", HERE.kernel).shares_network_with(os.getpid())


def test_who_listens(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        assert engine_here.listener(path) == 0, "nobody listens yet"
        listening.listen()
        assert engine_here.listener(path) == os.getpid()
    assert engine_here.listener("") == 0


@pytest.mark.parametrize(
    "host", ["ssh://me@192.0.2.1", "tcp://192.0.2.1:2375", "tcp://localhost.example.org:2375", "engine:2375"]
)
def test_another_machine_is_not_asked(
    docker: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """It may be behind a login, or silent for minutes."""
    (docker / "info").write_text(json.dumps(INFO))
    monkeypatch.setenv("DOCKER_HOST", host)
    assert cli.main(["engine-here"]) == 0
    said = answer(capsys)
    assert list(said) == ["Unfit"]
    assert f"DOCKER_HOST={host}" in said["Unfit"]
    assert "another machine" in said["Unfit"]


@pytest.mark.parametrize("host", ["ssh://me@192.0.2.1", "tcp://192.0.2.1:2375"])
def test_a_context_of_another_machine_is_not_asked(
    docker: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    (docker / "context").write_text(f"office {host}\n")
    assert cli.main(["engine-here"]) == 0
    said = answer(capsys)
    assert f"The docker context office names an engine on another machine ({host})" in said["Unfit"]
    assert "docker context use default" in said["Unfit"]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "unix:///run/docker.sock",
        "tcp://127.0.0.1:2375",
        "tcp://localhost:1",
        "tcp://[::1]:1",
        "127.0.0.1:2375",
        "/run/docker.sock",
    ],
)
def test_addresses_that_are_not_elsewhere(address: str) -> None:
    assert Endpoint("default", address).elsewhere == ""


@pytest.mark.parametrize("change", [{"SecurityOptions": ["name=rootless"]}, {"OSType": "windows"}])
def test_what_is_told_elsewhere(change: Object) -> None:
    assert unfit(Engine(INFO | change, (), ELSEWHERE), HERE) == ""


@pytest.mark.parametrize(("address", "own"), [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False)])
def test_addresses(address: str, *, own: bool) -> None:
    if ":" in address and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    assert HERE.has(address) is own


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker command whose answers are files, named by the first word of the question."""
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\n[ -e "{tmp_path}/slow" ] && exec sleep 9\ncat "{tmp_path}/$1" && exit 0\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str]) -> Object:
    found: Object = json.loads(capsys.readouterr().out)
    return found


def test_asking_one(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = os.uname()
    info = INFO | {"Name": system.nodename, "KernelVersion": system.release}
    (docker / "info").write_text(json.dumps(info))
    assert cli.main(["engine-here"]) == 0
    assert answer(capsys) == info | {"Unfit": ""}
    (docker / "version").write_text(json.dumps([{"Name": "Podman Engine"}]))
    cli.main(["engine-here"])
    assert "Podman" in answer(capsys)["Unfit"]
    (docker / "version").write_text("null")
    (docker / "network").write_text(json.dumps([{"IPAM": {"Config": [{"Gateway": "192.0.2.1"}]}}]))
    cli.main(["engine-here"])
    assert "192.0.2.1" in answer(capsys)["Unfit"]


def test_one_that_does_not_run(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (docker / "info").write_text(json.dumps({"ServerErrors": ["Cannot connect"]}))
    cli.main(["engine-here"])
    assert answer(capsys) == {"ServerErrors": ["Cannot connect"]}


def test_one_that_never_answers(
    docker: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_here, "INFO_TIMEOUT_S", 0.2)
    (docker / "slow").touch()
    assert cli.main(["engine-here"]) == 124
    assert "says nothing" in answer(capsys)["ServerErrors"][0]


def test_no_docker_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["engine-here"]) == 127
    assert capsys.readouterr() == ("", "")


def test_what_is_no_answer(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (docker / "info").write_text("Usage: docker")
    assert cli.main(["engine-here"]) == 0
    assert capsys.readouterr().out == "Usage: docker"


def test_a_script_in_its_place_that_says_more(docker: Path) -> None:
    (docker / "info").write_text(f"hint: this is docker\n{json.dumps(INFO)}\n")
    complaint = engine_here.run(argparse.Namespace()).data["complaint"]
    assert f"{docker / 'docker'} says 'hint: this is docker' where" in complaint
