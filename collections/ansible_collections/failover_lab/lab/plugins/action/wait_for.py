"""The action plugin ``failover_lab.lab.wait_for``, documented in plugins/modules/wait_for.py."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display
from ansible_collections.failover_lab.lab.plugins.module_utils.arguments import WAITING
from ansible_collections.failover_lab.lab.plugins.plugin_utils import aloud, waiting

display = Display()
OWN = WAITING | {"says": {"type": "list", "elements": "str", "default": []}}


class ActionModule(waiting.ActionModule):
    """Run Ansible's own wait_for and tell."""

    def _execute_module(self, **keywords: Any) -> dict[str, Any]:  # noqa: ANN401 - Ansible's
        theirs = {name: value for name, value in self._task.args.items() if name not in OWN}
        _, own = self.validate_argument_spec(OWN | {name: {"type": "raw"} for name in theirs})
        # What a result shows is quoted and folded, and could not be typed as it stands.
        if not self._task.no_log and not self._task.check_mode:
            for line in own["says"]:
                aloud.say(line, display.display)
        result: dict[str, Any] = super()._execute_module(
            module_name="ansible.builtin.wait_for", module_args=theirs, **keywords
        )
        return result
