"""What a person sees of a play: phases, what changed, what is waited for, warnings, errors, the verdict."""

from __future__ import annotations

import functools
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.failover_lab.lab.plugins.plugin_utils import aloud, timing

DOCUMENTATION = r"""
name: screen
type: stdout
short_description: A play of the lab on one screen
version_added: 0.2.0
author:
  - The failover-lab authors
description:
  - Shows the phases of a play, what it changes on the cluster and on this machine, what is waited for,
    warnings, errors and what the play says. What it looks at, skips or notes in its own records is not shown.
  - An error is told once, whole, with the place of its task.
  - With C(-v) or more it is Ansible's own callback, C(ansible.builtin.default).
  - Who prefers another sets C(ANSIBLE_STDOUT_CALLBACK), as ever.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as C(stdout_callback) in ansible.cfg, as the lab's own has it
"""

T = TypeVar("T", bound=Callable[..., Any])

# Commands of the package that only write to the records of a run, or to a file of the lab's own.
_RECORDS = frozenset(
    {"facts", "live", "mark", "observe", "probe", "report", "stop", "trace", "watchdog"}
    | {"htpasswd", "wait-answers", "wait-steady"}
)
_BOOKKEEPING = frozenset({"failover_lab.lab.journal", "ansible.builtin.set_fact", "ansible.builtin.add_host"})
# A file that the lab writes as its user is one of its own.
_OWN_FILES = frozenset({"ansible.builtin.copy", "ansible.builtin.file", "ansible.builtin.template"})
# What these print is for whoever wrote the play's words.
_SAYS = frozenset({"ansible.builtin.debug", "debug"})
_SIGNS = {"phase": ("▸", ">"), "failed": ("✕", "FAILED:"), "says": ("·", "-")}
# A phase in which nothing is said has a line of its own only where it takes as long as this.
_WORTH_S = 3.0
# Where a log is looked at afterwards, nobody knows how wide; a terminal says so itself.
_LEAST_WIDTH = 40


def quietly(method: T) -> T:
    """With -v or more, what Ansible's own callback does at this point is done instead."""

    @functools.wraps(method)
    def call(self: CallbackModule, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  Ansible's
        if self._display.verbosity > 0:
            return getattr(super(CallbackModule, self), method.__name__)(*args, **kwargs)
        return method(self, *args, **kwargs)

    return call  # type: ignore[return-value]


def takes(text: str, stream: Any = None) -> bool:  # noqa: ANN401  a stream
    """Whether whoever reads it has these characters."""
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "utf-8")
    if locale in {"C", "POSIX"}:
        return text.isascii()
    try:
        text.encode(getattr(stream or sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def phase(name: str) -> str:
    """The phase that a task of a playbook belongs to: ``Preflight`` for ``Preflight | Settings``."""
    return name.partition(" | ")[0]


def words(name: str) -> str:
    """A task's name without its role's and its entry point's, which are for whoever looks for it."""
    return name.rpartition(" | ")[2].rpartition(" : ")[2]


def is_of_the_records(task: Any, result: Mapping[str, Any]) -> bool:  # noqa: ANN401  Ansible's
    """Whether a task has changed nothing but what the lab keeps of its own run."""
    if task.action in _BOOKKEEPING:
        return True
    if task.action in _OWN_FILES:
        return not task.become and result.get("state") != "absent"
    # What came of a command that was begun beside the play has no command of its own.
    command = result.get("cmd") or [None]
    ours = task.action == "failover_lab.lab.lab"
    return ours and ("ansible_job_id" in result or command[0] in {None, *_RECORDS})


def said(result: Mapping[str, Any]) -> Iterator[str]:
    """What a task says, line by line; what failed, with all that a command said."""
    message = result.get("msg", "")
    for one in message if isinstance(message, list) else [message]:
        yield from str(one).splitlines() or [""]
    if str(message).startswith("non-zero return code"):
        for stream in ("stderr", "stdout"):
            yield from str(result.get(stream) or "").splitlines()


class CallbackModule(Default):  # type: ignore[misc]  # Ansible's own classes carry no types
    """Shows what a person wants to know; with -v, all."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "failover_lab.lab.screen"

    def __init__(self) -> None:
        """Nothing is played yet."""
        super().__init__()
        self._began = time.monotonic()
        self._phase_began = self._began
        self._hosts: set[str] = set()

    def _line(self, text: str, *, indent: str = "  ", colour: str | None = None) -> None:
        """One line or, on a narrow terminal, several."""
        if not takes(text):
            text = text.encode("ascii", "replace").decode("ascii")
        width = self._width()
        # What is to be typed stays as it is: a terminal breaks it without a blank.
        if width is not None and len(indent) + len(text) > width and not text.startswith(" "):
            most = max(_LEAST_WIDTH, width - len(indent))
            text = textwrap.fill(
                text, most, break_long_words=False, break_on_hyphens=False, subsequent_indent=indent
            )
        self._display.display(f"{indent}{text}", color=colour)

    def _width(self) -> int | None:
        try:
            return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
        except (OSError, ValueError, AttributeError):
            return None

    def _sign(self, name: str) -> str:
        sign, plain = _SIGNS[name]
        return sign if takes(sign) else plain

    def _tell_phase(self) -> None:
        """The phase's own line, before whatever comes in it."""
        aloud.tell_heading(lambda heading: self._line(heading, indent="", colour=constants.COLOR_HIGHLIGHT))

    def _tell_phase_if_long(self) -> None:
        """Its line without any beneath it: what takes a while is told in any case."""
        if time.monotonic() - self._phase_began >= _WORTH_S:
            self._tell_phase()

    def _of(self, result: Any) -> str:  # noqa: ANN401  Ansible's
        """Which host it is, where there are several."""
        self._hosts.add(result.host.get_name())
        return f" ({result.host.get_name()})" if len(self._hosts) > 1 else ""

    @quietly
    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ANN401  Ansible's
        """Say which play it is."""
        self._play = play
        name = play.get_name().strip()
        checking = " (check mode: nothing is changed)" if play.check_mode else ""
        self._line(f"{name}{checking}", indent="", colour=constants.COLOR_HIGHLIGHT)

    @quietly
    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ANN401, ARG002
        """A task of the playbook itself begins a phase."""
        self._last_task_name = task.get_name().strip()
        self._tell_phase_if_long()
        if task._role is not None:  # noqa: SLF001  Ansible has no other word for it
            return
        if aloud.begin(f"{self._sign('phase')} {phase(self._last_task_name)}"):
            self._phase_began = time.monotonic()

    @quietly
    def v2_playbook_on_handler_task_start(self, task: Any) -> None:  # noqa: ANN401  Ansible's
        """A handler is a task."""
        self._last_task_name = task.get_name().strip()

    @quietly
    def v2_playbook_on_cleanup_task_start(self, task: Any) -> None:  # noqa: ANN401  Ansible's
        """And so is this."""
        self._last_task_name = task.get_name().strip()

    @quietly
    def v2_playbook_on_include(self, included_file: Any) -> None:  # noqa: ANN401  Ansible's
        """What is read has no line of its own."""

    @quietly
    def v2_runner_on_ok(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """Tell what changed, and what the play says."""
        self._handle_warnings_and_exception(result)
        task, found = result.task, result.result
        if task.action in _SAYS:
            self._tell_phase()
            for line in said(found) if "msg" in found else str(self._dump_results(found)).splitlines():
                self._line(line)
        elif found.get("changed") and not is_of_the_records(task, found) and "results" not in found:
            self._changed(result, "")

    def _changed(self, result: Any, item: str) -> None:  # noqa: ANN401  Ansible's
        self._tell_phase()
        would = "would change" if result.task.check_mode else "changed"
        text = f"{would}{self._of(result)}: {words(result.task.get_name().strip())}{item}"
        self._line(text, colour=constants.COLOR_CHANGED)

    @quietly
    def v2_runner_item_on_ok(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """The same of one of several."""
        self._handle_warnings_and_exception(result)
        found = result.result
        if result.task.action in _SAYS:
            self._tell_phase()
            for line in said(found):
                self._line(line)
        elif found.get("changed") and not is_of_the_records(result.task, found):
            self._changed(result, f" ({self._get_item_label(found)})")

    @quietly
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ANN401
        """Tell an error once and whole: what it is, and where."""
        self._handle_warnings(result.result)
        if result.result.get("results") and result.task.loop:
            # Each of them was told.
            return
        self._failed(result, "", ignored=ignore_errors)

    @quietly
    def v2_runner_item_on_failed(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """The same of one of several."""
        self._handle_warnings(result.result)
        self._failed(result, f" ({self._get_item_label(result.result)})")

    @quietly
    def v2_runner_on_unreachable(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """A machine that cannot be reached is an error as well."""
        self._handle_warnings(result.result)
        self._failed(result, "", ignored=bool(result.task.ignore_unreachable))

    def _failed(self, result: Any, item: str, *, ignored: bool = False) -> None:  # noqa: ANN401
        self._tell_phase()
        colour = constants.COLOR_SKIP if ignored else constants.COLOR_ERROR
        name = words(result.task.get_name().strip())
        suffix = " (and that is ignored)" if ignored else ""
        self._line(f"{self._sign('failed')} {name}{item}{self._of(result)}{suffix}", colour=colour)
        lines = list(said(result.result))
        for line in lines if any(lines) else str(self._dump_results(result.result)).splitlines():
            self._line(line, indent="    ", colour=colour)
        if path := result.task.get_path():
            place, _, number = str(path).rpartition(":")
            where = os.path.relpath(place) if Path(place).is_relative_to(Path.cwd()) else place
            self._line(f"in {where}:{number}; -v shows all of it", indent="    ")

    @quietly
    def v2_on_file_diff(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """Show with --diff what is changed, and how."""
        found = result.result
        for one in found["results"] if result.task.loop and "results" in found else [found]:
            if one.get("diff") and one.get("changed") and (diff := self._get_diff(one["diff"])):
                self._tell_phase()
                self._display.display(diff)

    @quietly
    def v2_runner_on_skipped(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """What is left out is nobody's affair, but for its warnings."""
        self._handle_warnings_and_exception(result)

    @quietly
    def v2_runner_item_on_skipped(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """The same of one of several."""

    @quietly
    def v2_runner_retry(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """Whoever waits says so itself."""

    @quietly
    def v2_runner_on_async_poll(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """Nobody waits for it."""

    @quietly
    def v2_runner_on_async_ok(self, result: Any) -> None:  # noqa: ANN401  Ansible's
        """The task says so itself."""

    @quietly
    def v2_playbook_on_notify(self, handler: Any, host: Any) -> None:  # noqa: ANN401  Ansible's
        """The handler says so itself."""

    @quietly
    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """The error says so itself."""

    @quietly
    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ANN401  Ansible's
        """One line for each host."""
        self._tell_phase_if_long()
        took = timing.duration(time.monotonic() - self._began)
        for host in sorted(stats.processed):
            counts = stats.summarize(host)
            failed = counts["failures"] + counts["unreachable"]
            self._line(
                f"{host}: ok={counts['ok']} changed={counts['changed']} failed={failed} in {took}",
                indent="",
                colour=constants.COLOR_ERROR if failed else constants.COLOR_OK,
            )
