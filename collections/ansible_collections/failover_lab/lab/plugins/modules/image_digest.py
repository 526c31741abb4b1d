"""Asks a registry, through the container engine, for the digest of an image."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import docker
except ImportError:
    docker = None
    MISSING = traceback.format_exc()

DOCUMENTATION = r"""
module: image_digest
short_description: Ask a registry for the digest of an image
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Says whether a registry holds an image, and by which digest, without pulling it.
  - The question goes through the container engine, so that it is answered by the same rules as a push, be it
    by a token service or by a registry on loopback without TLS.
  - The login comes from a docker configuration, so that no password is an argument.
options:
  name:
    description: The image with its tag, V(registry/repository/name:tag).
    type: str
    required: true
  docker_config:
    description: The directory of the C(config.json) that holds the login. By default the usual one.
    type: path
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode.
"""

EXAMPLES = r"""
- name: Is it there already?
  failover_lab.lab.image_digest:
    name: registry.example.org/team/site:1.0
  register: found
"""

RETURN = r"""
exists:
  description:
    - Whether the registry holds the image. Some registries answer to a question for a repository that is not
      made yet as if access were denied; with a login, that counts as not there; a push will tell.
  type: bool
  returned: success
digest:
  description: The digest, C(sha256:…); empty if the registry does not hold the image.
  type: str
  returned: success
"""

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


class NotKnown(Exception):  # noqa: N818 - not an error of the program, but an answer that did not come
    """The registry gave no usable answer; the message says why and what to do."""


def judge(status: int | None, said: str, registry: str, username: str | None) -> None:
    """Take a refused question for what it is: return if the image is not there.

    Args:
        status: of the engine's answer; it is often 500, whatever the registry said.
        said: the engine's words, which hold the registry's.
        registry: the name of the registry, for the message.
        username: with which the question was asked; None if without a login.

    Raises:
        NotKnown: for any other reason.
    """
    if status == 404 or ABSENT.search(said):
        return
    if username is not None and ABSENT_OR_REFUSED.search(said):
        return
    if status in (401, 403) or REFUSED.search(said):
        if username is None:
            raise NotKnown(
                f"There is no login for {registry}: log in first, or name the right docker_config."
            )
        raise NotKnown(f"{registry} refused the login of {username}: check the user name and the password.")
    if SILENT.search(said):
        raise NotKnown(f"{registry} does not answer: check its name and the network. ({said})")
    raise NotKnown(f"{registry} could not be asked: {said}")


def login_for(registry: str, docker_config: str | None) -> dict[str, Any]:
    """The login that a docker configuration holds for a registry; empty if none.

    Raises:
        NotKnown: the configuration cannot be read, or its credential helper failed.
    """
    path = str(Path(docker_config) / "config.json") if docker_config else None
    try:
        found = docker.auth.load_config(config_path=path).resolve_authconfig(registry)
    except (OSError, ValueError, docker.errors.DockerException) as error:
        raise NotKnown(
            f"The login for {registry} cannot be read from the docker configuration: {error}"
        ) from error
    return dict(found or {})


def digest_of(name: str, docker_config: str | None) -> str:
    """The digest of an image in its registry; empty if it is not there.

    Raises:
        NotKnown: engine or registry gave no usable answer.
    """
    try:
        engine = docker.from_env()
    except docker.errors.DockerException as error:
        raise NotKnown(f"The container engine does not answer: start it. ({error})") from error
    try:
        registry, _ = docker.auth.resolve_repository_name(name)
        login = login_for(registry, docker_config)
        answer = engine.api.inspect_distribution(name, auth_config=login)
    except docker.errors.InvalidRepository as error:
        raise NotKnown(f"{name} is no name of an image: {error}") from error
    except docker.errors.APIError as error:
        username = login.get("username") or login.get("Username") or ("a token" if login else None)
        judge(error.status_code, str(error.explanation or error), registry, username)
        return ""
    finally:
        engine.close()
    return str(answer["Descriptor"]["digest"])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "docker_config": {"type": "path"}},
        supports_check_mode=True,
    )
    if docker is None:
        module.fail_json(msg=missing_required_lib("docker"), exception=MISSING)
    try:
        digest = digest_of(module.params["name"], module.params["docker_config"])
    except NotKnown as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, exists=bool(digest), digest=digest)


if __name__ == "__main__":
    main()
