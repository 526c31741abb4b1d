"""A module of kubernetes.core whose requests, which know no time-out, come to an end all the same."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.failover_lab.lab.plugins.plugin_utils.controller import ControllerAction

from failover_lab.run import lifetime

#: A handful of requests takes a second, of a busy cluster some more.
REQUESTS_S = 60.0
#: What kubernetes.core waits for by itself where a task says ``wait`` and no more.
WAIT_S = 120.0
_PREFIX = "failover_lab.lab."


def parents() -> dict[int, int]:
    """The parent of every process of this machine; none where there is no ``/proc``."""
    return {pid: lifetime.parent(pid) for path in Path("/proc").glob("[0-9]*") for pid in [int(path.name)]}


def end_children(of: int) -> None:
    """End whatever a process has started, and what that has."""
    everybody = parents()
    doomed = {of}
    while more := {pid for pid, parent in everybody.items() if parent in doomed} - doomed:
        doomed |= more
    for pid in doomed - {of}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def ended_after(seconds: float, of: int) -> Iterator[threading.Event]:
    """End what a process has started, once the time is up; the event says whether it was."""
    up = threading.Event()

    def end() -> None:
        up.set()
        end_children(of)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield up
    finally:
        timer.cancel()


class ActionModule(ControllerAction):
    """Run the module of kubernetes.core that has this one's name."""

    _requires_connection = True

    def work(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Run the module; where it failed because of the cluster, a sentence names the cause."""
        arguments = dict(self._task.args)
        provider = arguments.pop("provider", "minikube")
        timeout_s = float(arguments.pop("requests_s", REQUESTS_S))
        if str(arguments.get("wait", False)).lower() in ("true", "yes", "1"):
            timeout_s += float(arguments.get("wait_timeout", WAIT_S))
        with ended_after(timeout_s, os.getpid()) as up:
            answer = self._execute_module(f"kubernetes.core.{self.name}", arguments, task_vars=variables)
        # What a module that was ended says of itself is of no use to anybody.
        result: dict[str, Any] = {"failed": True, "changed": False} if up.is_set() else answer
        if result.get("failed"):
            reaching = self._reaching(arguments) | {"provider": provider}
            # It knows every cause by its name, and what to do.
            asked = self._execute_module(f"{_PREFIX}cluster_answers", reaching, task_vars=variables)
            if asked.get("failed"):
                result["msg"] = asked["msg"]
            elif up.is_set():
                result["msg"] = (
                    f"The cluster {reaching['context']} was busy for {timeout_s:.0f} s with what it was "
                    "asked for, and answers again: run this again."
                )
        return result

    def _reaching(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """By what the module reached the cluster: arguments, or what kubernetes.core reads in their place."""
        environment = self.environment()
        told = {
            name: arguments.get(name) or environment.get(f"K8S_AUTH_{name.upper()}")
            for name in ("context", "kubeconfig")
        }
        return {name: value for name, value in told.items() if value}
