from __future__ import annotations

import dataclasses
import json

import pytest

from failover_lab import cli
from failover_lab.application.image import Image
from failover_lab.application.profile import RESOURCES, Wanted, choose
from failover_lab.errors import UserError

OWN = Image((8080,), "65532", "65532", "/healthz", "/whoami", read_only=True, writable=("/tmp",))
NGINX = Image((80,))


def test_the_labs_own_site() -> None:
    assert dataclasses.asdict(choose(OWN, Wanted())) == {
        "port": 8080,
        "health_path": "/healthz",
        "identity_path": "/whoami",
        "writable": ["/tmp"],
        "pod_security": "restricted",
        "pod": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "container": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": RESOURCES,
        "line": "port 8080 (EXPOSE), health check /healthz, as user 65532, root file system "
        "read-only but for /tmp; pod security standard restricted",
    }


def test_an_image_that_knows_nothing_of_the_lab() -> None:
    found = choose(NGINX, Wanted())
    assert found.pod == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert found.container == {"readOnlyRootFilesystem": False}
    assert found.line == (
        "port 80 (EXPOSE), a connection as health check, as root, root file system writable; "
        "pod security standard baseline, since its image runs as root"
    )


@pytest.mark.parametrize(
    ("image", "wanted", "pod", "standard"),
    [
        # Below 1024 a port is root's, unless the pod's network says otherwise.
        (Image((80,), "101"), Wanted(), {"runAsUser": 101, "runAsNonRoot": True}, "restricted"),
        (Image((80,), "nginx"), Wanted(), {}, "baseline"),
        (
            Image((8080,), "nginx"),
            Wanted(run_as="101:102"),
            {"runAsUser": 101, "runAsGroup": 102},
            "restricted",
        ),
        (Image((80,), "101"), Wanted(run_as="0"), {"runAsUser": 0}, "baseline"),
    ],
)
def test_who_runs_it(image: Image, wanted: Wanted, pod: dict[str, int], standard: str) -> None:
    found = choose(image, wanted)
    assert pod.items() <= found.pod.items()
    assert found.pod_security == standard
    assert found.pod_security in found.line
    assert ("runAsUser" in found.pod) == ("runAsUser" in pod)
    opened = image.ports[0] < 1024 and pod.get("runAsUser") != 0
    assert found.pod.get("sysctls") == (
        [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}] if opened else None
    )


def test_a_named_user_is_told_of() -> None:
    said = choose(Image((8080,), "www-data"), Wanted()).line
    assert "USER www-data is a name" in said
    assert "site_run_as" in said


def test_what_is_set_comes_first() -> None:
    wanted = Wanted(8000, "", "7", read_only=False, writable=("/data",), resources={"limits": {"cpu": "1"}})
    found = choose(OWN, wanted)
    assert (found.port, found.health_path, found.writable) == (8000, "", ["/data"])
    assert found.resources == {"limits": {"cpu": "1"}}
    assert not found.container["readOnlyRootFilesystem"]
    assert "port 8000 (site_container_port)" in found.line


@pytest.mark.parametrize(
    ("image", "wanted", "said"),
    [
        (Image(), Wanted(), "exposes no port: set site_container_port"),
        (Image((80, 443)), Wanted(), "exposes the ports 80, 443: set site_container_port"),
        (NGINX, Wanted(port=0), "site_container_port is 0"),
        (NGINX, Wanted(port=65536), "site_container_port is 65536"),
        (NGINX, Wanted(health_path="up"), "site_health_path is 'up'"),
        (NGINX, Wanted(run_as="nginx"), "site_run_as is 'nginx'"),
        (NGINX, Wanted(writable=("tmp",)), "site_writable has 'tmp'"),
    ],
)
def test_what_has_to_be_said(image: Image, wanted: Wanted, said: str) -> None:
    with pytest.raises(UserError, match=said):
        choose(image, wanted)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    config = json.dumps({"ExposedPorts": {"80/tcp": {}}})
    assert cli.main(["--json", "application", "--config", config, "--wanted", '{"port": 81}']) == 0
    assert json.loads(capsys.readouterr().out)["data"]["port"] == 81


@pytest.mark.parametrize(
    ("given", "said"), [("{", "no JSON"), ("[]", "no JSON object"), ('{"ports": 1}', "--wanted has ports")]
)
def test_the_command_refuses(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["application", "--config", "{}", "--wanted", given]) == 2
    assert said in capsys.readouterr().err
