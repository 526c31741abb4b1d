"""Where the files of a run, and of a lab's state, are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from failover_lab.run.layout import Lab, Run

DOCUMENTATION = r"""
name: layout
short_description: The paths of a run's files, or of those that a lab keeps
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - The names of these files are written down once, in C(failover_lab.run.layout); these are their paths.
options:
  _terms:
    description:
      - V(run) for the files of a run's folder, V(lab) for those that a lab keeps from one run to the next.
    required: true
  path:
    description: The folder. Where it is empty, the one in which the lab of O(profile) keeps its state.
    type: str
  profile:
    description: The name of the lab, where there is no O(path).
    type: str
"""

EXAMPLES = r"""
- name: Ask the processes of a run to end
  ansible.builtin.file:
    path: "{{ lookup('failover_lab.lab.layout', 'run', path=run_dir).stop }}"
    state: touch
    mode: "0644"

- name: Say where the lab keeps its state
  ansible.builtin.debug:
    msg: "{{ lookup('failover_lab.lab.layout', 'lab', profile='failover-lab').directory }}"
"""

RETURN = r"""
_raw:
  description: For each term the paths, by what they are for; C(directory) is the folder's own.
  type: list
  elements: dict
"""


class LookupModule(LookupBase):
    """Give the paths of a folder's files."""

    def run(
        self, terms: Sequence[str], variables: dict[str, Any] | None = None, **options: object
    ) -> list[dict[str, str]]:
        """One answer a term.

        Args:
            terms: ``run`` or ``lab``.
            variables: of the task.
            options: as documented.
        """
        self.set_options(var_options=variables, direct=options)
        path, profile = self.get_option("path"), self.get_option("profile")
        return [self._folder(term, path, profile).paths() for term in terms]

    @staticmethod
    def _folder(term: str, path: str | None, profile: str | None) -> Lab | Run:
        if term == "run" and path is not None:
            return Run(Path(path))
        if term == "lab" and (path or profile):
            return Lab(Path(path)) if path else Lab.of(str(profile))
        raise AnsibleError(f"No folder is known by {term}: give run or lab, and path=, or profile= of a lab.")
