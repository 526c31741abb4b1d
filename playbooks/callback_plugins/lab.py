"""What holds for each of the lab's plays, whatever Ansible was told: nothing of them is left out.

Ansible loads what is in a folder of this name beside a playbook by itself: no list of callbacks, no
configuration and no working directory keeps it away. A callback runs in the process of the play, of which all
others are children.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from ansible import constants, context
from ansible.plugins.callback import CallbackBase
from ansible.utils.display import Display

DOCUMENTATION = r"""
name: lab
type: notification
short_description: Refuse to play a part of the lab's plays, or with what would change them
version_added: 0.2.0
author:
  - The failover-lab authors
description:
  - Takes away and sets variables of the environment, as C(src/failover_lab/host/surroundings.txt) says.
  - Ends a play of the lab with status 5 and a sentence, before its first task, where Ansible was configured
    or called so that nothing or only a part would be played, or where the group C(lab) is not one
    host, which is this machine.
  - Ends it with status 5 where one of its tasks was left out, or could not be started.
  - Brings in C(failover_lab.lab.interrupted), which puts right what an interrupted run leaves behind.
  - Has a play go on to its end where nobody reads any more what it says, such as behind C(| head).
"""

REPOSITORY = Path(__file__).resolve().parents[2]
# Ansible's own status for options that will not do.
STATUS = 5
# By this the first task of each play knows that this here is loaded: the process of the play.
LOADED = "FAILOVER_LAB_PLAY"
# Options of ansible-playbook with which a part may be left out: --step asks at each task of a role as well.
PARTLY = ("start_at_task", "step")
# Settings of Ansible's that would change what a play does, or hide what it says from who has to see it.
UNCHANGED = (
    "ANY_ERRORS_FATAL",
    "CACHE_PLUGIN",
    "DEFAULT_EXECUTABLE",
    "DEFAULT_HASH_BEHAVIOUR",
    "DEFAULT_MODULE_ARGS",
    "DEFAULT_NO_LOG",
    "DEFAULT_NULL_REPRESENTATION",
    "DEFAULT_PRIVATE_ROLE_VARS",
    "DEFAULT_STRATEGY",
    "DEFAULT_UNDEFINED_VAR_BEHAVIOR",
    "ENABLE_TASK_DEBUGGER",
    "INVENTORY_IGNORE_EXTS",
    "INVENTORY_IGNORE_PATTERNS",
    "PLUGIN_FILTERS_CFG",
    "STRING_TYPE_FILTERS",
    "TASK_TIMEOUT",
    "VARIABLE_PLUGINS_ENABLED",
    "VARIABLE_PRECEDENCE",
    "YAML_FILENAME_EXTENSIONS",
)

display = Display()


def refuse(sentence: str) -> NoReturn:
    """End the play. Ansible makes a warning of each error in a callback, but not of this."""
    display.display(f"[ERROR]: {sentence}", color=constants.COLOR_ERROR, stderr=True)
    if sys.flags.inspect:
        # Python would ask for commands instead of ending, and then end well.
        os._exit(STATUS)
    raise SystemExit(STATUS)


def of_host(name: str) -> ModuleType:
    """A module of the package's, from this checkout: the package need not be installed, and imports more."""
    path = REPOSITORY / "src" / "failover_lab" / "host" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"failover_lab_{name}", path)
    if spec is None or spec.loader is None:
        refuse(f"{path} cannot be loaded.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tasks_of(blocks: Any) -> Iterator[Any]:  # noqa: ANN401 - Ansible's own classes carry no types
    """The tasks that a play comes to unless one fails: those of its blocks and of what is done always."""
    for one in blocks:
        if hasattr(one, "block"):
            yield from tasks_of([*one.block, *one.always])
        else:
            yield one


def is_ours(play: Any) -> bool:  # noqa: ANN401 - Ansible's
    """Whether a play is one of the lab's own five."""
    return Path(str(play.get_path()).rpartition(":")[0]).resolve().parent == REPOSITORY / "playbooks"


def left_out() -> str:
    """Which option of this call leaves tasks out; empty if none."""
    tags, skipped = set(context.CLIARGS.get("tags") or ["all"]), set(context.CLIARGS.get("skip_tags") or [])
    # No task of the lab has a tag.
    if not tags & {"all", "untagged"}:
        return f"--tags {','.join(sorted(tags))} (or ANSIBLE_RUN_TAGS)"
    if skipped & {"all", "untagged"}:
        return f"--skip-tags {','.join(sorted(skipped))} (or ANSIBLE_SKIP_TAGS)"
    return next((f"--{name.replace('_', '-')}" for name in PARTLY if context.CLIARGS.get(name)), "")


def changed() -> str:
    """Which setting of Ansible's is not as the lab's plays need it, and where it is set; empty if none."""
    # An Ansible of another age knows fewer of them, or more.
    for name in sorted({*UNCHANGED} & {*constants.config.get_configuration_definitions()}):
        value, origin = constants.config.get_config_value_and_origin(name)
        usual = constants.config.get_config_default(name)
        if origin != "default" and value != usual:
            return f"{origin} sets {name} to {value}"
    return ""


def foreign_code() -> str:
    """Why roles and plugins would not be those of this checkout; empty if they are."""
    ours = REPOSITORY / "roles"
    for role in sorted(path.name for path in ours.iterdir()):
        place = next(
            (Path(path) for path in constants.DEFAULT_ROLES_PATH if (Path(path) / role).is_dir()), None
        )
        if place is None:
            return f"the role {role} would not be found"
        if place.resolve() != ours:
            return f"the role {role} would be that of {place}"
    spec = importlib.util.find_spec("ansible_collections.failover_lab.lab")
    found = [Path(path).resolve() for path in (spec.submodule_search_locations or [])] if spec else []
    if found[:1] != [REPOSITORY / "collections" / "ansible_collections" / "failover_lab" / "lab"]:
        return f"the collection failover_lab.lab would be that of {found[0] if found else 'nobody'}"
    return ""


def remedy(playbook: str) -> str:
    """What leads to the lab's own configuration, from here."""
    own = REPOSITORY / "ansible.cfg"
    if os.environ.get("ANSIBLE_CONFIG"):
        return f"unset ANSIBLE_CONFIG, which is {os.environ['ANSIBLE_CONFIG']}, or set it to {own}"
    here = Path.cwd()
    if here.resolve() == REPOSITORY and here.stat().st_mode & 0o002:
        return (
            f"everybody may write to {REPOSITORY}, so Ansible ignores ansible.cfg there: "
            f"`chmod o-w {REPOSITORY}`, or `export ANSIBLE_CONFIG={own}`"
        )
    return f"`cd {REPOSITORY} && ansible-playbook {playbook}`"


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible's own classes carry no types
    """Judges how Ansible was called, and sees that all is played."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lab"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever Ansible hands over
        """The environment is settled before any other process is started."""
        super().__init__(*args, **kwargs)
        of_host("surroundings").settle(os.environ)
        os.environ[LOADED] = str(os.getpid())
        of_host("streams").open_all()
        self._healer: Any = None
        self._to_come: dict[str, str] = {}
        self._is_ours = False
        self._begun = ""

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ANN401 - Ansible's
        """Judge, before anything is touched. What cannot be judged is not played either."""
        try:
            self._judge(playbook)
        except Exception as error:  # noqa: BLE001 - Ansible would make a warning of it, and play
            refuse(f"How Ansible was called cannot be judged: {type(error).__name__}: {error}.")
        if any(map(is_ours, playbook.get_plays())):
            of_host("streams").outlive_their_readers()

    def _judge(self, playbook: Any) -> None:  # noqa: ANN401 - Ansible's
        ours = [play for play in playbook.get_plays() if is_ours(play)]
        if not ours:
            return
        if sys.flags.inspect:
            refuse("PYTHONINSPECT (or python -i) has each play end well, whatever came of it: leave it out.")
        name = Path(playbook._file_name).name  # noqa: SLF001 - there is no other way to learn it
        if why := foreign_code():
            refuse(f"Ansible does not go by failover-lab's ansible.cfg ({why}): {remedy(name)}.")
        if why := changed():
            refuse(f"{why}, which changes what the lab's plays do: leave it out.")
        if why := left_out():
            refuse(
                f"{why} would leave out a part of {name}, which is played whole or not at all: leave it out."
            )
        self._judge_inventory(ours[0])
        self._bring_healer(playbook)

    def _judge_inventory(self, play: Any) -> None:  # noqa: ANN401 - Ansible's
        manager = play.get_variable_manager()
        inventory = manager._inventory  # noqa: SLF001 - callbacks are not handed it
        hosts = inventory.groups["lab"].get_hosts() if "lab" in inventory.groups else []
        if not hosts:
            refuse(
                f"No inventory that was given (by -i, ANSIBLE_INVENTORY or ansible.cfg) has a host in the "
                f"group lab: leave it out, or give -i {REPOSITORY / 'inventory' / 'lab'}."
            )
        names = ", ".join(sorted(host.name for host in hosts))
        if len(hosts) > 1:
            refuse(
                f"The group lab has {len(hosts)} hosts ({names}), and a lab has one, which is this machine: "
                f"leave out the inventory that has a group of that name, or give "
                f"-i {REPOSITORY / 'inventory' / 'lab'} alone."
            )
        if not inventory.get_hosts("lab"):
            refuse(
                f"--limit leaves out {names}, the one host of the lab: nothing would be done. Leave it out."
            )
        usual = context.CLIARGS.get("connection")
        connection = str(manager.get_vars(play=play, host=hosts[0]).get("ansible_connection", usual))
        if connection.rpartition(".")[2] != "local":
            refuse(
                f"The host {names} of the group lab would be reached by {connection}, and a lab is on this "
                f"machine: give -i {REPOSITORY / 'inventory' / 'lab'} instead."
            )

    def _bring_healer(self, playbook: Any) -> None:  # noqa: ANN401 - Ansible's
        from ansible_collections.failover_lab.lab.plugins.callback import interrupted  # noqa: PLC0415
        from ansible_collections.failover_lab.lab.plugins.plugin_utils import whole  # noqa: PLC0415

        # The healer plays when this process ends, which it has to.
        whole.say_all()
        # It plays the recover.yml beside, with the same options. A playbook of somebody's own may set more.
        beside = Path(playbook._file_name).resolve().with_name("recover.yml")  # noqa: SLF001 - as above
        if not beside.exists() and any(
            "failover.yml" in str(play.get_path()) for play in playbook.get_plays()
        ):
            display.warning(
                f"{beside} does not exist, so Ctrl-C in the run would leave the node as it is: "
                f"cd {REPOSITORY} && ansible-playbook recover.yml, with this lab's settings, puts it right."
            )
        self._healer = self._healer or interrupted.CallbackModule()
        self._healer.v2_playbook_on_start(playbook)

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ANN401 - Ansible's
        """Remember what is to come."""
        self._is_ours = is_ours(play)
        if self._is_ours:
            # A play before it may have added hosts.
            self._judge_inventory(play)
            self._to_come |= {task._uuid: task.get_name() for task in tasks_of(play.tasks)}  # noqa: SLF001

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ANN401, ARG002
        """See that it has come."""
        self._to_come.pop(task._uuid, None)  # noqa: SLF001 - its name need not be its own
        self._see_that_it_ran()
        self._begun = task.get_name() if self._is_ours else ""

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:  # noqa: ANN401 - Ansible's
        """A handler is a task."""
        self.v2_playbook_on_task_start(task, is_conditional=False)

    def _see_that_it_ran(self) -> None:
        """Ansible goes on, as if it had, where the system has no process or pipe for it."""
        if self._begun:
            refuse(
                f"The task '{self._begun}' could not be started, and Ansible would go on without: this "
                "machine has no process, open file or memory left for it (`ulimit -a` shows the limits)."
            )

    def v2_runner_on_ok(self, result: Any) -> None:  # noqa: ANN401 - Ansible's
        """Let accounts be seen."""
        self._begun = ""
        if self._healer is not None:
            self._healer.v2_runner_on_ok(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ANN401, ARG002
        """It ran."""
        self._begun = ""

    def v2_runner_on_skipped(self, result: Any) -> None:  # noqa: ANN401, ARG002 - Ansible's
        """It was not to run."""
        self._begun = ""

    def v2_runner_on_unreachable(self, result: Any) -> None:  # noqa: ANN401, ARG002 - Ansible's
        """It ran."""
        self._begun = ""

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ANN401 - Ansible's
        """A play that did not fail has come to each of its tasks, or it is none."""
        if self._healer is not None:
            self._healer.v2_playbook_on_stats(stats)
        self._see_that_it_ran()
        if self._to_come and not stats.failures and not stats.dark:
            left = next(iter(self._to_come.values()))
            refuse(f"Not everything was played: '{left}' was left out. The lab's plays are played whole.")
