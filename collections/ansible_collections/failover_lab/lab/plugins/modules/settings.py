"""Documentation of the action plugin ``failover_lab.lab.settings``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: settings
short_description: Refuse settings that nothing reads
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Ansible takes any name for a variable, so that C(-e kind=kill) is no error, and the run that follows is
    the default one. This fails with one sentence that names the settings that may have been meant.
  - Refused is a name that no role describes and no task mentions, if it is a slip of a letter away from a
    setting, wherever it was set; and with C(-e), if it begins as the lab's names do (with the name of a role,
    C(lab_), C(failover_), C(teardown_)), or is a part of a setting's name.
  - Every other name is left alone; a play around those of the lab, and an inventory, may have some of their
    own.
extends_documentation_fragment: failover_lab.lab.shared.reading
"""

EXAMPLES = r"""
- name: Settings have the names that are read
  failover_lab.lab.settings:
"""

RETURN = r"""
msg:
  description: Which names, and what may have been meant.
  type: str
  returned: on failure
"""
