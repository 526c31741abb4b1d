"""The table of fault kinds, for roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from failover_lab.errors import UserError
from failover_lab.faults import kinds

DOCUMENTATION = r"""
name: fault_kinds
short_description: The kinds of fault, and what holds for each
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Reads the package's table, src/failover_lab/faults/kinds.yml, where each column is explained.
options:
  _terms:
    description: None are taken.
"""

EXAMPLES = r"""
- name: Say what kinds there are
  ansible.builtin.debug:
    msg: "{{ lookup('failover_lab.lab.fault_kinds') | dict2items | map(attribute='key') | list }}"
"""

RETURN = r"""
_raw:
  description:
    - One dict of dicts, by name. Each has the columns of the table, and what follows from them.
    - C(takes_node) (bool, the node itself is broken), C(moves_pods) (bool, its pods have to find a place
      elsewhere), C(spares_node) (bool, it goes on as if nothing were), C(polite) (bool, everybody is
      told in time), C(in_place) (bool, its pods' containers start again where they were), C(comes_back)
      (bool, the machine does so by itself), C(replaces_pods) (bool, new pods take
      the place of those that it strikes), C(recoveries) and C(returns) (lists of str, what fault_recovery and
      fault_node_return may be) and C(shown_by) (who shows the symptom, V(cluster), V(engine) or V(node)).
  type: list
  elements: dict
"""


class LookupModule(LookupBase):
    """Look them up in the package."""

    def run(
        self, terms: Sequence[str], variables: dict[str, Any] | None = None, **options: object
    ) -> list[dict[str, dict[str, Any]]]:
        """The whole table.

        Args:
            terms: none.
            variables: of the task.
            options: none.

        Raises:
            AnsibleError: there are terms, or the table is not as it should be.
        """
        self.set_options(var_options=variables, direct=options)
        if terms:
            raise AnsibleError("fault_kinds takes no terms: it gives the whole table")
        try:
            return [{name: kind.row() for name, kind in kinds.table().items()}]
        except UserError as error:
            raise AnsibleError(str(error)) from error
