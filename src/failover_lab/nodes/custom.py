"""Nodes whose machines a user's own task files reach: plays of Ansible, each of which says how it ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.nodes.driver import OFF, RUNNING, DriverError, Inspected, Listed, NodeState
from failover_lab.run import files, instants
from failover_lab.run.layout import Lab

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from failover_lab.nodes.driver import Shell

_TIMEOUT_S = 180
# A play takes a second of processor time: the watchdog, which asks every second, is told what was known so
# long ago.
_ASK_EVERY_S = 5.0
_OLDEST_S = 30.0
# What is off for certain is not asked again at once.
_CERTAIN_S = 30.0
_STATES = {RUNNING: NodeState.RUNNING, "paused": NodeState.PAUSED, OFF: NodeState.STOPPED}


class TasksError(DriverError):
    """The user's tasks have failed, or say nothing."""

    who = "the folder node_tasks"
    remedy = "what is in it has to work by itself"


class Custom:
    """What a folder of task files can do to nodes.

    Attributes:
        fences: whether there is a ``fence.yml``, which says for certain that a node is off.
        hears_peers: nothing runs in a node by this.
        first_answer_s: tasks may take their time until they have said for the first time how the nodes are.
    """

    name = "custom"
    machine = "machine"
    hears_peers = False
    first_answer_s = 60.0
    who = TasksError.who
    forgets_names = False

    def __init__(
        self,
        profile: str,
        *,
        tasks: str,
        inventory: Collection[str] = (),
        config: str = "",
        hosts: Mapping[str, Mapping[str, str]] | None = None,
        state: str = "",
    ) -> None:
        """Nothing is asked yet.

        Args:
            profile: the cluster's context.
            tasks: the folder.
            inventory: where Ansible has its hosts from.
            config: Ansible's own settings; empty: as it finds them.
            hosts: for each node, what its tasks are told of it.
            state: the lab's folder; empty: the usual one.
        """
        self.profile = profile
        self._tasks = Path(tasks)
        self._inventory = list(inventory)
        self._config = config
        self._hosts = dict(hosts or {})
        self._lab = Lab(Path(state)) if state else Lab.of(profile)
        self._lock = threading.Lock()
        self._known: tuple[float, dict[str, NodeState]] | None = None
        self._off: dict[str, float] = {}
        self.fences = (self._tasks / "fence.yml").is_file()

    def _play(self, action: str, names: Collection[str], fact: str) -> dict[str, Any]:
        """Play one task file for each of these nodes; gives back what each has set a fact to.

        Raises:
            TasksError: it has failed, or there is none.
        """
        path = self._tasks / f"{action}.yml"
        if not path.is_file():
            raise TasksError(f"there is no {path}")
        with tempfile.TemporaryDirectory(prefix="failover-lab-tasks-") as place:
            kept = Path(place) / "kept"
            kept.mkdir()
            book = Path(place) / "play.yml"
            book.write_text(json.dumps([self._book(path, names, fact, kept)]), encoding="utf-8")
            argv = [sys.executable, "-m", "ansible", "playbook", str(book)]
            argv += [f"--inventory={source}" for source in self._inventory]
            more = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
            if self._config:
                more["ANSIBLE_CONFIG"] = self._config
            try:
                done = subprocess.run(
                    argv, env=os.environ | more, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                    timeout=_TIMEOUT_S, check=False,
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                raise TasksError(f"{path.name} of {', '.join(names)} did not end: {error}") from error
            if done.returncode:
                said = [
                    line
                    for line in done.stdout.splitlines()
                    if "fatal:" in line or '"msg"' in line or "msg:" in line
                ]
                why = said[-1].strip()[:200] if said else f"status {done.returncode}"
                raise TasksError(f"{path.name} of {', '.join(names)} has failed: {why}")
            return {name: json.loads((kept / str(number)).read_text()) for number, name in enumerate(names)}

    def _book(self, path: Path, names: Collection[str], fact: str, kept: Path) -> dict[str, Any]:
        tasks: list[dict[str, Any]] = []
        for number, name in enumerate(names):
            host = self._hosts.get(name, {})
            about = {
                "node_name": name,
                "node_host": host.get("host", ""),
                "node_address": host.get("address", ""),
            }
            keep = {
                "dest": str(kept / str(number)),
                "content": f"{{{{ {fact} | default('') | to_json }}}}",
                "mode": "0600",
            }
            tasks += [
                {"ansible.builtin.set_fact": {fact: ""}},
                {"ansible.builtin.include_tasks": str(path), "vars": about},
                {"ansible.builtin.copy": keep},
            ]
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        return {"hosts": "localhost", "gather_facts": False, "vars": local, "tasks": tasks}

    def _states(self, names: Collection[str]) -> dict[str, NodeState]:
        said = self._play("state", names, "node_is")
        return {name: _STATES.get(str(word), NodeState.UNKNOWN) for name, word in said.items()}

    def containers(self) -> dict[str, NodeState]:
        """The state of each node, as it was a few seconds ago.

        Raises:
            TasksError: nobody has said so for long.
        """
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > _ASK_EVERY_S:
                began = time.monotonic()
                try:
                    self._known = began, self._states(list(self._hosts))
                except TasksError:
                    if self._known is None or began - self._known[0] > _OLDEST_S:
                        raise
            return dict(self._known[1])

    def listed(self) -> list[Listed]:
        """The nodes, in whatever state.

        Raises:
            TasksError: nobody says so.
        """
        words = {state: word for word, state in _STATES.items()}
        return [Listed(name, "", words.get(state, "unknown")) for name, state in self.containers().items()]

    def inspect(self, name: str) -> Inspected:
        """One node, asked by itself.

        Raises:
            TasksError: nobody says what state it is in, or that it is off cannot be kept.
        """
        if time.monotonic() - self._off.get(name, -_CERTAIN_S) < _CERTAIN_S:
            return Inspected(NodeState.STOPPED)
        state = self._states([name])[name]
        if state is NodeState.STOPPED:
            # Whoever has turned it off: nothing is to be ended then, and what comes later is of a new start.
            self._keep_off(name)
        # Nobody says since when it runs; but it was off for certain, and what its kubelet has said later was
        # said after its start.
        return Inspected(state, self._fences().get(name, "") if state is NodeState.RUNNING else "")

    def _fences(self) -> dict[str, str]:
        """When each node was last off for certain."""
        try:
            return {str(name): str(at) for name, at in files.read_json(self._lab.fences).items()}
        except UserError:
            return {}

    def kill(self, name: str) -> None:
        """Have a node's machine be off for certain.

        Raises:
            TasksError: nobody says that it is.
        """
        said = self._play("fence", [name], "node_is_off")
        if said[name] is not True:
            raise TasksError(
                f"fence.yml does not say that {name} is off: it has to set the fact node_is_off to true"
            )
        self._off[name] = time.monotonic()
        self._keep_off(name)

    def _keep_off(self, name: str) -> None:
        at = self._fences() | {name: instants.text(time.time())}
        try:
            self._lab.directory.mkdir(parents=True, exist_ok=True)
            files.write_json(self._lab.fences, at)
        except OSError as error:
            raise TasksError(
                f"{name} is off, and {self._lab.fences} cannot be written: {error.strerror}"
            ) from error

    def start(self, name: str) -> None:
        """Start a node.

        Raises:
            TasksError: it could not be started.
        """
        self._off.pop(name, None)
        self._play("start", [name], "node_is")

    def pause(self, name: str) -> None:
        """Stop a node's processes.

        Raises:
            TasksError: it could not be done.
        """
        self._play("pause", [name], "node_is")

    def resume(self, name: str) -> None:
        """Let them go on.

        Raises:
            TasksError: it could not be done.
        """
        self._play("resume", [name], "node_is")

    def events(self) -> Iterator[str]:
        """Nobody tells of what happens."""
        return iter(())

    def stop_events(self) -> None:
        """There are none."""

    def shell(self, name: str, argv: list[str]) -> Shell:
        """Nothing runs in a node by this.

        Raises:
            TasksError: always.
        """
        raise TasksError(
            f"{argv[0]} cannot run in {name}: task files reach machines, and not what is in them"
        )

    def run(self, name: str, argv: list[str]) -> str:
        """The same."""
        raise TasksError(
            f"{argv[0]} cannot run in {name}: task files reach machines, and not what is in them"
        )

    def has(self, name: str, path: str) -> bool:
        """The same."""
        raise TasksError(
            f"nobody can look for {path} in {name}: task files reach machines, and not what is in them"
        )

    def ended_at(self, name: str, since: float) -> float | None:  # noqa: ARG002  as the protocol has it
        """Nobody keeps an account."""
        return None

    def paused_at(self, name: str, since: float) -> float | None:  # noqa: ARG002  as the protocol has it
        """Nobody keeps an account."""
        return None
