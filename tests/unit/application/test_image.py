from __future__ import annotations

from typing import Any

import pytest

from failover_lab.application import image
from failover_lab.errors import UserError


@pytest.mark.parametrize(
    ("exposed", "ports"),
    [
        ({"80/tcp": {}}, (80,)),
        ({"8443/tcp": {}, "8080": {}, "53/udp": {}}, (8080, 8443)),
        ({"53/udp": {}, "5004/sctp": {}}, ()),
        (None, ()),
    ],
)
def test_the_ports_that_users_could_ask(exposed: Any, ports: tuple[int, ...]) -> None:
    assert image.read({"ExposedPorts": exposed}).ports == ports


@pytest.mark.parametrize(
    ("user", "uid", "group"),
    [
        (None, 0, ""),
        ("", 0, ""),
        ("root", 0, ""),
        ("0:0", 0, "0"),
        ("101", 101, ""),
        ("65532:65533", 65532, "65533"),
        ("nginx", None, ""),
        ("www-data:www-data", None, "www-data"),
    ],
)
def test_whose_processes_they_are(user: str | None, uid: int | None, group: str) -> None:
    found = image.read({"User": user})
    assert (found.uid, found.group) == (uid, group)
    assert found.is_root == (uid == 0)


@pytest.mark.parametrize(
    ("test", "path"),
    [
        (["CMD-SHELL", "curl -f http://localhost:8080/health || exit 1"], "/health"),
        (["CMD", "wget", "-qO-", "http://127.0.0.1/ready?full=1"], "/ready"),
        (["CMD-SHELL", "curl -fsS 'https://localhost'"], "/"),
        (["CMD-SHELL", "curl http://[::1]:80/up;true"], "/up"),
        (["CMD-SHELL", "it's broken http://localhost/still"], "/still"),
        (["CMD", "/bin/health"], ""),
        (["CMD-SHELL", "curl http://elsewhere.example.org/health"], ""),
        (["NONE"], ""),
        ([], ""),
    ],
)
def test_what_a_health_check_asks(test: list[str], path: str) -> None:
    assert image.read({"Healthcheck": {"Test": test}}).health_path == path


def test_labels_say_the_rest() -> None:
    labels = {
        "failover-lab.health-path": "/healthz",
        "failover-lab.identity-path": "/whoami",
        "failover-lab.read-only": "true",
        "failover-lab.writable": "/tmp /run",
    }
    check = {"Test": ["CMD-SHELL", "curl http://localhost/other"]}
    found = image.read({"Labels": labels, "Healthcheck": check})
    assert (found.health_path, found.identity_path) == ("/healthz", "/whoami")
    assert found.read_only
    assert found.writable == ("/tmp", "/run")


@pytest.mark.parametrize(
    ("label", "value"), [("health-path", "healthz"), ("identity-path", "x"), ("read-only", "perhaps")]
)
def test_a_label_that_cannot_be(label: str, value: str) -> None:
    with pytest.raises(UserError, match=f"label failover-lab.{label} is '{value}'"):
        image.read({"Labels": {f"failover-lab.{label}": value}})
