"""What guards the bytes: go.mod and go.sum of a module, the lock of a wheel."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible.utils.version import SemanticVersion

from .home import Pin, Refusal, number_of
from .registries import go, go_environment, said, wheel_hashes, words

# Where the locks are that agree with each other, so that what several modules are made of is compiled once.
AGREEING = "roles/toolchain/files/modules"
ROWS = "roles/toolchain/vars/main.yml"
SCRIPT = "roles/toolchain/files/build-module.sh"
# Raising one may have others ask for something newer in turn.
ROUNDS = 5


def described(folder: Path, name: str = "go.mod") -> dict[str, Any]:
    """A go.mod, as Go itself reads it."""
    found: dict[str, Any] = json.loads(go(folder, "mod", "edit", "-json", name))
    return found


def fetched(folder: Path, module: str, version: str) -> dict[str, Any]:
    """Fetch a module; where its files are, and which commit it was made from."""
    found: dict[str, Any] = json.loads(go(folder, "mod", "download", "-json", f"{module}@{version}"))
    return found


def staged_parts(folder: Path, go_mod: str) -> set[str]:
    """The modules that another is developed with, as Kubernetes is, and that are released apart from it."""
    replaced = described(folder, go_mod).get("Replace") or []
    return {row["Old"]["Path"] for row in replaced if row["New"]["Path"].startswith("./staging/")}


def raise_module(folder: Path, module: str, version: str) -> None:
    """Have a lock name another version of its module, and what that asks for.

    Args:
        folder: Where go.mod and go.sum are.
        module: Which.
        version: The one that is wanted.
    """
    before = described(folder)
    parts = staged_parts(folder, fetched(folder, module, version)["GoMod"])
    # v1.2.3 as a whole is v0.2.3 of each of its parts.
    of_a_part = re.sub(r"^v1\.", "v0.", version)
    edits = [f"-dropreplace={row['Old']['Path']}" for row in before.get("Replace") or []] if parts else []
    edits += [f"-replace={part}={part}@{of_a_part}" for part in sorted(parts)]
    if edits:
        go(folder, "mod", "edit", *edits)
    named = {row["Path"]: row["Version"] for row in before["Require"] if not row.get("Indirect")}
    more = [f"{part}@{of_a_part}" for part in sorted(parts & set(named)) if named[part] != "v0.0.0"]
    go(folder, "get", f"{module}@{version}", *more)
    complete(folder, version)


def complete(folder: Path, version: str) -> None:
    """Have a lock name all that its programs are made of: of what a module asks for, the parts as well.

    Args:
        folder: Where go.mod and go.sum are.
        version: Of the module that the tools are of, which is to stay.
    """
    tools = [f"{tool['Path']}@{version}" for tool in described(folder).get("Tool") or []]
    if tools:
        go(folder, "get", *tools)
    if (folder / "main.go").exists():
        go(folder, "get", ".")


def named_versions(folder: Path) -> dict[str, str]:
    """The version of each module that a go.mod names, those that it puts in others' places included."""
    about = described(folder)
    found = {row["Path"]: row["Version"] for row in about["Require"]}
    return found | {
        row["Old"]["Path"]: row["New"]["Version"]
        for row in about.get("Replace") or []
        if row["New"].get("Version")
    }


def behind(root: Path, pins: dict[str, Pin]) -> dict[str, list[str]]:
    """By lock, the modules that another lock has a newer version of, each with that version.

    Args:
        root: The repository.
        pins: All of them.
    """
    agreeing = [pin for pin in pins.values() if pin.lock.startswith(AGREEING)]
    named = {
        pin.name: {
            module: version
            for module, version in named_versions(root / pin.lock).items()
            if module not in pin.older
        }
        for pin in agreeing
    }
    newest: dict[str, str] = {}
    for versions in named.values():
        for module, version in versions.items():
            newest[module] = max(newest.get(module, version), version, key=order)
    found = {
        name: [
            f"{module}@{newest[module]}" for module, version in versions.items() if version != newest[module]
        ]
        for name, versions in named.items()
    }
    return {name: modules for name, modules in found.items() if modules}


def order(version: str) -> SemanticVersion:
    """By which the newer of two versions of a module is known."""
    return SemanticVersion(number_of(version))


def agree(root: Path, pins: dict[str, Pin]) -> Iterator[str]:
    """Raise in each lock what another has newer; tells of each that it raises.

    Args:
        root: The repository.
        pins: All of them.

    Raises:
        Refusal: some go on to differ.
    """
    for _ in range(ROUNDS):
        todo = behind(root, pins)
        if not todo:
            return
        for name, modules in todo.items():
            yield f"{name}: {' '.join(modules)}"
            go(root / pins[name].lock, "get", *modules)
            complete(root / pins[name].lock, pins[name].version)
    name, modules = next(iter(behind(root, pins).items()), ("", []))
    if name:
        raise Refusal(
            f"{name} stays behind with {modules[0]}, which another module asks for: raise {name} first, "
            f"or list it as `older` of {name}"
        )


def rows(root: Path) -> dict[str, dict[str, Any]]:
    """How the role builds each module."""
    found = yaml.safe_load((root / ROWS).read_text(encoding="utf-8"))["__toolchain_module_rows"]
    return {row["name"]: row for row in found}


def build(root: Path, pin: Pin, target: Path) -> None:
    """Build the commands of a lock, with the role's flags, so that the compiler's work is the role's as well.

    Args:
        root: The repository.
        pin: Whose lock.
        target: The folder that they are built into.
    """
    folder = root / pin.lock
    row = rows(root).get(pin.name, {})
    tools = [tool["Path"] for tool in described(folder).get("Tool") or []]
    tags = [*row.get("tags", []), "netgo", "osusergo"]
    _, env = go_environment(folder)
    env |= {"CGO_ENABLED": "1" if row.get("cgo") else "0", "TAGS": ",".join(tags)}
    said(root / SCRIPT, folder, target, *(row.get("packages") or tools), cwd=folder, env=env)


def lock_wheels(path: Path, package: str, version: str) -> None:
    """Have a lock of pip's name another version of its one package.

    Args:
        path: The lock.
        package: The package.
        version: Which.
    """
    head, _, _ = path.read_text(encoding="utf-8").partition(f"{package}==")
    hashes = [f"    --hash=sha256:{digest}" for digest in wheel_hashes(package, version)]
    path.write_text(head + " \\\n".join([f"{package}=={version}", *hashes]) + "\n", encoding="utf-8")


def failed(error: subprocess.SubprocessError) -> Refusal:
    """That a client could not do it, in its own last words."""
    return Refusal(f"it cannot be had: {words(error)}")
