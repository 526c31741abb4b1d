#!/usr/bin/env python3
"""Writes docs/roles/<role>.md from every role's meta/argument_specs.yml; ``--check`` only compares.

What holds for kinds of fault comes from their own table.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from failover_lab.faults import kinds

REPO = Path(__file__).resolve().parents[1]
PAGES = REPO / "docs" / "roles"
BAR = r"\|"
# How a default takes a version from its home; alone in its braces it is that version.
PINNED = re.compile(r"lookup\('failover_lab\.lab\.version', '(\w+)'(?:, field='(\w+)')?\)")
ALONE = re.compile(r"\{\{ '([^']*)' \}\}")


def text(value: str | list[str] | None) -> str:
    """One paragraph from a description, with Ansible's marks turned into Markdown's."""
    joined = " ".join(value) if isinstance(value, list) else value or ""
    return re.sub(r"\b[COVEMI]\(([^)]*)\)", r"`\1`", " ".join(joined.split()))


def shown(default: Any) -> Any:  # noqa: ANN401 - of whatever type a setting is
    """A default with the versions that it takes from versions.yml in their places."""
    if not isinstance(default, str):
        return default
    pins = yaml.safe_load((REPO / "versions.yml").read_text(encoding="utf-8"))
    text = PINNED.sub(lambda match: f"'{pins[match[1]][match[2] or 'version']}'", default.strip())
    return alone[1] if (alone := ALONE.fullmatch(text)) else text


def of_kinds(name: str) -> str:
    """What the table of fault kinds says of a setting, after its description; empty if nothing."""
    rows = kinds.table().values()
    if name == "fault_kind":
        return " " + ". ".join(f"`{kind.name}` {kind.about}" for kind in rows) + "."
    alone = [f"`{kind.name}`" for kind in rows if name in kind.settings]
    return f" With `fault_kind` {' or '.join(alone)} alone." if alone else ""


def row(name: str, option: dict[str, Any]) -> str:
    """One line of the table of settings."""
    kind = option.get("type", "str")
    if kind == "list" and "elements" in option:
        kind = f"list of {option['elements']}"
    elif kind == "raw":
        kind = "see right"
    # A default that is no plain value is told of in the description.
    default = "see right"
    if option.get("required"):
        default = "required"
    elif "default" in option:
        default = f"`{json.dumps(shown(option['default']))}`"
    about = text(option.get("description")) + of_kinds(name)
    if "choices" in option:
        about += " One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "."
    cells = [f"`{name}`", kind, default, about]
    # A bar ends a cell, even within a word of code.
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |".replace("\n", " ")


def settings(options: dict[str, Any], told: dict[str, Any]) -> list[str]:
    """The settings of one entry point.

    Args:
        options: They, by name.
        told: Those that stand on the page already; only their names are told again.
    """
    again = [name for name, option in options.items() if told.get(name) == option]
    new = [row(name, option) for name, option in options.items() if name not in again]
    parts = ["\n".join(["| setting | type | default | |", "|---|---|---|---|", *new])] if new else []
    if again:
        parts.append(f"Of the settings above: {', '.join(f'`{name}`' for name in again)}.")
    return parts


def page(role: Path) -> str:
    """The page of one role.

    Args:
        role: The role's directory.
    """
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    parts = [f"# {role.name}", "<!-- Made by `make docs` from the role's meta/argument_specs.yml. -->"]
    told: dict[str, Any] = {}
    for entry, spec in specs["argument_specs"].items():
        if entry != "main":
            parts.append(f"## tasks_from: {entry}")
        parts.append(f"**{text(spec.get('short_description'))}**")
        parts += [text(paragraph) for paragraph in spec.get("description") or []]
        options = spec.get("options") or {}
        parts += settings(options, told)
        told |= options
    parts.append(f"More in the role's own [README](../../roles/{role.name}/README.md).")
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write or compare every page; the exit status is 1 if one of them is not as it should be."""
    check = "--check" in sys.argv[1:]
    wanted = {
        PAGES / f"{specs.parents[1].name}.md": page(specs.parents[1])
        for specs in sorted(REPO.glob("roles/*/meta/argument_specs.yml"))
    }
    stale = [path for path, made in wanted.items() if not path.exists() or path.read_text("utf-8") != made]
    stale += [path for path in PAGES.glob("*.md") if path not in wanted]
    if check:
        for path in stale:
            print(f"{path.relative_to(REPO)} is out of date: run 'make docs'")
        return int(bool(stale))
    PAGES.mkdir(parents=True, exist_ok=True)
    for path in stale:
        if path in wanted:
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
