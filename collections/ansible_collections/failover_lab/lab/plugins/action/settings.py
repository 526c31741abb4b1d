"""The action plugin ``failover_lab.lab.settings``, documented in plugins/modules/settings.py."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible import context
from ansible.utils.vars import load_extra_vars
from ansible_collections.failover_lab.lab.plugins.plugin_utils import values
from ansible_collections.failover_lab.lab.plugins.plugin_utils.controller import ControllerAction, TaskError

from failover_lab.faults import kinds

REPOSITORY = Path(__file__).resolve().parents[6]
# Beside the names of the roles: who types a name that begins so means a setting of the lab.
PREFIXES = ("failover", "lab", "teardown")
# Between a slip of one letter in ten, and a name of somebody's own, such as vault_registry_password.
ALMOST_THE_SAME = 0.9
SIMILAR = 0.6


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever is in it
    """The content of a file; by libyaml where it is there: some 2,000 lines are read before every play.

    Raises:
        OSError: It cannot be read.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a safe one in each case


def options(roles: Path) -> dict[str, dict[str, Any]]:
    """The settings that the roles describe, and how.

    Args:
        roles: The folder of the roles.

    Returns:
        By name, those of one role together, in the order of its description.

    Raises:
        OSError: A description cannot be read.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(roles.glob("*/meta/argument_specs.yml")):
        for entry_point in read_yaml(path)["argument_specs"].values():
            for name, option in (entry_point.get("options") or {}).items():
                found.setdefault(name, option)
    # The kinds that there are stand in their own table, and not in the role's description.
    if "fault_kind" in found:
        found["fault_kind"] = found["fault_kind"] | {"choices": kinds.names()}
    return found


def described(roles: Path) -> list[str]:
    """The names of the settings that the roles describe, in the order of their descriptions.

    Args:
        roles: The folder of the roles.

    Raises:
        OSError: A description cannot be read.
    """
    return list(options(roles))


def mentioned(*folders: Path) -> set[str]:
    """All names of two words or more, such as ``fault_kind``, that tasks and templates mention.

    Facts are among them, and what one play hands over to the next. What is not here, nothing reads.

    Raises:
        OSError: A file cannot be read.
    """
    return {
        name
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in {".yml", ".j2"}
        for name in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", path.read_text(encoding="utf-8"))
    }


def ratio(one: str, other: str) -> float:
    """How alike two names are, letter by letter: 0 to 1."""
    return difflib.SequenceMatcher(None, one, other).ratio()


def similar(name: str, settings: list[str]) -> list[str]:
    """The settings that might have been meant, at most three, the likeliest first."""
    # What the role failover is told is the fault's, and is set by that name, or found out.
    settings = [one for one in settings if not one.startswith("failover_")]
    slips = [setting for setting in settings if ratio(name, setting) >= ALMOST_THE_SAME]
    if slips:
        return slips[:3]
    words = set(name.split("_"))
    ranked = [
        (len(words & set(setting.split("_"))), ratio(name, setting), setting)
        for setting in settings
        if words & set(setting.split("_")) or ratio(name, setting) >= SIMILAR
    ]
    # Stable: those that are as alike stay in the order of their description.
    return [setting for *_, setting in sorted(ranked, key=lambda found: found[:2], reverse=True)][:3]


def is_a_slip(name: str, prefixes: Iterable[str], settings: list[str], *, typed: bool) -> bool:
    """Say whether a name that nothing reads was meant as a setting of the lab.

    Args:
        name: Such as ``fault``.
        prefixes: What settings' names begin with.
        settings: The names of all settings.
        typed: It was given with ``-e``, where short forms tempt. An inventory may have a ``site`` or a
            ``cluster_name`` of its own.
    """
    # What roles keep to themselves is there for a later play too, and may be called almost like a setting.
    if name.startswith("_"):
        return False
    if any(ratio(name, setting) >= ALMOST_THE_SAME for setting in settings):
        return True
    words = set(name.split("_"))
    return typed and (
        any(name == prefix or name.startswith(f"{prefix}_") for prefix in prefixes)
        or any(words <= set(setting.split("_")) for setting in settings)
    )


def typed_names(arguments: Iterable[str]) -> set[str]:
    """The names in ``-e``'s arguments that are no files: ``a=1 b=2``, or an object in JSON or YAML."""
    names: set[str] = set()
    for argument in arguments:
        text = str(argument).strip()
        if text.startswith(("{", "[")):
            content = yaml.safe_load(text)
            names |= set(map(str, content)) if isinstance(content, dict) else set()
        elif not text.startswith("@"):
            names |= set(re.findall(r"(?:^|\s)([A-Za-z_]\w*)=", text))
    return names


def with_a_tilde(variables: Mapping[str, Any], settings: Iterable[str]) -> list[str]:
    """The settings whose value begins with ``~``, which only a shell makes a folder of."""
    return sorted(
        name for name in settings if isinstance(variables.get(name), str) and variables[name].startswith("~")
    )


class ActionModule(ControllerAction):
    """Refuse names that were meant as settings and that nothing reads, and values that cannot be meant so."""

    def work(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Look through all names and values; the first trouble is the answer."""
        self.without_arguments()
        roles, playbooks = REPOSITORY / "roles", REPOSITORY / "playbooks"
        described = options(roles) | values.WHOLE_LAB
        read = mentioned(roles, playbooks)
        extra = set(load_extra_vars(self._loader))
        problems = (
            self._slips(roles, list(described), read, variables)
            or self._tildes({*described, *(name for name in read if name.startswith("lab_"))}, variables)
            or [
                f"{name} is what the plays find out by themselves, and no setting: leave it out."
                for name in values.facts(extra, read, described)
            ]
            or self._values(roles, described, variables)
        )
        if problems:
            raise TaskError(problems[0])
        return {"changed": False}

    @staticmethod
    def _slips(roles: Path, settings: list[str], read: set[str], variables: Mapping[str, Any]) -> list[str]:
        prefixes = [path.name for path in roles.iterdir()] + list(PREFIXES)
        typed = typed_names(context.CLIARGS.get("extra_vars") or ())
        nobodys = sorted((set(variables) | typed) - set(settings) - read)
        slips = [name for name in nobodys if is_a_slip(name, prefixes, settings, typed=name in typed)]
        said = [
            f"{name} ({' or '.join(found)}?)" if (found := similar(name, settings)) else name
            for name in slips[:3]
        ]
        return (
            [f"No setting is called {', nor '.join(said)}: docs/README.md leads to all of them."]
            if said
            else []
        )

    @staticmethod
    def _tildes(known: Iterable[str], variables: Mapping[str, Any]) -> list[str]:
        return [
            f"{name} is {variables[name]}, and only a shell knows whose folder ~ is: "
            f"write {Path.home()}{variables[name][1:]}."
            for name in with_a_tilde(variables, known)
        ]

    def _values(
        self, roles: Path, described: Mapping[str, Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> list[str]:
        known = values.resolved(described, variables, self._templar.template)
        if found := values.unfit(described, known):
            return found
        pattern = read_yaml(roles / "cluster" / "vars" / "main.yml")["__cluster_name_pattern"]
        existing = known.get("cluster_provider") == "existing"
        wrong = [
            values.unfit_name(name, str(known[name]), pattern, existing=existing)
            for name in values.NAMES
            if name in known
        ]
        return [sentence for sentence in wrong if sentence] + values.unfit_folders(known)
