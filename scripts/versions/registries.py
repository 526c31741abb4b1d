"""What the package registries know, asked by their own clients: where these look is the person's say."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests
from packaging.version import InvalidVersion, Version
from tests import go_module

from .home import Pin, Refusal

# Each kind of machine that the lab runs on, as a wheel names it.
PLATFORMS = ("manylinux_2_17_x86_64", "manylinux_2_17_aarch64")
ASKING_S = 90


class UnreachableError(Exception):
    """A registry did not answer, or its client is not there."""


def said(
    *argv: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout_s: float | None = None
) -> str:
    """What a command says.

    Args:
        argv: The command.
        cwd: Where it is called.
        env: Its environment, if it is not ours.
        timeout_s: How long it may take.

    Raises:
        subprocess.SubprocessError: it failed, or took longer; stderr is with it.
    """
    return subprocess.run(
        argv, cwd=cwd, env=env, timeout=timeout_s, check=True, text=True, capture_output=True
    ).stdout


def words(error: Exception) -> str:
    """The last that a client said, in one line: Go's reason and its remedy are one below the other."""
    text = getattr(error, "stderr", None) or str(error)
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return " ".join(lines[-2:]).rstrip(".") or type(error).__name__


@functools.cache
def cache() -> Path:
    """The lab's cache, where its Go is, and what that has fetched and compiled."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "failover-lab"


def go_environment(folder: Path) -> tuple[Path, dict[str, str]]:
    """The Go that may build what is in a folder, and what it works with, as the role toolchain has it.

    Raises:
        UnreachableError: there is none, and none could be installed.
    """
    try:
        program = go_module.go_program(cache(), folder)
    except (OSError, subprocess.SubprocessError) as error:
        raise UnreachableError(f"there is no Go: {words(error)}") from None
    return program, go_module.environment(cache(), program)


def go(folder: Path, *argv: str) -> str:
    """What Go says in a folder with a go.mod.

    Args:
        folder: The folder.
        argv: The words after ``go``.

    Raises:
        subprocess.SubprocessError: it failed.
    """
    program, env = go_environment(folder)
    return said(program, *argv, cwd=folder, env=env)


def go_query(root: Path, pin: Pin, query: str) -> dict[str, Any]:
    """What Go's proxy knows of a version of a module.

    Args:
        root: The repository.
        pin: Of the module.
        query: A version, or ``latest``.

    Raises:
        UnreachableError: it knows none, or does not answer.
    """
    try:
        # In no module: its lock has no say in what there is.
        with tempfile.TemporaryDirectory() as nowhere:
            program, env = go_environment(root / pin.lock)
            found: dict[str, Any] = json.loads(
                said(
                    program,
                    "list",
                    "-m",
                    "-versions",
                    "-json",
                    f"{pin.module}@{query}",
                    cwd=Path(nowhere),
                    env=env,
                    timeout_s=ASKING_S,
                )
            )
    except subprocess.SubprocessError as error:
        raise UnreachableError(words(error)) from None
    return found


def pip(*argv: str) -> str:
    """What pip says.

    Raises:
        UnreachableError: that it cannot.
    """
    try:
        return said(sys.executable, "-m", "pip", *argv, cwd=Path("/"), timeout_s=ASKING_S)
    except subprocess.SubprocessError as error:
        raise UnreachableError(words(error)) from None


def package_versions(package: str) -> list[str]:
    """The versions that Python's index has for a machine like this one, the newest first.

    Args:
        package: Its name.

    Raises:
        UnreachableError: the index does not answer.
    """
    match = re.search(r"^Available versions: (.+)$", pip("index", "versions", package), re.MULTILINE)
    return re.split(r",\s*", match[1]) if match else []


def wheel_hashes(package: str, version: str) -> list[str]:
    """What guards a package's wheels, one for each kind of machine.

    Args:
        package: Its name.
        version: Which.

    Raises:
        UnreachableError: there is no wheel for one of them.
    """
    found = []
    with tempfile.TemporaryDirectory() as nowhere:
        for platform in PLATFORMS:
            report = pip(
                *(
                    "install",
                    "--dry-run",
                    "--ignore-installed",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--quiet",
                ),
                *(f"--platform={platform}", f"--target={nowhere}", "--report=-", f"{package}=={version}"),
            )
            (row,) = json.loads(report)["install"]
            found.append(row["download_info"]["archive_info"]["hashes"]["sha256"])
    return sorted(found)


def debian_release(name: str) -> str:
    """The code name of a release, at the mirror of Debian that this machine's apt uses.

    Args:
        name: Its code name, or ``stable``.

    Raises:
        UnreachableError: there is no apt, or none of its mirrors is Debian's, answers or has the release.
    """
    try:
        targets = said("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", cwd=Path("/"))
        urls = {row.split()[1] for row in targets.splitlines() if row.startswith("Debian http")}
        url = next((url for url in sorted(urls) if "security" not in url), "")
        if not url:
            raise UnreachableError("apt names no archive of Debian")
        answer = requests.get(f"{url.rstrip('/')}/dists/{name}/Release", timeout=ASKING_S)
        answer.raise_for_status()
    except (OSError, subprocess.SubprocessError) as error:
        raise UnreachableError(words(error)) from None
    match = re.search(r"^Codename: (\S+)$", answer.text, re.MULTILINE)
    return match[1] if match else ""


def newest(root: Path, pin: Pin) -> str:
    """The newest version that a registry knows; empty where no package registry has such things.

    Args:
        root: The repository.
        pin: Whose.

    Raises:
        UnreachableError: its registry does not answer.
    """
    if pin.module:
        try:
            return str(go_query(root, pin, "latest")["Version"])
        except UnreachableError:
            # A proxy that keeps the latest back may list others all the same.
            listed = go_query(root, pin, pin.version).get("Versions", [])
            return next((version for version in reversed(listed) if "-" not in version), pin.version)
    if pin.package:
        return next(iter(package_versions(pin.package)), "")
    if pin.name == "debian":
        return debian_release("stable")
    return ""


def is_newer(version: str, than: str) -> bool:
    """Whether it is; names are only different."""
    try:
        return Version(version) > Version(than)
    except InvalidVersion:
        return version != than


def make_sure(root: Path, pin: Pin, version: str) -> None:
    """That there is such a version.

    Args:
        root: The repository.
        pin: Whose.
        version: The one that is asked for.

    Raises:
        Refusal: there is none, or nobody can say.
    """
    try:
        if pin.module:
            # A query such as `v1` or `latest` finds one as well.
            found = str(go_query(root, pin, version)["Version"])
        elif pin.package:
            found = version if version in package_versions(pin.package) else ""
        elif pin.name == "debian":
            found = debian_release(version)
        else:
            return
        why = f"it would be {found}" if found else "the registry has none"
    except UnreachableError as error:
        found, why = "", str(error)
    if found == version:
        return
    try:
        last = newest(root, pin)
    except UnreachableError as error:
        raise Refusal(f"whether there is a {pin.name} {version}, nobody could be asked: {error}") from None
    raise Refusal(f"there is no {pin.name} {version} ({why}); the newest is {last}")
