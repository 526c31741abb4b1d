"""Asks a registry, through the container engine, for the digest of an image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from failover_lab.errors import UserError

ABSENT = re.compile(r"(manifest|name|repository name).{0,20}(unknown|not known)|not found", re.IGNORECASE)
REFUSED = re.compile(r"no basic auth|unauthorized|denied|not authorized|forbidden", re.IGNORECASE)
# Docker Hub's and Quay's words for "no such repository", said to a user whose password they have accepted.
ABSENT_OR_REFUSED = re.compile(
    r"access to the (requested )?resource is (denied|not authorized)", re.IGNORECASE
)
SILENT = re.compile(
    r"dial tcp|no such host|connection re|time-?out|timed out|deadline exceeded|EOF|TLS|x509|to HTTPS client",
    re.IGNORECASE,
)


def judge(status: int | None, said: str, registry: str, username: str | None) -> None:
    """Take a refused question for what it is: return if the image is not there.

    Args:
        status: of the engine's answer; it is often 500, whatever the registry said.
        said: the engine's words, which hold the registry's.
        registry: the name of the registry, for the message.
        username: with which the question was asked; None if without a login.

    Raises:
        UserError: for any other reason.
    """
    if status == 404 or ABSENT.search(said):
        return
    if username is not None and ABSENT_OR_REFUSED.search(said):
        return
    if status in (401, 403) or REFUSED.search(said):
        if username is None:
            raise UserError(
                f"There is no login for {registry}: log in first, or name the right docker_config."
            )
        raise UserError(f"{registry} refused the login of {username}: check the user name and the password.")
    if SILENT.search(said):
        raise UserError(f"{registry} does not answer: check its name and the network. ({said})")
    raise UserError(f"{registry} could not be asked: {said}")


def login_for(registry: str, docker_config: str | None) -> dict[str, Any]:
    """The login that a docker configuration holds for a registry; empty if none.

    Raises:
        UserError: the configuration cannot be read, or its credential helper failed.
    """
    import docker  # noqa: PLC0415

    path = str(Path(docker_config) / "config.json") if docker_config else None
    try:
        found = docker.auth.load_config(config_path=path).resolve_authconfig(registry)
    except (OSError, ValueError, docker.errors.DockerException) as error:
        raise UserError(
            f"The login for {registry} cannot be read from the docker configuration: {error}"
        ) from error
    return dict(found or {})


def digest_of(name: str, docker_config: str | None) -> str:
    """The digest of an image in its registry; empty if it is not there.

    Raises:
        UserError: engine or registry gave no usable answer.
    """
    try:
        import docker  # noqa: PLC0415  its import takes a while
    except ImportError as error:
        raise UserError("The Python package docker is missing: run `make env`.") from error
    try:
        engine = docker.from_env()
    except docker.errors.DockerException as error:
        raise UserError(f"The container engine does not answer: start it. ({error})") from error
    try:
        registry, _ = docker.auth.resolve_repository_name(name)
        login = login_for(registry, docker_config)
        answer = engine.api.inspect_distribution(name, auth_config=login)
    except docker.errors.InvalidRepository as error:
        raise UserError(f"{name} is no name of an image: {error}") from error
    except docker.errors.APIError as error:
        username = login.get("username") or login.get("Username") or ("a token" if login else None)
        judge(error.status_code, str(error.explanation or error), registry, username)
        return ""
    finally:
        engine.close()
    return str(answer["Descriptor"]["digest"])
