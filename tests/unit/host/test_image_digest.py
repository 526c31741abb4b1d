from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import docker
import pytest

from failover_lab.errors import UserError
from failover_lab.host import image_digest

if TYPE_CHECKING:
    from pathlib import Path

NAME = "reg.example:5000/team/site:1"
REGISTRY = "reg.example:5000"
DIGEST = f"sha256:{'a' * 64}"


def config(path: Path, *registries: str) -> str:
    auth = base64.b64encode(b"lab:secret").decode()
    (path / "config.json").write_text(json.dumps({"auths": {name: {"auth": auth} for name in registries}}))
    return str(path)


class Engine:
    """Stands for a container engine that answers so to the one question that is asked of it."""

    def __init__(self, answer: Exception | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.closed = False
        self.api = self

    def inspect_distribution(self, name: str, auth_config: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((name, auth_config))
        if self.answer:
            raise self.answer
        return {"Descriptor": {"digest": DIGEST}}

    def close(self) -> None:
        self.closed = True


def engine(monkeypatch: pytest.MonkeyPatch, answer: Exception | None = None) -> Engine:
    made = Engine(answer)
    monkeypatch.setattr(docker, "from_env", lambda: made)
    return made


def test_the_digest_is_asked_for_with_the_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = engine(monkeypatch)
    assert image_digest.digest_of(NAME, config(tmp_path, REGISTRY, "other.example")) == DIGEST
    ((name, login),) = asked.asked
    assert name == NAME
    assert (login["username"], login["password"]) == ("lab", "secret")
    assert asked.closed


def test_another_registry_s_login_is_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = engine(monkeypatch)
    image_digest.digest_of(NAME, config(tmp_path, "other.example"))
    assert asked.asked == [(NAME, {})]


def test_docker_hub_s_login_is_filed_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = engine(monkeypatch)
    image_digest.digest_of("docker.io/team/site:1", config(tmp_path, "https://index.docker.io/v1/"))
    assert asked.asked[0][1]["username"] == "lab"


def test_an_image_that_is_not_there_has_no_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine(monkeypatch, docker.errors.APIError("x", explanation="manifest unknown: manifest unknown"))
    assert image_digest.digest_of(NAME, config(tmp_path, REGISTRY)) == ""


def test_a_refused_login_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine(monkeypatch, docker.errors.APIError("x", explanation="unauthorized: authentication required"))
    with pytest.raises(UserError, match=r"reg\.example:5000 refused the login of lab"):
        image_digest.digest_of(NAME, config(tmp_path, REGISTRY))


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise docker.errors.DockerException("no such file")

    monkeypatch.setattr(docker, "from_env", refuse)
    with pytest.raises(UserError, match="container engine does not answer"):
        image_digest.digest_of(NAME, None)


def test_a_name_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch)
    with pytest.raises(UserError, match="is no name of an image"):
        image_digest.digest_of("https://reg.example/site", None)


@pytest.mark.filterwarnings("ignore:docker-credential")
def test_a_broken_credential_helper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine(monkeypatch)
    (tmp_path / "config.json").write_text('{"credsStore": "surely-not-installed"}')
    with pytest.raises(UserError, match="cannot be read"):
        image_digest.digest_of(NAME, str(tmp_path))


@pytest.mark.parametrize(
    ("status", "said", "username"),
    [
        (404, "anything", None),
        (500, "manifest unknown: manifest unknown", None),
        (500, "name unknown: repository name not known to registry", "lab"),
        (500, "denied: requested access to the resource is denied", "lab"),
        (500, "unauthorized: access to the requested resource is not authorized", "lab"),
    ],
)
def test_not_there(status: int, said: str, username: str | None) -> None:
    image_digest.judge(status, said, REGISTRY, username)


@pytest.mark.parametrize(
    ("status", "said", "username", "message"),
    [
        (500, 'Head "http://x/v2/a/manifests/x": no basic auth credentials', None, "There is no login for"),
        (500, "denied: requested access to the resource is denied", None, "There is no login for"),
        (401, "unauthorized: authentication required", "lab", "refused the login of lab"),
        (500, "unauthorized: incorrect username or password", "lab", "refused the login of lab"),
        (
            500,
            'Get "http://x/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
            "lab",
            "does not answer",
        ),
        (500, "dial tcp: lookup reg.example on 10.0.0.1:53: no such host", None, "does not answer"),
        (500, "context deadline exceeded", None, "does not answer"),
        (500, "http: server gave HTTP response to HTTPS client", None, "does not answer"),
        (500, "toomanyrequests: slow down", "lab", "could not be asked: toomanyrequests"),
    ],
)
def test_no_usable_answer(status: int, said: str, username: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        image_digest.judge(status, said, REGISTRY, username)
