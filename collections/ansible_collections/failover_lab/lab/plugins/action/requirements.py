"""The action plugin ``failover_lab.lab.requirements``, documented in plugins/modules/requirements.py.

It runs on whatever Python and ansible-core the user has, so it uses nothing that an old one lacks.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.release import __version__ as core_version
from ansible_collections.failover_lab.lab.plugins.plugin_utils.controller import ControllerAction, TaskError
from packaging.specifiers import InvalidSpecifier, SpecifierSet

CORE = ">=2.19.0"
PYTHON = ">=3.11.0,<3.14.0"
MODULES = (
    "aiohttp",
    "bcrypt",
    "docker",
    "idna",
    "jinja2",
    "jsonschema",
    "kubernetes",
    "requests",
    "vl_convert",
    "yaml",
)
REQUIREMENTS_FILE = Path(__file__).resolve().parents[5] / "requirements.yml"
#: The lab's own Python package, which modules and commands of every role import.
PACKAGE = "failover_lab"
SOURCE = REQUIREMENTS_FILE.parents[1] / "src"

#: Set by playbooks/callback_plugins/lab.py to the number of the play's process.
GUARDED = "FAILOVER_LAB_PLAY"

USE_MAKE = "run 'make env' and use the ansible-playbook in .venv/bin"
UNGUARDED = (
    "Ansible has not loaded the callback playbooks/callback_plugins/lab.py, without which nobody would put "
    "right what Ctrl-C leaves behind: name a playbook of the lab first on the command line, or alone."
)
USE_GALAXY = f"run 'ansible-galaxy collection install -r collections/requirements.yml', or {USE_MAKE}"


def within(version: str, wanted: str) -> bool:
    """Say whether a version lies in a range.

    Args:
        version: Such as ``6.2.0``.
        wanted: As ansible-galaxy takes it: ``>=6.2.0,<7.0.0``, a version alone, or ``*``.

    Raises:
        ValueError: It is no such range.
    """
    conditions = [part.strip() for part in wanted.split(",")]
    # What packaging wants to have said by two signs, ansible-galaxy says by one, or none.
    exact = [re.sub(r"^=?\s*(?=\d)", "==", part) for part in conditions if part != "*"]
    try:
        return SpecifierSet(",".join(exact)).contains(version, prereleases=True)
    except InvalidSpecifier as error:
        raise ValueError(f"{wanted!r} is no condition on a version") from error


def installed_version(collection: str) -> str | None:
    """The version of a collection, as Ansible's own loader finds it.

    Args:
        collection: Such as ``kubernetes.core``.

    Returns:
        None if the collection is not there, ``unknown`` if it does not say.
    """
    try:
        package = importlib.import_module(f"ansible_collections.{collection}")
    except ImportError:
        return None
    for place in package.__path__:
        manifest = Path(place) / "MANIFEST.json"
        if manifest.is_file():
            return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
        galaxy = Path(place) / "galaxy.yml"
        if galaxy.is_file():
            return str((yaml.safe_load(galaxy.read_text(encoding="utf-8")) or {}).get("version", "unknown"))
    return "unknown"


def missing_python() -> list[str]:
    """What the interpreter and the packages in it lack, each in a few words."""
    lacks = []
    python = ".".join(str(number) for number in sys.version_info[:3])
    if not within(python, PYTHON):
        lacks.append(f"Python {python} instead of 3.11, 3.12 or 3.13")
    if not within(core_version, CORE):
        lacks.append(f"ansible-core {core_version} instead of {CORE.lstrip('>=')} or newer")
    absent = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if absent:
        lacks.append(f"no Python module {' or '.join(absent)} for {sys.executable}")
    return lacks


def missing_package() -> str | None:
    """That the lab's own package is not there for the modules, and the remedy; None if it is."""
    if importlib.util.find_spec(PACKAGE) is not None:
        return None
    return (
        f"This environment does not find the lab's own Python package {PACKAGE}: {USE_MAKE}, or export "
        f"PYTHONPATH={SOURCE}, then this again."
    )


def missing_collections(requirements_file: Path) -> list[str]:
    """What the installed collections lack, each in a few words.

    Args:
        requirements_file: A file in the form of ansible-galaxy.

    Raises:
        OSError: The file cannot be read.
        ValueError: It names a condition that is none.
    """
    lacks = []
    for wanted in yaml.safe_load(requirements_file.read_text(encoding="utf-8"))["collections"]:
        name, versions = wanted["name"], wanted.get("version", "*")
        version = installed_version(name)
        if version is None:
            lacks.append(f"no collection {name}")
        elif version == "unknown" or not within(version, versions):
            lacks.append(f"collection {name} {version} instead of {versions}")
    return lacks


def guarded() -> bool:
    """Whether the callback `lab` is loaded in this play, of whose process this one is a child."""
    return os.environ.get(GUARDED) in {str(os.getppid()), str(os.getpid())}


def homeless(environment: Mapping[str, str]) -> str | None:
    """What is wrong with the folders of the user that runs this, and the remedy; None if nothing is.

    Args:
        environment: The variables by which programs know them.
    """
    home = environment.get("HOME", "")
    if not home:
        return (
            "HOME is not set, and all that the lab keeps is below it: export HOME=/home/YOU, then this again"
        )
    xdg = [f"XDG_{kind}_HOME" for kind in ("CACHE", "CONFIG", "DATA", "STATE")]
    for name in ("HOME", *xdg, "TMPDIR"):
        path = environment.get(name, "")
        if path and not Path(path).is_absolute():
            return f"{name}={path} is no absolute path, and each program would take it for another: give one"
        if re.search(r"\s", path):
            return (
                f"{name}={path} has a blank in it, which not all of the programs that the lab calls can "
                "take: export one without"
            )
    if not Path(home).is_dir():
        return f"HOME={home} is no folder: make it, or export another HOME"
    own = all(environment.get(f"XDG_{kind}_HOME") for kind in ("CACHE", "DATA", "STATE"))
    if not own and not os.access(home, os.W_OK | os.X_OK):
        return (
            f"nothing can be written to HOME={home}: export another HOME, or XDG_CACHE_HOME, XDG_DATA_HOME "
            "and XDG_STATE_HOME"
        )
    return _nowhere_for_a_while(environment.get("TMPDIR", ""))


def _nowhere_for_a_while(temporary: str) -> str | None:
    if temporary and not (Path(temporary).is_dir() and os.access(temporary, os.W_OK | os.X_OK)):
        return (
            f"TMPDIR={temporary} is no folder that can be written to, and programs that the lab calls keep "
            "their temporary files there: unset it, or export another"
        )
    return None


BECOME = (
    "This play was told to become another user for all that it does (-b, ANSIBLE_BECOME, become in "
    "ansible.cfg, or ansible_become in an inventory), and its files would be root's: leave that out. What "
    "needs root asks for it by itself; --ask-become-pass has the password asked for."
)


class ActionModule(ControllerAction):
    """Say in one sentence what the environment of this play lacks."""

    def work(self, _variables: dict[str, Any]) -> dict[str, Any]:
        """Look, and say what is lacking."""
        self.without_arguments()
        if trouble := self._trouble():
            raise TaskError(trouble)
        return {"changed": False}

    def _trouble(self) -> str | None:
        if not guarded():
            return UNGUARDED
        # Here is what command line, environment, configuration and inventory come to.
        if getattr(self._connection, "become", None):
            return BECOME
        if trouble := homeless(os.environ):
            return f"{trouble}."
        lacks, remedy = missing_python(), USE_MAKE
        if not lacks:
            lacks, remedy = missing_collections(REQUIREMENTS_FILE), USE_GALAXY
        if lacks:
            return f"This environment has {', '.join(lacks)}: {remedy}."
        return missing_package()
