"""Asks a registry, through the container engine, for the digest of an image."""

from __future__ import annotations

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
extends_documentation_fragment: failover_lab.lab.shared.reading
options:
  name:
    description: The image with its tag, V(registry/repository/name:tag).
    type: str
    required: true
  docker_config:
    description: The directory of the C(config.json) that holds the login. By default the usual one.
    type: path
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

from ansible.module_utils.basic import AnsibleModule

from failover_lab.errors import UserError
from failover_lab.host.image_digest import digest_of


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "docker_config": {"type": "path"}},
        supports_check_mode=True,
    )
    try:
        digest = digest_of(module.params["name"], module.params["docker_config"])
    except UserError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, exists=bool(digest), digest=digest)


if __name__ == "__main__":
    main()
