"""An action plugin of a module's name that runs it and tells, while it waits, what it waits for."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.plugins.action.normal import ActionModule as Normal
from ansible.utils.display import Display
from ansible_collections.failover_lab.lab.plugins.plugin_utils import timing, witness

display = Display()


class ActionModule(Normal):
    """Run the module as if there were no action plugin, with a line on the terminal every few seconds."""

    def words(self, arguments: Mapping[str, Any]) -> str:
        """What the module waits for, where the task does not say.

        Args:
            arguments: The task's arguments, not validated yet.
        """
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: Unused; Ansible hands it over to every action.
            task_vars: The task's variables.

        Returns:
            The module's result.
        """
        with self._telling():
            result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        arguments = self._task.args
        try:
            interval_s = min(max(0.1, float(arguments.get("interval_s", 5))), threading.TIMEOUT_MAX)
        except (TypeError, ValueError):
            # The module itself says what is wrong with it.
            interval_s = threading.TIMEOUT_MAX
        # An argument may be what no_log is there for.
        waits_for = "it" if self._task.no_log else arguments.get("waits_for") or self.words(arguments)
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
    while not over.wait(interval_s) and os.getppid() == parent:
        so_far = witness.figures(run_dir) or timing.duration(time.monotonic() - began)
        display.display(f"  … {so_far}; waiting for {waits_for}")
