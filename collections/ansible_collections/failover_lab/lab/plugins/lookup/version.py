"""What versions.yml pins."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: version
short_description: A version that is pinned in versions.yml
version_added: 0.2.0
author:
  - The failover-lab authors
description:
  - The file is at the top of the repository that this collection is part of.
options:
  _terms:
    description: The name of what is pinned.
    required: true
  field:
    description: Which of its fields, if not the version itself.
    type: str
    default: version
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ lookup('failover_lab.lab.version', 'metallb', field='checksum') }}"
"""

RETURN = r"""
_raw:
  description: For each name one text.
  type: list
  elements: str
"""

# By whichever link the collection is found.
HOME = Path(__file__).resolve().parents[6] / "versions.yml"


@functools.cache
def pins(path: Path) -> dict[str, dict[str, Any]]:
    """All that is pinned, by name.

    Args:
        path: The file.

    Raises:
        AnsibleLookupError: it cannot be read.
    """
    try:
        found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise AnsibleLookupError(
            f"{path}, which names the pinned versions, cannot be read: {error}. "
            "The collection failover_lab.lab works within its repository: take it from there."
        ) from None
    return found


class LookupModule(LookupBase):
    """Look it up in the repository."""

    def run(
        self, terms: Sequence[str], variables: dict[str, Any] | None = None, **options: object
    ) -> list[str]:
        """One text a name.

        Args:
            terms: names of what is pinned.
            variables: of the task.
            options: as documented.

        Raises:
            AnsibleLookupError: there is no such name, or it has no such field.
        """
        self.set_options(var_options=variables, direct=options)
        field = self.get_option("field")
        found = pins(HOME)
        for term in terms:
            if term not in found:
                raise AnsibleLookupError(f"{HOME} pins no {term}: it pins {', '.join(found)}")
            if field not in found[term]:
                raise AnsibleLookupError(f"{HOME} has no {field} of {term}: it has {', '.join(found[term])}")
        return [str(found[term][field]) for term in terms]
