"""An action plugin of a module's name that runs it and tells, while it waits, what it waits for."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.plugins.action.normal import ActionModule as Normal
from ansible.utils.display import Display
from ansible_collections.failover_lab.lab.plugins.plugin_utils import aloud, telling, timing, witness

display = Display()

# What happens in a run is told as soon as it is known.
_LOOK_S = 0.5


def _cluster_ready(arguments: Mapping[str, Any]) -> str:
    workloads = " and what runs on all of them" if arguments.get("workloads") else ""
    return f"{arguments.get('nodes', 1)} ready nodes{workloads}"


def _namespace_gone(arguments: Mapping[str, Any]) -> str:
    return f"the namespace {arguments.get('namespace')} to be gone"


def _nodes_back(arguments: Mapping[str, Any]) -> str:
    nodes = arguments.get("nodes")
    names = [node.get("name") for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return f"{', '.join(map(str, names)) or 'the nodes'} to carry work"


def _rollout(arguments: Mapping[str, Any]) -> str:
    lost = arguments.get("without_nodes")
    elsewhere = f" on other nodes than {', '.join(map(str, lost))}" if lost and isinstance(lost, list) else ""
    return f"every pod of {arguments.get('deployment') or 'the application'}{elsewhere}"


#: What each module waits for, where the task does not say. Its arguments may be of any shape yet.
WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "cluster_ready": _cluster_ready,
    "namespace_gone": _namespace_gone,
    "nodes_back": _nodes_back,
    "rollout": _rollout,
    "wait_for": lambda arguments: str(arguments.get("path")),
}


class ActionModule(Normal):
    """Run the module as if there were no action plugin, with a line on the terminal every few seconds."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task as ever; gives back the module's result."""
        with self._telling():
            result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _words(self, arguments: Mapping[str, Any]) -> str:
        return WORDS[str(self._task.action).rpartition(".")[2]](arguments)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        arguments = self._task.args
        try:
            interval_s = min(max(0.1, float(arguments.get("interval_s", 5))), threading.TIMEOUT_MAX)
        except (TypeError, ValueError):
            # The module itself says what is wrong with it.
            interval_s = threading.TIMEOUT_MAX
        # An argument may be what no_log is there for.
        waits_for = "it" if self._task.no_log else arguments.get("waits_for") or self._words(arguments)
        over = threading.Event()
        teller = threading.Thread(
            target=_tell,
            args=(over, interval_s, str(waits_for), arguments.get("run_dir")),
            # Nobody waits for a line that cannot be put anywhere any more.
            daemon=True,
        )
        teller.start()
        try:
            yield
        finally:
            over.set()
            # No line comes after the result.
            teller.join(1)


def _tell(over: threading.Event, interval_s: float, waits_for: str, run_dir: str | None) -> None:
    # Signals are the main thread's, which has to wake up from its wait for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    began, parent = time.monotonic(), os.getppid()
    story = telling.Story(run_dir)
    pace = telling.Pace(interval_s, telling.MOST_IN_A_RUN_S if story.ahead() else telling.MOST_S)
    while not over.wait(min(interval_s, _LOOK_S)) and os.getppid() == parent:
        elapsed_s = time.monotonic() - began
        story.tell(pace, elapsed_s, display.display)
        if pace.is_due(elapsed_s):
            so_far = witness.figures(run_dir) or timing.duration(elapsed_s)
            aloud.say(f"  … {so_far}; waiting for {story.ahead() or waits_for}", display.display)
