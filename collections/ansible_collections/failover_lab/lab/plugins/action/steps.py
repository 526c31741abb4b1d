"""The action plugin ``failover_lab.lab.steps``, documented in plugins/modules/steps.py."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display
from ansible_collections.failover_lab.lab.plugins.plugin_utils import aloud, running, steps, timing
from ansible_collections.failover_lab.lab.plugins.plugin_utils.controller import ControllerAction, TaskError

display = Display()

STEP: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "label": {"type": "str", "required": True},
    "argv": {"type": "list", "elements": "str", "required": True},
    "environment": {"type": "dict", "default": {}},
    "chdir": {"type": "path"},
    "log": {"type": "path"},
    "needs": {"type": "list", "elements": "str", "default": []},
    "nice": {"type": "int", "default": 0},
    "kind": {"type": "str", "default": ""},
    "expected_s": {"type": "float", "required": True},
    "done": {"type": "bool", "default": False},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "steps": {"type": "list", "elements": "dict", "options": STEP, "required": True},
    "at_once": {"type": "dict", "default": {}},
    "interval_s": {"type": "float", "default": 10.0},
}


class Teller:
    """Puts lines on the terminal, through Ansible's own display.

    Args:
        plan: What there is to tell about.
    """

    def __init__(self, plan: steps.Plan) -> None:
        """Nothing is told yet."""
        self._plan = plan

    def tick(self, elapsed_s: float) -> None:
        """Tell what runs, how far all is, and about how long is left."""
        now = ", ".join(step.label for step in self._plan.running)
        aloud.say(f"  … {now} ({self._far(elapsed_s)})", display.display)

    def done(self, elapsed_s: float, step: steps.Step, outcome: running.Outcome) -> None:
        """Tell that a step is done."""
        aloud.say(
            f"  … done after {timing.duration(outcome.elapsed_s)}: {step.label} ({self._far(elapsed_s)})",
            display.display,
        )

    def _far(self, elapsed_s: float) -> str:
        far = f"{self._plan.count} of {len(self._plan.steps)} done, {timing.duration(elapsed_s)}"
        left_s = self._plan.left_s(elapsed_s)
        return f"{far}, about {timing.about(left_s)} left" if left_s else far


class ActionModule(ControllerAction):
    """Run several local commands beside each other and tell how far they are."""

    def work(self, _variables: dict[str, Any]) -> dict[str, Any]:
        """Run what is not done yet; plugins/modules/steps.py documents the result."""
        _, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        self.as_oneself()
        rows = [
            steps.Step(**row | {"environment": self.environment(row["environment"])})
            for row in arguments["steps"]
        ]
        try:
            plan = steps.Plan(rows, {kind: int(limit) for kind, limit in arguments["at_once"].items()})
        except ValueError as error:
            raise TaskError(str(error)) from error
        result = {"changed": bool(plan.steps), "steps": [step.name for step in plan.steps]}
        if self._task.check_mode:
            for step in plan.steps:
                aloud.say(f"  … would be made: {step.label}", display.display)
            return result
        teller = Teller(plan)
        try:
            steps.run(plan, interval_s=arguments["interval_s"], tick=teller.tick, done=teller.done)
        except steps.StepError as failed:
            return result | {"failed": True, "msg": self._complaint(failed)}
        except (running.Interrupted, running.Orphaned) as end:
            running.hand_on(end)
            return result | {"failed": True, "msg": "the steps were interrupted"}
        return result

    @staticmethod
    def _complaint(failed: steps.StepError) -> str:
        label = failed.step.label
        if failed.outcome is None:
            return f"{label} could not be run: {failed}"
        return running.complaint(label, failed.outcome, log=failed.step.log)
