"""A role's settings and variables, templated without a play."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from tests.documents import load

ROLES = Path(__file__).parents[1] / "roles"


def trusted(value: Any) -> Any:
    """The same value, its strings allowed to be templates, as in a role's own files."""
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def variables(role: str, **settings: Any) -> dict[str, Any]:
    """A role's defaults and variables, and over them what somebody has set."""
    found: dict[str, Any] = {}
    for part in ("defaults", "vars"):
        for path in sorted((ROLES / role / part).glob("*.yml")):
            found |= trusted(load(path))
    return found | {"role_path": str(ROLES / role)} | settings


def within(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The tasks of a block."""
    return [one for part in ("block", "rescue", "always") for one in task.get(part) or []]


def flat(tasks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """These tasks, and those that lie in them, however deep."""
    for one in tasks:
        yield one
        yield from flat(within(one))


def task(role: str, entry: str, name: str) -> dict[str, Any]:
    """A task of a role, by its name, however deep it lies in blocks."""
    every = flat(load(ROLES / role / "tasks" / f"{entry}.yml"))
    return next(one for one in every if one.get("name") == name)


def holds(role: str, conditions: str | list[str], **settings: Any) -> bool:
    """Whether conditions of a role are all met: a task's `when`, `until` or `that`."""
    every = [conditions] if isinstance(conditions, str) else conditions
    return all(templated(role, f"{{{{ {one} }}}}", **settings) for one in every)


def templated(role: str, value: Any, **settings: Any) -> Any:
    """A value as a role would see it."""
    return Templar(loader=DataLoader(), variables=variables(role, **settings)).template(trusted(value))
