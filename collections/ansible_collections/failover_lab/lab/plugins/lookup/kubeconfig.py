"""The files of KUBECONFIG that concern a context."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

from failover_lab.kube import kubeconfig

DOCUMENTATION = r"""
name: kubeconfig
short_description: Which files of KUBECONFIG are read or written to, as kubectl takes them
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Paths are absolute afterwards. Files that are missing or empty are passed over.
options:
  _terms:
    description: The name of the context.
    required: true
  provider:
    description:
      - With V(existing), all files that there are, between colons. With V(minikube), the one in which the
        context is or would be put, which kubectl puts into the first that there is, else into the last.
    type: str
    choices: [minikube, existing]
    default: minikube
  trouble:
    description: Of this path, why it cannot be written to, instead; empty if it can.
    type: str
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ lookup('failover_lab.lab.kubeconfig', 'failover-lab') }}"
"""

RETURN = r"""
_raw:
  description: For each context one text.
  type: list
  elements: str
"""


class LookupModule(LookupBase):
    """Look them up in the environment of the play."""

    def run(
        self, terms: Sequence[str], variables: dict[str, Any] | None = None, **options: object
    ) -> list[str]:
        """One answer a context.

        Args:
            terms: names of contexts.
            variables: of the task.
            options: as documented.
        """
        self.set_options(var_options=variables, direct=options)
        if asked := self.get_option("trouble"):
            return [kubeconfig.trouble(Path(asked))] * len(terms)
        home = os.environ.get("HOME") or str(Path("~").expanduser())
        paths = kubeconfig.named(os.environ.get("KUBECONFIG", ""), home)
        if self.get_option("provider") == "existing":
            return [os.pathsep.join(map(str, kubeconfig.read(paths) or paths))] * len(terms)
        return [str(kubeconfig.written(paths, term)) for term in terms]
