"""Values of settings that cannot be meant so, by what the roles say of their settings; before any is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from failover_lab.run.layout import Lab

#: The settings of the lab as a whole, which no role describes by itself; docs/README.md does.
WHOLE_LAB: dict[str, dict[str, Any]] = {
    "lab_profile": {"type": "str"},
    "lab_state_dir": {"type": "path"},
    "lab_cache_dir": {"type": "path"},
    "lab_reports_dir": {"type": "path"},
    "teardown_cache": {"type": "bool"},
}
#: Settings that hold a lab's name. It becomes a part of a path whose folder teardown.yml removes.
NAMES = ("lab_profile", "cluster_profile", "registry_profile")
#: Settings that hold the folder of a lab's state, and all that the lab ever keeps there.
STATE_DIRS = ("lab_state_dir", "cluster_state_dir", "registry_state_dir", "fault_state_dir")
STATE = re.compile(
    r"minikube-[a-z-]+\.log|(cluster|run|belongings)\.partial|watchdog\.[a-z.]+"
    r"|registry|docker|reports|kubeconfig"
    # The second is what is left of one that was being replaced.
    + "".join(rf"|{name}|\.{name}[.0-9]+" for name in map(re.escape, Lab.names().values()))
)
KINDS = {"bool": "yes or no (bool)", "int": "whole number (int)", "float": "number (float)"}

Options = Mapping[str, Mapping[str, Any]]


def unfit(options: Options, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with values, each in a sentence.

    Args:
        options: The settings, as an argument spec describes them.
        values: Those that somebody has set.
    """
    return [
        sentence
        for name, option in options.items()
        if name in values and (sentence := _unfit(name, option, values[name]))
    ]


def _unfit(name: str, option: Mapping[str, Any], value: Any) -> str:  # noqa: ANN401 - whatever somebody has set
    kind, choices = option.get("type", "str"), option.get("choices")
    shown = f"'{value}'" if not option.get("no_log") else "hidden"
    spec = {"type": kind} | ({"elements": option["elements"]} if "elements" in option else {})
    if ArgumentSpecValidator({name: spec}).validate({name: value}).error_messages:
        return f"{name} is {shown}, which is no {KINDS.get(kind, kind)}."
    # A list may be one text with commas between.
    given = [one.strip() for one in value.split(",")] if kind == "list" and isinstance(value, str) else value
    given = given if kind == "list" else [value]
    if choices and any(one not in choices for one in given):
        named = ", ".join(str(choice) or "nothing at all" for choice in choices)
        return f"{name} {shown} is not known: choose one of {named}."
    return ""


def unfit_name(name: str, value: str, pattern: str, *, existing: bool) -> str:
    """What is wrong with the name of a lab; empty if nothing.

    Args:
        name: Of the setting.
        value: Of the setting.
        pattern: What the names of a cluster of the lab's own look like.
        existing: The cluster is there already: its context may be called whatever kubectl takes.
    """
    if existing:
        if {"", ".", ".."}.isdisjoint(value.split("/")):
            return ""
        return f"{name} is '{value}': give the name of a context, one of `kubectl config get-contexts`."
    if re.fullmatch(pattern, value):
        return ""
    return (
        f"{name} is '{value}', and names containers, nodes and folders: give 2 to 40 small letters, digits "
        "and hyphens, a letter first."
    )


def strangers(folder: Path) -> list[str]:
    """What somebody else keeps in the folder of a lab's state, which teardown.yml removes."""
    try:
        return sorted(path.name for path in folder.iterdir() if not STATE.fullmatch(path.name))
    except OSError:
        return []


def unfit_folders(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with folders that teardown.yml may remove, each in a sentence."""
    found = []
    for name in STATE_DIRS:
        folder = values.get(name)
        if isinstance(folder, str) and folder and (others := strangers(Path(folder).expanduser())):
            found.append(
                f"{name} is {folder}, which teardown.yml would remove, and {others[0]} is in it: give a "
                f"folder of its own, such as {Path(folder) / 'failover-lab'}."
            )
    home = values.get("cluster_minikube_home")
    if isinstance(home, str) and Path(home).name != ".minikube":
        found.append(
            f"cluster_minikube_home is {home}: minikube keeps everything in a folder called .minikube; give "
            f"{Path(home) / '.minikube'}."
        )
    return found


def facts(typed: Iterable[str], read: Collection[str], settings: Collection[str]) -> list[str]:
    """Names given with ``-e`` that are no settings, but what roles and plays tell each other.

    One would stand for what a role finds out: a play that is told that there is no engine does nothing.

    Args:
        typed: The names.
        read: All names that tasks mention.
        settings: Those that are settings.
    """
    own = tuple(f"{prefix}_" for prefix in sorted({name.partition("_")[0] for name in settings}))
    return sorted(
        name
        for name in typed
        if name not in settings
        and (name.removeprefix("__").startswith(own) and (name in read or name.startswith("__")))
    )


def resolved(
    names: Iterable[str], variables: Mapping[str, Any], template: Callable[[Any], Any]
) -> dict[str, Any]:
    """The values that somebody has set; one that needs what is not known yet is left to whoever reads it.

    Args:
        names: Of settings.
        variables: By name, templates among them.
        template: Makes a value of one.
    """
    found = {}
    for name in names:
        if name in variables:
            try:
                found[name] = template(variables[name])
            except Exception:  # noqa: BLE001, S112 - Ansible has a dozen, and says more itself where it is read
                continue
    return found
