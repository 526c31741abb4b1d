"""Raises a version and all that follows from it in a copy of the repository, then at once, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from . import home, locks, registries
from .home import HOME, Pin, Refusal

CONSTANTS = "cmd/kubeadm/app/constants/constants.go"
PAGES = "scripts/role_docs.py"
HELD_BACK = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

Tell = Callable[[str], None]


def git(root: Path, *argv: str) -> list[str]:
    """The lines that git says, which end with a null.

    Raises:
        Refusal: this is no checkout.
    """
    try:
        return registries.said("git", *argv, cwd=root).split("\0")[:-1]
    except (OSError, subprocess.SubprocessError) as error:
        raise Refusal(f"{root} has to be a checkout of git: {registries.words(error)}") from None


def refuse(root: Path, pins: dict[str, Pin], name: str, version: str) -> None:
    """Whatever can be said before anything is done.

    Args:
        root: The repository.
        pins: All of them.
        name: The one that is to be raised.
        version: To which.

    Raises:
        Refusal: it is not to be.
    """
    if name not in pins:
        raise Refusal(f"{HOME} has no {name or 'NAME'}: NAME is one of {', '.join(pins)}")
    pin = pins[name]
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", version):
        raise Refusal(f"TO has to be a version such as {pin.version}, not {version!r}")
    if version == pin.version:
        raise Refusal(f"{name} is {version} already")
    if pin.goes_with:
        raise Refusal(f"{name} goes with {pin.goes_with}: raise that, and it follows")
    if pin.held:
        raise Refusal(f"{name} is held at {pin.version}: {pin.held} (take `held` out of {HOME} to try)")
    refuse_changes(root)
    registries.make_sure(root, pin, version)


def refuse_changes(root: Path) -> None:
    """That nothing of somebody's is mixed up with what is raised.

    Raises:
        Refusal: it would be.
    """
    if changed := [line[3:] for line in git(root, "status", "-z", "--porcelain", "--untracked-files=no")]:
        raise Refusal(
            f"{changed[0]}{' and others have' if len(changed) > 1 else ' has'} changes without a commit: "
            "commit or stash them, so that what is raised can be seen and taken back by itself"
        )


def follow(stage: Path, pin: Pin, version: str, tell: Tell) -> dict[str, str]:
    """Raise the lock of one pin; the fields that its row gets.

    Args:
        stage: A copy of the repository.
        pin: Which.
        version: To which.
        tell: What is done.
    """
    fields = {"version": version}
    tell(f"{pin.name} {pin.version} -> {version}")
    if pin.module:
        folder = stage / pin.lock
        source = locks.fetched(folder, pin.module, version)
        if pin.manifest:
            digest = hashlib.sha256((Path(source["Dir"]) / pin.manifest).read_bytes()).hexdigest()
            fields["checksum"] = f"sha256:{digest}"
        if pin.commit:
            fields["commit"] = commit_of(source)
            fields["storage_provisioner"] = found_in(
                Path(source["Dir"]) / "Makefile", r"^STORAGE_PROVISIONER_TAG \?= (\S+)$"
            )
        locks.raise_module(folder, pin.module, version)
    elif pin.package:
        locks.lock_wheels(stage / pin.lock, pin.package, version)
    for copy in pin.copies:
        path = stage / copy
        path.write_text(
            home.replaced(path.read_text(encoding="utf-8"), pin.version, version), encoding="utf-8"
        )
    return fields


def commit_of(source: dict[str, Any]) -> str:
    """Which commit a module was made from.

    Raises:
        Refusal: its proxy does not say.
    """
    commit = str(source.get("Origin", {}).get("Hash", ""))
    if not commit:
        raise Refusal(f"Go's proxy does not say which commit {source['Path']} is: ask another (GOPROXY)")
    return commit


def found_in(path: Path, pattern: str) -> str:
    """What a file of a module's source says.

    Raises:
        Refusal: it no longer says it there.
    """
    match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE) if path.exists() else None
    if match is None:
        raise Refusal(f"{path} does not say {pattern!r} any more: what is read there has moved")
    return match[1]


def rewrite(root: Path, name: str, **fields: str) -> None:
    """Write fields of one pin, and the new version into those of them that hold the old one.

    Args:
        root: The repository.
        name: Of the pin.
        fields: What is new; the version among them.
    """
    path = root / HOME
    yaml_ = YAML()
    yaml_.preserve_quotes = True
    yaml_.width = 4096
    yaml_.explicit_start = True
    document = yaml_.load(path.read_text(encoding="utf-8"))
    row = document[name]
    for field in set(row) & {"image"}:
        fields.setdefault(field, home.replaced(str(row[field]), str(row["version"]), fields["version"]))
    row.update(fields)
    text = io.StringIO()
    yaml_.dump(document, text)
    path.write_text(text.getvalue(), encoding="utf-8")


def companions(
    stage: Path, pins: dict[str, Pin], name: str, version: str
) -> Iterator[tuple[Pin, dict[str, str]]]:
    """What goes with another, and the fields that follow.

    Args:
        stage: A copy of the repository.
        pins: All of them.
        name: What was raised.
        version: To which.
    """
    for pin in (pin for pin in pins.values() if pin.goes_with == name):
        source = Path(locks.fetched(stage / pins[name].lock, pins[name].module, version)["Dir"])
        wanted = found_in(source / CONSTANTS, rf'\b{pin.constant}\s*=\s*"([^"]+)"')
        letter = "v" if pin.version.startswith("v") else ""
        fields = {"version": letter + home.number_of(wanted).partition("-")[0]}
        yield pin, fields | ({"image_tag": wanted} if pin.image_tag else {})


def raise_in(stage: Path, name: str, version: str, tell: Tell) -> None:
    """Raise a version in a copy of the repository, with all that follows, and see that it can be built.

    Args:
        stage: The copy.
        name: Of the pin.
        version: To which.
        tell: What is done.

    Raises:
        Refusal: it cannot be.
    """
    pins = home.pins(stage)
    raised = [name]
    try:
        rewrite(stage, name, **follow(stage, pins[name], version, tell))
        for pin, fields in companions(stage, pins, name, version):
            more: dict[str, str] = {}
            if fields["version"] != pin.version:
                more = follow(stage, pin, fields["version"], tell)
                raised.append(pin.name)
            rewrite(stage, pin.name, **(more | fields))
        pins = home.pins(stage)
        for line in locks.agree(stage, pins):
            tell(f"so that all locks agree, in {line}")
        registries.said(sys.executable, PAGES, cwd=stage)
        with tempfile.TemporaryDirectory() as target:
            for pin in (pins[item] for item in raised if pins[item].module):
                tell(f"building {pin.name}")
                locks.build(stage, pin, Path(target) / pin.name)
    except subprocess.SubprocessError as error:
        raise locks.failed(error) from None


@contextlib.contextmanager
def staged(root: Path) -> Iterator[Path]:
    """A copy of what git knows of a repository; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="failover-lab-versions-") as folder:
        stage = Path(folder) / "repository"
        for name in git(root, "ls-files", "-z"):
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            if (root / name).exists() or (root / name).is_symlink():
                shutil.copy2(root / name, stage / name, follow_symlinks=False)
        yield stage


def differing(root: Path, stage: Path) -> list[str]:
    """The files that are not the same in both."""
    found = [path.relative_to(stage) for path in stage.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(
        str(name)
        for name in found
        if (root / name).exists() and (root / name).read_bytes() != (stage / name).read_bytes()
    )


def put(root: Path, stage: Path, names: list[str]) -> None:
    """Put files of the copy into their places: all of them, or none; Ctrl-C waits for the end of it.

    Args:
        root: The repository.
        stage: The copy.
        names: The files.
    """
    before = {name: (root / name).read_bytes() for name in names}
    held = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    new = {name: (root / name).with_name(f".{Path(name).name}.new") for name in names}
    try:
        for name in names:
            shutil.copy2(root / name, new[name])
            new[name].write_bytes((stage / name).read_bytes())
        for done, name in enumerate(names):
            try:
                os.replace(new[name], root / name)  # noqa: PTH105 - as one step
            except OSError:
                for earlier in names[:done]:
                    (root / earlier).write_bytes(before[earlier])
                raise
    finally:
        for path in new.values():
            path.unlink(missing_ok=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def raise_version(root: Path, name: str, version: str, tell: Tell) -> list[str]:
    """Raise a version and all that follows from it; the files that changed.

    Args:
        root: The repository.
        name: Of the pin.
        version: To which.
        tell: What is done.

    Raises:
        Refusal: it is not to be, or cannot be; then nothing was changed.
    """
    pins = home.pins(root)
    if name in pins and pins[name].version.startswith("v") and re.match(r"\d", version):
        version = f"v{version}"
    refuse(root, pins, name, version)
    with staged(root) as stage:
        raise_in(stage, name, version, tell)
        # That took minutes.
        refuse_changes(root)
        names = differing(root, stage)
        put(root, stage, names)
    return names
